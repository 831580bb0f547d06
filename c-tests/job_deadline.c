/* deadlineTime: what runs then is ended, what is suspended or waits then has failed. */
#include "job.h"

#include <time.h>

static void ends(drmaa2_j j, const char *reason)
{
    drmaa2_jinfo ji = finish(j);
    CHECK_INT(ji->jobState, DRMAA2_FAILED);
    CHECK(ji->annotation != NULL && strstr(ji->annotation, reason) != NULL);
    if (ji->annotation != NULL && strstr(ji->annotation, reason) == NULL)
        fprintf(stderr, "  annotation \"%s\"\n", ji->annotation);
    CHECK(ji->finishTime <= time(NULL));
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);
}

static drmaa2_jtemplate due(drmaa2_jtemplate jt, time_t at)
{
    jt->deadlineTime = at;
    return jt;
}

static void refused(drmaa2_jsession js, drmaa2_jtemplate jt, const char *part)
{
    CHECK(drmaa2_jsession_run_job(js, jt) == NULL);
    failed(DRMAA2_INVALID_ARGUMENT, part);
    drmaa2_jtemplate_free(&jt);
}

int main(void)
{
    /* Slurm would not let a job wait for want of slots. */
    drmaa2_jsession js = drmaa2_create_jsession("deadline", on_slurm() ? NULL : "containerd://?slots=2");
    drmaa2_jtemplate jt;
    drmaa2_j running, suspended, held, queued;
    drmaa2_jinfo ji;
    time_t at;
    CHECK(js != NULL);

    /* The first two take all slots. */
    at = time(NULL) + SOON;
    running = run(js, due(sleeper(), at));
    suspended = run(js, due(sleeper(), at));
    CHECK_INT(drmaa2_j_suspend(suspended), DRMAA2_SUCCESS);
    queued = on_slurm() ? NULL : submit(js, due(sleeper(), at - 1));
    jt = due(sleeper(), at - 1);
    jt->submitAsHold = DRMAA2_TRUE;
    held = submit(js, jt);
    CHECK(time(NULL) < at - 1);
    if (queued != NULL)
        ends(queued, "deadline has come before it could run");
    ends(held, "deadline has come before it could run");
    CHECK(time(NULL) >= at - 1);
    ends(running, "deadline");
    ends(suspended, "deadline");
    CHECK(time(NULL) >= at);

    /* One that is through before it does not notice; DRMAA2_INFINITE_TIME is none. */
    running = run(js, due(command("true"), time(NULL) + 1000));
    ji = finish(running);
    CHECK_INT(ji->jobState, DRMAA2_DONE);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&running);
    running = run(js, due(command("true"), DRMAA2_INFINITE_TIME));
    drmaa2_j_wait_terminated(running, LONG);
    drmaa2_j_free(&running);

    refused(js, due(sleeper(), time(NULL) - 10), "deadlineTime");
    refused(js, due(sleeper(), DRMAA2_ZERO_TIME), "deadlineTime is 0");
    refused(js, due(sleeper(), DRMAA2_NOW), "deadlineTime is -2");
    jt = due(sleeper(), time(NULL) + 1000);
    jt->startTime = jt->deadlineTime;
    refused(js, jt, "not after startTime");
    done_with(&js);
    return check_result();
}
