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

int main(void) {
    infos();
    lists();
    jobs();
    return check_result();
}
