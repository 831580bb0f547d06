/*
 * Handles of sessions: what becomes of one that is closed, freed, destroyed or of another kind. Needs
 * a state directory, but no containerd.
 */
#include "check.h"

static drmaa2_jsession session(void) {
    drmaa2_jsession js = drmaa2_create_jsession(NULL, NULL);
    if (js == NULL) {
        char *text = drmaa2_lasterror_text();
        fprintf(stderr, "cannot create a session: %s\n", text);
        exit(EXIT_FAILURE);
    }
    return js;
}

static void is_no_session(drmaa2_jsession js) {
    CHECK_NULL(drmaa2_jsession_get_contact(js), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_jsession_get_session_name(js), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_jsession_get_job_categories(js), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_jsession_get_jobs(js, NULL), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_jsession_get_job_array(js, NULL), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_jsession_run_job(js, NULL), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_jsession_run_bulk_jobs(js, NULL, 1, 1, 1, 1), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_jsession_wait_any_started(js, NULL, 0), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_jsession_wait_any_terminated(js, NULL, 0), DRMAA2_INVALID_SESSION);
    CHECK_ERROR(drmaa2_close_jsession(js), DRMAA2_INVALID_SESSION);
}

static void closed_and_freed(void) {
    drmaa2_jsession js = session();
    drmaa2_jsession copy = js;
    char *name = drmaa2_jsession_get_session_name(js);
    /* Clients read it here as well. */
    CHECK_STR(js->name, name);
    CHECK_STR(js->contact, NULL);
    CHECK_OK(drmaa2_close_jsession(js));
    is_no_session(js);
    drmaa2_jsession_free(&js);
    CHECK(js == NULL);
    /* Another copy of the pointer leads nowhere, and does not free anything again. */
    is_no_session(copy);
    drmaa2_jsession_free(&copy);
    CHECK(copy == NULL);
    CHECK_OK(drmaa2_destroy_jsession(name));
    drmaa2_string_free(&name);
}

/* Freeing an open handle closes it, and leaves the session in the store and the last error alone. */
static void freed_open(void) {
    drmaa2_jsession js = session();
    drmaa2_jsession copy = js;
    char *name = drmaa2_jsession_get_session_name(js);
    drmaa2_list_size(NULL);
    drmaa2_jsession_free(&js);
    CHECK_INT(drmaa2_lasterror(), DRMAA2_INVALID_ARGUMENT);
    is_no_session(copy);
    js = drmaa2_open_jsession(name);
    CHECK(js != NULL);
    CHECK_OWN(drmaa2_jsession_get_session_name(js), name);
    drmaa2_jsession_free(&js);
    CHECK_OK(drmaa2_destroy_jsession(name));
    drmaa2_string_free(&name);
}

static void opened_twice(void) {
    drmaa2_jsession one = session();
    char *name = drmaa2_jsession_get_session_name(one);
    drmaa2_jsession other = drmaa2_open_jsession(name);
    CHECK(other != NULL && other != one);
    CHECK_OK(drmaa2_close_jsession(one));
    is_no_session(one);
    CHECK_OWN(drmaa2_jsession_get_session_name(other), name);
    CHECK_OK(drmaa2_destroy_jsession(name));
    is_no_session(other);
    drmaa2_jsession_free(&one);
    drmaa2_jsession_free(&other);
    drmaa2_string_free(&name);
}

