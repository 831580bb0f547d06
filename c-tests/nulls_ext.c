/*
 * NULL wherever there is a pointer, in every function beyond the standard: an error, never a crash.
 */
#include <drmaa2_ext.h>

#include "check.h"

static void infos(void) {
    drmaa2_rinfo ri = drmaa2_rinfo_create();
    CHECK(ri != NULL);
    drmaa2_rinfo_free(&ri);

    drmaa2_string_list names = drmaa2_version_impl_spec();
    CHECK(names != NULL);
    drmaa2_list_free(&names);
    names = drmaa2_slotinfo_impl_spec();
    CHECK(names != NULL);
    drmaa2_list_free(&names);
    CHECK_NULL(uge_vi_impl_spec_get(NULL), DRMAA2_INVALID_ARGUMENT);
}

static void lists(void) {
    drmaa2_list nothing = NULL;
    uge_drmaa2_list_free_root(NULL);
    uge_drmaa2_list_free_root(&nothing);
    CHECK_ERROR(uge_drmaa2_list_set(NULL, 0, &nothing), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(uge_drmaa2_list_set(NULL, 0, NULL), DRMAA2_INVALID_ARGUMENT);
}

static void jobs(void) {
    CHECK_NULL(drmaa2_j_get_jt(NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_jarray_get_job_template(NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_r_get_rtemplate(NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_j_terminate_forced(NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_j_terminate_all(NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_j_terminate_forced_all(NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_jarray_terminate_all(NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_jsession_wait_all_started(NULL, NULL, 0), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_jsession_wait_all_terminated(NULL, NULL, 0), DRMAA2_INVALID_SESSION);
}

/* Without a record, and with one and nothing else: either is the caller. */
static void sudo(void) {
    drmaa2_sudo_t me = {"", "", -1, -1};
    drmaa2_sudo records[] = {NULL, &me};
    int i;
    for (i = 0; i < 2; i++) {
        drmaa2_sudo sudo = records[i];
        CHECK_ERROR(drmaa2_destroy_jsession_as(sudo, NULL), DRMAA2_INVALID_ARGUMENT);
        CHECK_ERROR(drmaa2_destroy_rsession_as(sudo, NULL), DRMAA2_INVALID_ARGUMENT);
        CHECK_NULL(drmaa2_jsession_run_job_as(sudo, NULL, NULL), DRMAA2_INVALID_SESSION);
        CHECK_NULL(drmaa2_jsession_run_bulk_jobs_as(sudo, NULL, NULL, 1, 1, 1, 0), DRMAA2_INVALID_SESSION);
        CHECK_NULL(drmaa2_rsession_request_reservation_as(sudo, NULL, NULL), DRMAA2_INVALID_SESSION);
        CHECK_ERROR(drmaa2_r_terminate_as(sudo, NULL), DRMAA2_INVALID_ARGUMENT);
        CHECK_ERROR(drmaa2_j_suspend_as(sudo, NULL), DRMAA2_INVALID_ARGUMENT);
        CHECK_ERROR(drmaa2_j_resume_as(sudo, NULL), DRMAA2_INVALID_ARGUMENT);
        CHECK_ERROR(drmaa2_j_hold_as(sudo, NULL), DRMAA2_INVALID_ARGUMENT);
        CHECK_ERROR(drmaa2_j_release_as(sudo, NULL), DRMAA2_INVALID_ARGUMENT);
        CHECK_ERROR(drmaa2_j_terminate_as(sudo, NULL, DRMAA2_FALSE), DRMAA2_INVALID_ARGUMENT);
        CHECK_ERROR(drmaa2_j_terminate_all_as(sudo, NULL, DRMAA2_TRUE), DRMAA2_INVALID_ARGUMENT);
        CHECK_ERROR(drmaa2_jarray_suspend_as(sudo, NULL), DRMAA2_INVALID_ARGUMENT);
        CHECK_ERROR(drmaa2_jarray_resume_as(sudo, NULL), DRMAA2_INVALID_ARGUMENT);
        CHECK_ERROR(drmaa2_jarray_hold_as(sudo, NULL), DRMAA2_INVALID_ARGUMENT);
        CHECK_ERROR(drmaa2_jarray_release_as(sudo, NULL), DRMAA2_INVALID_ARGUMENT);
        CHECK_ERROR(drmaa2_jarray_terminate_as(sudo, NULL), DRMAA2_INVALID_ARGUMENT);
        CHECK_ERROR(drmaa2_jarray_terminate_all_as(sudo, NULL), DRMAA2_INVALID_ARGUMENT);
    }
}

/* Sessions of the caller, which nobody is to find later. */
static void sessions(void) {
    drmaa2_jsession js = drmaa2_create_jsession_as(NULL, NULL, NULL);
    CHECK_ANSWER(js);
    if (js != NULL) {
        drmaa2_string name = drmaa2_jsession_get_session_name(js);
        CHECK_OK(drmaa2_close_jsession(js));
        CHECK_OK(drmaa2_destroy_jsession_as(NULL, name));
        drmaa2_jsession_free(&js);
        drmaa2_string_free(&name);
    }
    drmaa2_rsession rs = drmaa2_create_rsession_as(NULL, NULL, NULL);
    CHECK_ANSWER(rs);
    if (rs != NULL) {
        drmaa2_string name = drmaa2_rsession_get_session_name(rs);
        CHECK_OK(drmaa2_close_rsession(rs));
        CHECK_OK(drmaa2_destroy_rsession_as(NULL, name));
        drmaa2_rsession_free(&rs);
        drmaa2_string_free(&name);
    }
}

int main(void) {
    infos();
    lists();
    jobs();
    sudo();
    sessions();
    return check_result();
}
