/* The account of a job: every member of its info, before, while and after it runs. */
#include "job.h"

#include <pwd.h>
#include <time.h>

static void waiting(void)
{
    drmaa2_jsession js = session(NULL);
    drmaa2_jtemplate jt = command("true");
    time_t before = time(NULL);
    drmaa2_j j;
    drmaa2_jinfo ji;
    jt->submitAsHold = DRMAA2_TRUE;
    j = submit(js, jt);
    ji = drmaa2_j_get_info(j);
    CHECK_INT(ji->jobState, DRMAA2_QUEUED_HELD);
    CHECK(ji->submissionTime >= before && ji->submissionTime <= time(NULL));
    CHECK(ji->dispatchTime == DRMAA2_UNSET_TIME && ji->finishTime == DRMAA2_UNSET_TIME);
    CHECK(ji->wallclockTime == DRMAA2_UNSET_TIME && ji->cpuTime == DRMAA2_UNSET_NUM);
    CHECK(ji->allocatedMachines == NULL && ji->slots == DRMAA2_UNSET_NUM);
    CHECK(ji->exitStatus == DRMAA2_UNSET_NUM && ji->annotation == NULL);
    drmaa2_jinfo_free(&ji);
    end(&j);
    done_with(&js);
}

/* The wall clock goes on while a job is suspended. */
static void suspended(drmaa2_jsession js)
{
    struct timespec span = {.tv_sec = 2};
    /* It ends once its input has a line. */
    drmaa2_jtemplate jt = shell("until read line; do sleep 0.1; done; exit 3");
    char gate[] = "/tmp/drmaa2-account-XXXXXX";
    int fd = mkstemp(gate);
    drmaa2_jinfo ji;
    time_t begin = time(NULL), end;
    drmaa2_j j;
    CHECK(fd >= 0);
    jt->inputPath = strdup(gate);
    j = run(js, jt);
    CHECK_INT(drmaa2_j_suspend(j), DRMAA2_SUCCESS);
    CHECK(nanosleep(&span, NULL) == 0);
    ji = drmaa2_j_get_info(j);
    CHECK_INT(ji->jobState, DRMAA2_SUSPENDED);
    CHECK(ji->wallclockTime >= 2);
    drmaa2_jinfo_free(&ji);
    CHECK(write(fd, "go\n", 3) == 3 && close(fd) == 0);
    CHECK_INT(drmaa2_j_resume(j), DRMAA2_SUCCESS);
    ji = finish(j);
    end = time(NULL);
    CHECK_INT(ji->jobState, DRMAA2_FAILED);
    CHECK_INT(ji->exitStatus, 3);
    CHECK(ji->dispatchTime >= begin && ji->finishTime <= end);
    CHECK(ji->wallclockTime >= 2 && ji->wallclockTime <= end - begin);
    CHECK(ji->finishTime - ji->dispatchTime - ji->wallclockTime <= 1);
    CHECK_INT(ji->cpuTime, 0);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);
    CHECK(unlink(gate) == 0);
}

/* Two children with a second of CPU time each, after which the kernel kills them. */
static void ended(drmaa2_jsession js)
{
    char host[256];
    struct passwd *user = getpwuid(geteuid());
    drmaa2_jtemplate jt =
        shell("for c in 1 2; do sh -c 'ulimit -t 1; while :; do :; done' & done; wait; kill -TERM $$");
    drmaa2_jinfo ji;
    drmaa2_slotinfo slot;
    drmaa2_string id;
    drmaa2_j j;
    CHECK(gethostname(host, sizeof host) == 0 && user != NULL);
    jt->jobName = strdup("burner");
    j = run(js, jt);
    ji = finish(j);
    id = drmaa2_j_get_id(j);
    CHECK_STR(ji->jobId, id);
    CHECK_STR(ji->jobName, "burner");
    CHECK_INT(ji->exitStatus, 128 + 15);
    CHECK_STR(ji->terminatingSignal, "SIGTERM");
    CHECK_INT(ji->jobState, DRMAA2_FAILED);
    CHECK(ji->jobSubState == NULL);
    CHECK_INT(drmaa2_list_size(ji->allocatedMachines), 1);
    slot = (drmaa2_slotinfo)drmaa2_list_get(ji->allocatedMachines, 0);
    CHECK(runs_jobs(slot->machineName));
    CHECK_INT(slot->slots, 1);
    CHECK_STR(ji->submissionMachine, host);
    CHECK_STR(ji->jobOwner, user->pw_name);
    CHECK_INT(ji->slots, 1);
    CHECK_STR(ji->queueName, "default");
    /* The start of the shells counts as well, and takes its time in a machine that is emulated. */
    CHECK(ji->cpuTime >= 2 && ji->cpuTime <= 3);
    CHECK(ji->wallclockTime >= 1 && ji->submissionTime <= ji->dispatchTime);
    CHECK(ji->finishTime >= ji->dispatchTime + 1);
    drmaa2_string_free(&id);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);
}

/* The number of jobs with an account; one is that with this id. */
static int with_account(drmaa2_jsession js, const char *account, const char *id)
{
    drmaa2_jinfo filter = drmaa2_jinfo_create();
    drmaa2_j_list jobs;
    int count;
    CHECK_INT(drmaa2_set_instance_value(filter, "containerd_ji_accounting_id", account), DRMAA2_SUCCESS);
    jobs = drmaa2_jsession_get_jobs(js, filter);
    count = (int)drmaa2_list_size(jobs);
    if (count == 1)
        CHECK_STR(((drmaa2_j)drmaa2_list_get(jobs, 0))->id, id);
    drmaa2_list_free(&jobs);
    drmaa2_jinfo_free(&filter);
    return count;
}

/* Jobs are found by their account, while they run and when they have ended. */
static void accounts(void)
{
    static const char *const names[] = {"grant 7", "grant 8"};
    drmaa2_jsession js = session("accounts");
    drmaa2_j jobs[2];
    for (size_t i = 0; i < 2; i++) {
        drmaa2_jtemplate jt = sleeper();
        jt->accountingId = strdup(names[i]);
        jobs[i] = run(js, jt);
    }
    CHECK_INT(with_account(js, "grant 7", jobs[0]->id), 1);
    CHECK_INT(with_account(js, "grant 9", NULL), 0);
    if (reaches_containerd()) {
        char query[256];
        snprintf(query, sizeof query, "containers info %s", jobs[1]->id);
        CHECK_INT(ctr_lines(query, "\"drmaa2.accounting_id\": \"grant 8\""), 1);
    }
    end(&jobs[0]);
    CHECK_INT(drmaa2_j_terminate(jobs[1]), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_j_wait_terminated(jobs[1], LONG), DRMAA2_SUCCESS);
    CHECK_INT(with_account(js, "grant 8", jobs[1]->id), 1);
    drmaa2_j_free(&jobs[1]);
    CHECK_INT(with_account(js, "grant", NULL), 0);
    done_with(&js);
}

int main(void)
{
    drmaa2_jsession js = session(NULL);
    waiting();
    suspended(js);
    ended(js);
    done_with(&js);
    accounts();
    return check_result();
}
