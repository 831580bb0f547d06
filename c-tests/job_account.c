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
    CHECK_STR(slot->machineName, host);
    CHECK_INT(slot->slots, 1);
    CHECK_STR(ji->submissionMachine, host);
    CHECK_STR(ji->jobOwner, user->pw_name);
    CHECK_INT(ji->slots, 1);
    CHECK_STR(ji->queueName, "default");
    CHECK_INT(ji->cpuTime, 2);
    CHECK(ji->wallclockTime >= 1 && ji->submissionTime <= ji->dispatchTime);
    CHECK(ji->finishTime >= ji->dispatchTime + 1);
    drmaa2_string_free(&id);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);
}

int main(void)
{
    drmaa2_jsession js = session(NULL);
    waiting();
    suspended(js);
    ended(js);
    done_with(&js);
    return check_result();
}
