/* Suspend, resume, terminate; what containerd shows meanwhile; what the account says. */
#include "job.h"

#include <time.h>

static void states(drmaa2_jsession js)
{
    drmaa2_j j = run_begun(js, shell("echo begun; exec sleep 1000"));
    drmaa2_string substate = NULL;
    drmaa2_string id = drmaa2_j_get_id(j);
    drmaa2_jinfo ji;

    CHECK_INT(drmaa2_j_get_state(j, &substate), DRMAA2_RUNNING);
    drmaa2_string_free(&substate);
    CHECK_INT(drmaa2_j_get_state(j, NULL), DRMAA2_RUNNING);
    CHECK_INT(drmaa2_j_resume(j), DRMAA2_INVALID_STATE);
    failed(DRMAA2_INVALID_STATE, id);
    CHECK_INT(drmaa2_j_reap(j), DRMAA2_INVALID_STATE);

    CHECK_INT(drmaa2_j_suspend(j), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_j_get_state(j, NULL), DRMAA2_SUSPENDED);
    if (reaches_containerd())
        CHECK_INT(ctr_lines("tasks ls", "PAUSED"), 1);
    CHECK_INT(drmaa2_j_suspend(j), DRMAA2_INVALID_STATE);
    CHECK_INT(drmaa2_j_wait_started(j, DRMAA2_ZERO_TIME), DRMAA2_SUCCESS);

    CHECK_INT(drmaa2_j_resume(j), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_j_get_state(j, NULL), DRMAA2_RUNNING);
    if (reaches_containerd())
        CHECK_INT(ctr_lines("tasks ls", "PAUSED"), 0);

    /* A plain sleep as the job's only process ends by SIGTERM. */
    CHECK_INT(drmaa2_j_terminate(j), DRMAA2_SUCCESS);
    ji = finish(j);
    CHECK_INT(ji->jobState, DRMAA2_FAILED);
    CHECK_STR(ji->terminatingSignal, "SIGTERM");
    CHECK_INT(ji->exitStatus, 128 + 15);
    CHECK_INT(drmaa2_j_terminate(j), DRMAA2_INVALID_STATE);
    CHECK_INT(drmaa2_j_suspend(j), DRMAA2_INVALID_STATE);
    drmaa2_jinfo_free(&ji);

    CHECK_INT(drmaa2_j_reap(j), DRMAA2_SUCCESS);
    CHECK(drmaa2_j_get_info(j) == NULL);
    failed(DRMAA2_INVALID_ARGUMENT, id);
    CHECK_INT(drmaa2_j_get_state(j, NULL), DRMAA2_UNSET_JSTATE);
    CHECK_INT(drmaa2_j_reap(j), DRMAA2_INVALID_ARGUMENT);
    drmaa2_string_free(&id);
    drmaa2_j_free(&j);
}

static void suspended_job_can_be_terminated(drmaa2_jsession js)
{
    drmaa2_j j = run(js, sleeper());
    CHECK_INT(drmaa2_j_suspend(j), DRMAA2_SUCCESS);
    end(&j);
}

/* A job that handles SIGTERM and ends well was terminated all the same. */
static void a_terminated_job_is_not_done(drmaa2_jsession js)
{
    drmaa2_j j = run(js, shell("trap 'exit 0' TERM; echo ready >/dev/null; while :; do sleep 1; done"));
    drmaa2_jinfo ji;
    CHECK_INT(drmaa2_j_terminate(j), DRMAA2_SUCCESS);
    ji = finish(j);
    CHECK_INT(ji->jobState, DRMAA2_FAILED);
    CHECK(ji->annotation != NULL);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);
}

static void account(drmaa2_jsession js)
{
    time_t before = time(NULL);
    drmaa2_jtemplate jt = shell("i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done; sleep 1");
    drmaa2_j j;
    drmaa2_jinfo ji;
    drmaa2_string id;
    drmaa2_slotinfo slot;
    char host[256];
    jt->jobName = strdup("account_1");
    j = run(js, jt);
    id = drmaa2_j_get_id(j);

    ji = drmaa2_j_get_info(j);
    CHECK_INT(ji->jobState, DRMAA2_RUNNING);
    CHECK_INT(ji->exitStatus, -1);
    CHECK_INT(ji->finishTime, DRMAA2_UNSET_TIME);
    CHECK(ji->dispatchTime >= before);
    drmaa2_jinfo_free(&ji);

    ji = finish(j);
    CHECK(gethostname(host, sizeof host) == 0);
    CHECK_STR(ji->jobId, id);
    CHECK_STR(ji->jobName, "account_1");
    CHECK_INT(ji->jobState, DRMAA2_DONE);
    CHECK_INT(ji->exitStatus, 0);
    CHECK(ji->terminatingSignal == NULL);
    CHECK(ji->jobOwner != NULL && *ji->jobOwner != '\0');
    CHECK_STR(ji->submissionMachine, host);
    CHECK_INT(ji->slots, 1);
    CHECK_INT(drmaa2_list_size(ji->allocatedMachines), 1);
    slot = (drmaa2_slotinfo)drmaa2_list_get(ji->allocatedMachines, 0);
    CHECK(runs_jobs(slot->machineName));
    CHECK_INT(slot->slots, 1);
    CHECK(before <= ji->submissionTime && ji->submissionTime <= ji->dispatchTime);
    CHECK(ji->dispatchTime < ji->finishTime && ji->finishTime <= time(NULL));
    CHECK(ji->wallclockTime >= 1 && ji->wallclockTime <= ji->finishTime - ji->dispatchTime + 1);
    CHECK(ji->cpuTime >= 0 && ji->cpuTime <= ji->wallclockTime + 1);
    drmaa2_jinfo_free(&ji);
    drmaa2_string_free(&id);
    drmaa2_j_free(&j);
}

int main(void)
{
    drmaa2_jsession js = session(NULL);
    states(js);
    suspended_job_can_be_terminated(js);
    a_terminated_job_is_not_done(js);
    account(js);
    done_with(&js);
    return check_result();
}
