/* The shared part of the tests of calls on behalf of another user. */
#ifndef AS_H
#define AS_H

#include <drmaa2_ext.h>

#include "extension.h"

static inline drmaa2_sudo_s named(const char *user, const char *group, long uid, long gid)
{
    drmaa2_sudo_s sudo = {"", "", uid, gid};
    strcpy(sudo.username, user);
    strcpy(sudo.groupname, group);
    return sudo;
}

static inline drmaa2_j submit_as(drmaa2_sudo_s sudo, drmaa2_jsession js, drmaa2_jtemplate jt)
{
    drmaa2_j j = drmaa2_jsession_run_job_as(&sudo, js, jt);
    if (j == NULL)
        give_up("run_job_as");
    drmaa2_jtemplate_free(&jt);
    return j;
}

/* The job is DONE, and this user's. */
static inline void done_by(drmaa2_j *j, const char *owner)
{
    drmaa2_jinfo ji = finish(*j);
    CHECK_INT(ji->jobState, DRMAA2_DONE);
    CHECK_STR(ji->annotation, NULL);
    CHECK_STR(ji->jobOwner, owner);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(j);
}

#endif
