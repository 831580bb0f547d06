/* Anything done on behalf of a user is his, and he controls what is his. */
#include "as.h"

/* He controls what is his. */
static void controls(drmaa2_jsession js)
{
    drmaa2_sudo_s nobody = named("nobody", "", -1, -1), himself = named("", "", -1, -1);
    drmaa2_j roots = run(js, sleeper()), his = submit_as(nobody, js, sleeper());
    drmaa2_jtemplate jt;
    drmaa2_jinfo ji;
    drmaa2_jarray ja;
    drmaa2_j task;
    drmaa2_error (*const one[])(drmaa2_sudo, drmaa2_j) = {drmaa2_j_suspend_as, drmaa2_j_resume_as,
                                                          drmaa2_j_hold_as, drmaa2_j_release_as};
    drmaa2_error (*const all[])(drmaa2_sudo, drmaa2_jarray) = {
        drmaa2_jarray_suspend_as, drmaa2_jarray_resume_as,    drmaa2_jarray_hold_as,
        drmaa2_jarray_release_as, drmaa2_jarray_terminate_as, drmaa2_jarray_terminate_all_as};
    size_t i;

    for (i = 0; i < 4; i++) {
        CHECK_ERROR(one[i](&nobody, roots), DRMAA2_DENIED_BY_DRMS);
        failed(DRMAA2_DENIED_BY_DRMS, roots->id);
    }
    CHECK_ERROR(drmaa2_j_terminate_as(&nobody, roots, DRMAA2_FALSE), DRMAA2_DENIED_BY_DRMS);
    CHECK_ERROR(drmaa2_j_terminate_as(&nobody, roots, DRMAA2_TRUE), DRMAA2_DENIED_BY_DRMS);
    CHECK_ERROR(drmaa2_j_terminate_all_as(&nobody, roots, DRMAA2_FALSE), DRMAA2_DENIED_BY_DRMS);
    failed(DRMAA2_DENIED_BY_DRMS, "user root's, not user nobody's");
    CHECK_INT(drmaa2_j_get_state(roots, NULL), DRMAA2_RUNNING);
    CHECK_OK(drmaa2_j_suspend_as(&himself, roots));
    CHECK_INT(drmaa2_j_get_state(roots, NULL), DRMAA2_SUSPENDED);
    CHECK_OK(drmaa2_j_resume_as(&himself, roots));
    CHECK_OK(drmaa2_j_terminate_as(&himself, roots, DRMAA2_FALSE));
    ji = finish(roots);
    CHECK_STR(ji->terminatingSignal, "SIGTERM");
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&roots);

    CHECK_INT(drmaa2_j_wait_started(his, LONG), DRMAA2_SUCCESS);
    CHECK_OK(drmaa2_j_suspend_as(&nobody, his));
    CHECK_INT(drmaa2_j_get_state(his, NULL), DRMAA2_SUSPENDED);
    CHECK_OK(drmaa2_j_resume_as(&nobody, his));
    CHECK_INT(drmaa2_j_get_state(his, NULL), DRMAA2_RUNNING);
    CHECK_ERROR(drmaa2_j_hold_as(&nobody, his), DRMAA2_INVALID_STATE);
    CHECK_OK(drmaa2_j_terminate_as(&nobody, his, DRMAA2_TRUE));
    ji = finish(his);
    CHECK_STR(ji->terminatingSignal, "SIGKILL");
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&his);

    jt = sleeper();
    jt->submitAsHold = DRMAA2_TRUE;
    ja = drmaa2_jsession_run_bulk_jobs(js, jt, 1, 2, 1, 0);
    CHECK(ja != NULL);
    for (i = 0; i < 6; i++) {
        CHECK_ERROR(all[i](&nobody, ja), DRMAA2_DENIED_BY_DRMS);
        failed(DRMAA2_DENIED_BY_DRMS, ja->id);
    }
    CHECK_OK(drmaa2_jarray_terminate_all_as(&himself, ja));
    drmaa2_jarray_free(&ja);

    ja = drmaa2_jsession_run_bulk_jobs_as(&nobody, js, jt, 1, 2, 1, 0);
    CHECK(ja != NULL);
    CHECK_OK(drmaa2_jarray_release_as(&nobody, ja));
    CHECK_ERROR(drmaa2_jarray_release_as(&nobody, ja), DRMAA2_INVALID_STATE);
    task = (drmaa2_j)drmaa2_list_get(ja->job_list, 0);
    CHECK_INT(drmaa2_j_wait_started(task, LONG), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_j_wait_started((drmaa2_j)drmaa2_list_get(ja->job_list, 1), LONG), DRMAA2_SUCCESS);
    CHECK_OK(drmaa2_jarray_suspend_as(&nobody, ja));
    CHECK_INT(drmaa2_j_get_state(task, NULL), DRMAA2_SUSPENDED);
    CHECK_OK(drmaa2_jarray_resume_as(&nobody, ja));
    CHECK_ERROR(drmaa2_jarray_hold_as(&nobody, ja), DRMAA2_INVALID_STATE);
    CHECK_OK(drmaa2_j_terminate_all_as(&nobody, task, DRMAA2_TRUE));
    for (i = 0; i < 2; i++) {
        ji = finish((drmaa2_j)drmaa2_list_get(ja->job_list, (long)i));
        CHECK_STR(ji->terminatingSignal, "SIGKILL");
        drmaa2_jinfo_free(&ji);
    }
    CHECK_ERROR(drmaa2_jarray_terminate_as(&nobody, ja), DRMAA2_INVALID_STATE);
    drmaa2_jarray_free(&ja);
    drmaa2_jtemplate_free(&jt);
}

