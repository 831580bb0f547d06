/*
 * What a monitoring session sees: the machines, the queues, and the jobs of all sessions.
 *
 *     monitor IMAGE
 *
 * IMAGE is for a job of its own, so that there is one to see.
 */
#include "example.h"

static const char *name_of(drmaa2_jstate state)
{
    static const char *const NAMES[] = {"UNDETERMINED", "QUEUED",        "QUEUED_HELD",
                                        "RUNNING",      "SUSPENDED",     "REQUEUED",
                                        "REQUEUED_HELD", "DONE",         "FAILED"};
    return state >= DRMAA2_UNDETERMINED && state <= DRMAA2_FAILED ? NAMES[state] : "?";
}

static void print_machines(drmaa2_msession monitor)
{
    long at;
    drmaa2_machineinfo_list machines = drmaa2_msession_get_all_machines(monitor, NULL);
    if (machines == NULL)
        fail("drmaa2_msession_get_all_machines");
    for (at = 0; at < drmaa2_list_size(machines); at++) {
        const struct drmaa2_machineinfo_s *machine = drmaa2_list_get(machines, at);
        printf("machine %s: %lld x %lld cores, %lld MB, load %.2f\n", machine->name, machine->sockets,
               machine->coresPerSocket, machine->physMemory / 1024, (double)machine->load);
    }
    drmaa2_list_free(&machines);
}

static void print_queues(drmaa2_msession monitor)
{
    long at;
    drmaa2_queueinfo_list queues = drmaa2_msession_get_all_queues(monitor, NULL);
    if (queues == NULL)
        fail("drmaa2_msession_get_all_queues");
    for (at = 0; at < drmaa2_list_size(queues); at++) {
        const struct drmaa2_queueinfo_s *queue = drmaa2_list_get(queues, at);
        printf("queue %s\n", queue->name);
    }
    drmaa2_list_free(&queues);
}

/* Prints all jobs and tells whether the given one is among them. */
static int print_jobs(drmaa2_msession monitor, const char *id)
{
    long at;
    int found = 0;
    drmaa2_j_list jobs = drmaa2_msession_get_all_jobs(monitor, NULL);
    if (jobs == NULL)
        fail("drmaa2_msession_get_all_jobs");
    for (at = 0; at < drmaa2_list_size(jobs); at++) {
        drmaa2_j job = (drmaa2_j)drmaa2_list_get(jobs, at);
        drmaa2_string detail = NULL;
        drmaa2_jstate state = drmaa2_j_get_state(job, &detail);
        printf("job %s: %s%s%s\n", job->id, name_of(state), detail != NULL ? ", " : "",
               detail != NULL ? detail : "");
        found |= strcmp(job->id, id) == 0;
        drmaa2_string_free(&detail);
    }
    drmaa2_list_free(&jobs);
    return found;
}

int main(int argc, char **argv)
{
    drmaa2_jsession session;
    drmaa2_msession monitor;
    drmaa2_jtemplate jt;
    drmaa2_j job;
    int found;

    if (argc < 2) {
        fprintf(stderr, "usage: %s IMAGE\n", argv[0]);
        return 2;
    }
    session = new_session();
    jt = shell(argv[1], "exec cat /proc/uptime");
    job = drmaa2_jsession_run_job(session, jt);
    if (job == NULL)
        fail("drmaa2_jsession_run_job");
    monitor = drmaa2_open_msession(NULL);
    if (monitor == NULL)
        fail("drmaa2_open_msession");

    print_machines(monitor);
    print_queues(monitor);
    found = print_jobs(monitor, job->id);

    drmaa2_close_msession(monitor);
    drmaa2_msession_free(&monitor);
    if (drmaa2_j_wait_terminated(job, DRMAA2_INFINITE_TIME) != DRMAA2_SUCCESS)
        fail("drmaa2_j_wait_terminated");
    drmaa2_j_free(&job);
    drmaa2_jtemplate_free(&jt);
    remove_session(session);
    return found ? EXIT_SUCCESS : EXIT_FAILURE;
}
