/*
 * NULL wherever there is a pointer, in every function beyond the standard: an error, never a crash.
 */
#include <drmaa2_ext.h>

#include "check.h"

static void infos(void) {
    drmaa2_rinfo ri = drmaa2_rinfo_create();
    CHECK(ri != NULL);
    drmaa2_rinfo_free(&ri);
}

/* Without a record, and with one and nothing else. */
static void sudo(void) {
    drmaa2_sudo_s me = {"", "", -1, -1};
    drmaa2_sudo records[] = {NULL, &me};
    drmaa2_error session[] = {DRMAA2_INVALID_ARGUMENT, DRMAA2_INVALID_SESSION};
    int i;
    for (i = 0; i < 2; i++) {
        drmaa2_sudo sudo = records[i];
        CHECK_ERROR(drmaa2_destroy_jsession_as(sudo, NULL), DRMAA2_INVALID_ARGUMENT);
        CHECK_ERROR(drmaa2_destroy_rsession_as(sudo, NULL), DRMAA2_INVALID_ARGUMENT);
        CHECK_NULL(drmaa2_jsession_run_job_as(sudo, NULL, NULL), session[i]);
        CHECK_NULL(drmaa2_jsession_run_bulk_jobs_as(sudo, NULL, NULL, 1, 1, 1, 0), session[i]);
        CHECK_NULL(drmaa2_rsession_request_reservation_as(sudo, NULL, NULL), session[i]);
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
    CHECK_NULL(drmaa2_create_jsession_as(NULL, NULL, NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_create_rsession_as(NULL, NULL, NULL), DRMAA2_INVALID_ARGUMENT);
}

int main(void) {
    infos();
    sudo();
    return check_result();
}