/* A job that waits for its time is held and let go, and ends. */
static void waiting(drmaa2_jsession js)
{
    drmaa2_sudo_s nobody = named("nobody", "", -1, -1);
    drmaa2_jtemplate jt = sleeper();
    drmaa2_jarray ja;
    drmaa2_j task;
    jt->startTime = time(NULL) + 3600;
    ja = drmaa2_jsession_run_bulk_jobs_as(&nobody, js, jt, 1, 2, 1, 0);
    CHECK(ja != NULL);
    task = (drmaa2_j)drmaa2_list_get(ja->job_list, 1);
    CHECK_OK(drmaa2_j_hold_as(&nobody, task));
    CHECK_INT(drmaa2_j_get_state(task, NULL), DRMAA2_QUEUED_HELD);
    CHECK_OK(drmaa2_j_release_as(&nobody, task));
    CHECK_INT(drmaa2_j_get_state(task, NULL), DRMAA2_QUEUED);
    CHECK_OK(drmaa2_jarray_hold_as(&nobody, ja));
    CHECK_INT(drmaa2_j_get_state(task, NULL), DRMAA2_QUEUED_HELD);
    CHECK_OK(drmaa2_jarray_terminate_as(&nobody, ja));
    CHECK_INT(drmaa2_j_get_state(task, NULL), DRMAA2_FAILED);
    drmaa2_jarray_free(&ja);

    ja = drmaa2_jsession_run_bulk_jobs_as(&nobody, js, jt, 1, 2, 1, 0);
    CHECK(ja != NULL);
    task = (drmaa2_j)drmaa2_list_get(ja->job_list, 1);
    CHECK_OK(drmaa2_j_terminate_all_as(&nobody, (drmaa2_j)drmaa2_list_get(ja->job_list, 0), DRMAA2_FALSE));
    CHECK_INT(drmaa2_j_get_state(task, NULL), DRMAA2_FAILED);
    drmaa2_jarray_free(&ja);
    drmaa2_jtemplate_free(&jt);
}

