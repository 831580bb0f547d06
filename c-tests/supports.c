/*
 * Capabilities: a number that is none is not supported, and what is not supported says so.
 */
#include "check.h"

static void took(drmaa2_notification *notification) { drmaa2_notification_free(notification); }

int main(void) {
    int none[] = {DRMAA2_UNSET_CAPABILITY, -2, 13, 99, 1 << 30};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        CHECK_INT(drmaa2_supports((drmaa2_capability) none[i]), DRMAA2_FALSE);
        CHECK_INT(drmaa2_lasterror(), DRMAA2_SUCCESS);
    }
    for (int c = DRMAA2_ADVANCE_RESERVATION; c <= DRMAA2_RT_MACHINEARCH; c++) {
        drmaa2_bool answer = drmaa2_supports((drmaa2_capability) c);
        CHECK(answer == DRMAA2_TRUE || answer == DRMAA2_FALSE);
    }

    if (!drmaa2_supports(DRMAA2_ADVANCE_RESERVATION)) {
        CHECK_NULL(drmaa2_create_rsession("name", NULL), DRMAA2_UNSUPPORTED_OPERATION);
        CHECK_NULL(drmaa2_open_rsession("name"), DRMAA2_UNSUPPORTED_OPERATION);
        CHECK_ERROR(drmaa2_destroy_rsession("name"), DRMAA2_UNSUPPORTED_OPERATION);
        CHECK_NULL(drmaa2_get_rsession_names(), DRMAA2_UNSUPPORTED_OPERATION);
        char id[] = "1";
        drmaa2_r_s r = {id, NULL};
        CHECK_NULL(drmaa2_r_get_id(&r), DRMAA2_UNSUPPORTED_OPERATION);
        CHECK_NULL(drmaa2_r_get_info(&r), DRMAA2_UNSUPPORTED_OPERATION);
        CHECK_ERROR(drmaa2_r_terminate(&r), DRMAA2_UNSUPPORTED_OPERATION);
    }
    if (!drmaa2_supports(DRMAA2_CALLBACK)) {
        CHECK_ERROR(drmaa2_register_event_notification(took), DRMAA2_UNSUPPORTED_OPERATION);
        CHECK_ERROR(drmaa2_register_event_notification(NULL), DRMAA2_UNSUPPORTED_OPERATION);
    }
    return check_result();
}
