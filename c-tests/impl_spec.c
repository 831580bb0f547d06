/*
 * Implementation-specific attributes: lists are never NULL, unknown names are errors.
 */
#include "check.h"

int main(void) {
    drmaa2_string_list (*lists[])(void) = {
        drmaa2_jtemplate_impl_spec,    drmaa2_jinfo_impl_spec,        drmaa2_rtemplate_impl_spec,
        drmaa2_rinfo_impl_spec,        drmaa2_queueinfo_impl_spec,    drmaa2_machineinfo_impl_spec,
        drmaa2_notification_impl_spec,
    };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        drmaa2_string_list names = lists[i]();
        CHECK(names != NULL);
        CHECK_INT(drmaa2_lasterror(), DRMAA2_SUCCESS);
        for (long at = 0; at < drmaa2_list_size(names); at++) {
            char *text = drmaa2_describe_attribute(NULL, drmaa2_list_get(names, at));
            CHECK(text != NULL);
            drmaa2_string_free(&text);
        }
        drmaa2_list_free(&names);
    }
    /* Some clients cannot have any here. */
    drmaa2_string_list (*empty[])(void) = {drmaa2_queueinfo_impl_spec, drmaa2_machineinfo_impl_spec,
                                           drmaa2_notification_impl_spec};
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        drmaa2_string_list names = empty[i]();
        CHECK_INT(drmaa2_list_size(names), 0);
        drmaa2_list_free(&names);
    }

    drmaa2_jtemplate jt = drmaa2_jtemplate_create();
    CHECK_NULL(drmaa2_get_instance_value(jt, "no such name"), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_describe_attribute(jt, "no such name"), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_set_instance_value(jt, "no such name", "value"), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_get_instance_value(jt, NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_set_instance_value(jt, NULL, NULL), DRMAA2_INVALID_ARGUMENT);
    drmaa2_jtemplate_free(&jt);
    return check_result();
}