/* Sessions and reservations have an owner, too. */
static void sessions(void)
{
    drmaa2_sudo_s nobody = named("nobody", "", -1, -1), himself = named("", "", -1, -1);
    drmaa2_jsession plain = session("plain"), his = drmaa2_create_jsession_as(&nobody, "his", NULL);
    drmaa2_rsession rs = drmaa2_create_rsession_as(&nobody, "his", NULL);
    drmaa2_rtemplate rt = drmaa2_rtemplate_create();
    drmaa2_jtemplate jt;
    drmaa2_r roots, r;
    drmaa2_rinfo ri;
    drmaa2_j j;
    if (his == NULL || rs == NULL)
        give_up("create_session_as");
    CHECK_NULL(drmaa2_create_jsession_as(&nobody, "his", NULL), DRMAA2_INVALID_ARGUMENT);

    /* A job that root submits there is still root's. */
    j = submit(his, command("true"));
    done_by(&j, "root");

    rt->duration = 600;
    roots = drmaa2_rsession_request_reservation(rs, rt);
    r = drmaa2_rsession_request_reservation_as(&nobody, rs, rt);
    if (roots == NULL || r == NULL)
        give_up("request_reservation");
    drmaa2_rtemplate_free(&rt);
    ri = drmaa2_r_get_info(r);
    CHECK(ri != NULL && drmaa2_list_size(ri->usersACL) == 1);
    CHECK_STR((const char *)drmaa2_list_get(ri->usersACL, 0), "nobody");
    drmaa2_rinfo_free(&ri);
    jt = command("true");
    jt->reservationId = drmaa2_r_get_id(r);
    CHECK_NULL(drmaa2_jsession_run_job(his, jt), DRMAA2_DENIED_BY_DRMS);
    j = submit_as(nobody, his, jt);
    done_by(&j, "nobody");
    CHECK_ERROR(drmaa2_r_terminate_as(&nobody, roots), DRMAA2_DENIED_BY_DRMS);
    failed(DRMAA2_DENIED_BY_DRMS, roots->id);
    CHECK_OK(drmaa2_r_terminate_as(&nobody, r));
    CHECK_ERROR(drmaa2_r_terminate_as(&nobody, r), DRMAA2_INVALID_STATE);
    CHECK_OK(drmaa2_r_terminate_as(&himself, roots));
    drmaa2_r_free(&roots);
    drmaa2_r_free(&r);

    CHECK_ERROR(drmaa2_destroy_jsession_as(&nobody, "plain"), DRMAA2_DENIED_BY_DRMS);
    failed(DRMAA2_DENIED_BY_DRMS, "\"plain\" is user root's, not user nobody's");
    CHECK_ERROR(drmaa2_destroy_jsession_as(&nobody, "none"), DRMAA2_INVALID_ARGUMENT);
    CHECK_OK(drmaa2_close_jsession(plain));
    CHECK_OK(drmaa2_destroy_jsession_as(&himself, "plain"));
    drmaa2_jsession_free(&plain);
    CHECK_OK(drmaa2_close_jsession(his));
    CHECK_OK(drmaa2_destroy_jsession_as(&nobody, "his"));
    drmaa2_jsession_free(&his);
    CHECK_OK(drmaa2_close_rsession(rs));
    drmaa2_rsession_free(&rs);
    CHECK_OK(drmaa2_destroy_rsession_as(&nobody, "his"));
    rs = drmaa2_create_rsession("roots", NULL);
    CHECK_ERROR(drmaa2_destroy_rsession_as(&nobody, "roots"), DRMAA2_DENIED_BY_DRMS);
    drmaa2_rsession_free(&rs);
    CHECK_OK(drmaa2_destroy_rsession("roots"));
}

/* The session of that name that root's program opens has this contact. */
static void opens(const char *name, const char *expected)
{
    drmaa2_jsession js = drmaa2_open_jsession(name);
    drmaa2_string contact;
    if (js == NULL)
        give_up("open_jsession");
    contact = drmaa2_jsession_get_contact(js);
    CHECK_STR(contact, expected);
    drmaa2_string_free(&contact);
    CHECK_OK(drmaa2_close_jsession(js));
    drmaa2_jsession_free(&js);
}

/* Each user has names of his own. */
static void names(void)
{
    static const char *const contacts[] = {"containerd://?slots=2", "containerd://?slots=3", "containerd://?slots=4"};
    drmaa2_sudo_s nobody = named("nobody", "", -1, -1), daemon = named("daemon", "", -1, -1);
    drmaa2_jsession mine = drmaa2_create_jsession("same", contacts[0]);
    drmaa2_jsession first = drmaa2_create_jsession_as(&nobody, "same", contacts[1]);
    drmaa2_jsession second = drmaa2_create_jsession_as(&daemon, "same", contacts[2]);
    drmaa2_string_list all;
    long long seen = 0;
    drmaa2_j j;
    if (mine == NULL || first == NULL || second == NULL)
        give_up("create_session_as");
    all = drmaa2_get_jsession_names();
    for (long long at = 0; at < drmaa2_list_size(all); at++)
        seen += strcmp((const char *)drmaa2_list_get(all, at), "same") == 0;
    CHECK_INT(seen, 1);
    drmaa2_list_free(&all);
    /* What was submitted to one of them is not among the jobs of the others. */
    j = submit(first, command("true"));
    all = drmaa2_jsession_get_jobs(mine, NULL);
    CHECK_INT(drmaa2_list_size(all), 0);
    drmaa2_list_free(&all);
    done_by(&j, "root");

    opens("same", contacts[0]);
    CHECK_OK(drmaa2_destroy_jsession("same"));
    CHECK_NULL(drmaa2_open_jsession("same"), DRMAA2_INVALID_ARGUMENT);
    failed(DRMAA2_INVALID_ARGUMENT, "one of user nobody and one of user daemon");
    CHECK_OK(drmaa2_destroy_jsession_as(&daemon, "same"));
    opens("same", contacts[1]);
    CHECK_OK(drmaa2_destroy_jsession_as(&nobody, "same"));
    drmaa2_jsession_free(&mine);
    drmaa2_jsession_free(&first);
    drmaa2_jsession_free(&second);
}

int main(void)
{
    drmaa2_jsession js = session("as");
    controls(js);
    waiting(js);
    done_with(&js);
    sessions();
    names();
    return check_result();
}
