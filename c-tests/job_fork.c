/* fork(): a child goes on with the sessions and jobs of its parent, and so does the parent. */
#include "job.h"

static drmaa2_jsession js;
static drmaa2_j running;

static void child(const char *arg)
{
    drmaa2_j own = run(js, shell("exit 5"));
    drmaa2_jinfo ji = finish(own);
    (void)arg;
    CHECK_INT(ji->exitStatus, 5);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&own);
    CHECK_INT(drmaa2_j_get_state(running, NULL), DRMAA2_RUNNING);
    CHECK_INT(drmaa2_j_terminate(running), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_j_wait_terminated(running, LONG), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_close_jsession(js), DRMAA2_SUCCESS);
}

int main(void)
{
    drmaa2_j_list jobs;
    js = session(NULL);
    running = run(js, sleeper());
    in_child(child, NULL);
    /* Closed in the child, open here. */
    CHECK_INT(drmaa2_j_wait_terminated(running, LONG), DRMAA2_SUCCESS);
    jobs = drmaa2_jsession_get_jobs(js, NULL);
    CHECK_INT(drmaa2_list_size(jobs), 2);
    drmaa2_list_free(&jobs);
    drmaa2_j_free(&running);
    done_with(&js);
    return check_result();
}
