/*
 * Several jobs at once, taken in the order in which they end.
 *
 *     wait_any IMAGE
 */
#include "example.h"

static const char *const LINES[] = {"sleep 1", "true", "exit 3"};

/* Takes the job out of the list, which frees the list's handle of it. */
static void forget(drmaa2_j_list jobs, const char *id)
{
    long at;
    for (at = 0; at < drmaa2_list_size(jobs); at++) {
        const struct drmaa2_j_s *job = drmaa2_list_get(jobs, at);
        if (strcmp(job->id, id) == 0) {
            drmaa2_list_del(jobs, at);
            return;
        }
    }
}

int main(int argc, char **argv)
{
    drmaa2_jsession session;
    drmaa2_j_list jobs;
    size_t line;
    int sum = 0;

    if (argc < 2) {
        fprintf(stderr, "usage: %s IMAGE\n", argv[0]);
        return 2;
    }
    session = new_session();
    jobs = drmaa2_list_create(DRMAA2_JOBLIST, drmaa2_j_list_default_callback);
    for (line = 0; line < sizeof LINES / sizeof *LINES; line++) {
        drmaa2_jtemplate jt = shell(argv[1], LINES[line]);
        drmaa2_j job;
        jt->jobName = copy(LINES[line]);
        job = drmaa2_jsession_run_job(session, jt);
        if (job == NULL)
            fail("drmaa2_jsession_run_job");
        if (drmaa2_list_add(jobs, job) != DRMAA2_SUCCESS)
            fail("drmaa2_list_add");
        drmaa2_jtemplate_free(&jt);
    }
    while (drmaa2_list_size(jobs) > 0) {
        drmaa2_jinfo info;
        drmaa2_j ended = drmaa2_jsession_wait_any_terminated(session, jobs, DRMAA2_INFINITE_TIME);
        if (ended == NULL)
            fail("drmaa2_jsession_wait_any_terminated");
        info = drmaa2_j_get_info(ended);
        if (info == NULL)
            fail("drmaa2_j_get_info");
        printf("\"%s\" has ended with exit status %d\n", info->jobName, info->exitStatus);
        sum += info->exitStatus;
        forget(jobs, info->jobId);
        drmaa2_jinfo_free(&info);
        drmaa2_j_free(&ended);
    }
    drmaa2_list_free(&jobs);
    remove_session(session);
    return sum == 3 ? EXIT_SUCCESS : EXIT_FAILURE;
}