static void arguments(void) {
    drmaa2_jsession js = session();
    drmaa2_jtemplate jt = drmaa2_jtemplate_create();
    drmaa2_jinfo filter = drmaa2_jinfo_create();
    char id[] = "no-such-array";
    char *name = drmaa2_jsession_get_session_name(js);

    CHECK_NULL(drmaa2_create_jsession("\xff", NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_create_jsession(NULL, "\xff"), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_create_jsession(name, NULL), DRMAA2_INVALID_ARGUMENT);

    CHECK_NULL(drmaa2_jsession_run_job(js, NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_jsession_run_bulk_jobs(js, NULL, 1, 1, 1, 1), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_jsession_run_bulk_jobs(js, jt, 0, 1, 1, 1), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_jsession_run_bulk_jobs(js, jt, 2, 1, 1, 1), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_jsession_run_bulk_jobs(js, jt, 1, 1, 0, 1), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_jsession_get_job_array(js, NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK(drmaa2_jsession_get_job_array(js, id) == NULL);

    /* A list of the wrong kind where a list is read. */
    jt->args = drmaa2_list_create(DRMAA2_JOBLIST, NULL);
    CHECK_NULL(drmaa2_jsession_run_job(js, jt), DRMAA2_INVALID_ARGUMENT);
    drmaa2_string_list strings = drmaa2_list_create(DRMAA2_STRINGLIST, NULL);
    drmaa2_j_list jobs = drmaa2_list_create(DRMAA2_JOBLIST, NULL);
    drmaa2_list wrong[] = {NULL, strings, jobs};
    for (int i = 0; i < 3; i++) {
        CHECK_NULL(drmaa2_jsession_wait_any_started(js, wrong[i], 0), DRMAA2_INVALID_ARGUMENT);
        CHECK_NULL(drmaa2_jsession_wait_any_terminated(js, wrong[i], 0), DRMAA2_INVALID_ARGUMENT);
    }
    drmaa2_j_s made = {id, name, NULL};
    CHECK_OK(drmaa2_list_add(jobs, &made));
    CHECK_NULL(drmaa2_jsession_wait_any_started(js, jobs, DRMAA2_UNSET_TIME), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_jsession_wait_any_started(js, jobs, 0), DRMAA2_INVALID_ARGUMENT);

    /* A neutral filter, one that makes no sense, and one that matches nothing. */
    drmaa2_j_list found = drmaa2_jsession_get_jobs(js, filter);
    CHECK_INT(drmaa2_list_size(found), 0);
    drmaa2_list_free(&found);
    filter->jobState = (drmaa2_jstate) 99;
    CHECK_NULL(drmaa2_jsession_get_jobs(js, filter), DRMAA2_INVALID_ARGUMENT);
    filter->jobState = DRMAA2_RUNNING;
    found = drmaa2_jsession_get_jobs(js, filter);
    CHECK_INT(drmaa2_list_size(found), 0);
    drmaa2_list_free(&found);

    drmaa2_list_free(&strings);
    drmaa2_list_free(&jobs);
    drmaa2_jinfo_free(&filter);
    drmaa2_jtemplate_free(&jt);
    drmaa2_jsession_free(&js);
    CHECK_OK(drmaa2_destroy_jsession(name));
    drmaa2_string_free(&name);
}

static void monitoring(void) {
    drmaa2_msession ms = drmaa2_open_msession("any name");
    drmaa2_msession copy = ms;
    CHECK(ms != NULL);
    CHECK_STR(ms->name, "any name");
    drmaa2_r_list reservations = drmaa2_msession_get_all_reservations(ms);
    CHECK(reservations != NULL);
    drmaa2_list_free(&reservations);
    /* It is no job session. */
    is_no_session((drmaa2_jsession) ms);
    CHECK_OK(drmaa2_close_msession(ms));
    CHECK_ERROR(drmaa2_close_msession(ms), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_msession_get_all_reservations(ms), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_msession_get_all_jobs(ms, NULL), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_msession_get_all_queues(ms, NULL), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_msession_get_all_machines(ms, NULL), DRMAA2_INVALID_SESSION);
    drmaa2_msession_free(&ms);
    CHECK_ERROR(drmaa2_close_msession(copy), DRMAA2_INVALID_SESSION);
    drmaa2_msession_free(&copy);
    ms = drmaa2_open_msession(NULL);
    CHECK_STR(ms->name, NULL);
    drmaa2_msession_free(&ms);
}

int main(void) {
    closed_and_freed();
    freed_open();
    opened_twice();
    arguments();
    monitoring();
    return check_result();
}
