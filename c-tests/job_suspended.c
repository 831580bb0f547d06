/* A suspended job does not outlive its limits: its init is stopped with it, but others are not. */
#include "job.h"

int main(void)
{
    drmaa2_jsession js = session(NULL);
    drmaa2_jtemplate jt = sleeper();
    drmaa2_jinfo ji;
    drmaa2_j j;
    char limit[16], reason[80];
    snprintf(limit, sizeof limit, "%d", SOON);
    snprintf(reason, sizeof reason, "wall clock limit (WALLCLOCK_TIME) of %s s", limit);
    jt->resourceLimits = drmaa2_dict_create(drmaa2_dict_default_callback);
    drmaa2_dict_set(jt->resourceLimits, strdup(DRMAA2_WALLCLOCK_TIME), strdup(limit));
    j = run(js, jt);
    CHECK_INT(drmaa2_j_suspend(j), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_j_get_state(j, NULL), DRMAA2_SUSPENDED);
    ji = finish(j);
    CHECK_INT(ji->jobState, DRMAA2_FAILED);
    CHECK(ji->annotation != NULL && strstr(ji->annotation, reason) != NULL);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);
    done_with(&js);
    return check_result();
}
