/*
 * Implementation-specific attributes: lists are never NULL, unknown names are errors, values are copies
 * that belong to their struct.
 */
#include "check.h"

/* Call `each` with every name of a list. */
static void for_names(drmaa2_string_list names, void *instance, void (*each)(void *, const char *)) {
    CHECK(names != NULL && drmaa2_list_size(names) > 0);
    for (long at = 0; at < drmaa2_list_size(names); at++) {
        each(instance, drmaa2_list_get(names, at));
    }
    drmaa2_list_free(&names);
}

static void clear(void *instance, const char *name) {
    CHECK_OK(drmaa2_set_instance_value(instance, name, ""));
    CHECK_OK(drmaa2_set_instance_value(instance, name, NULL));
    CHECK_NULL(drmaa2_get_instance_value(instance, name), DRMAA2_SUCCESS);
}

static void set_to_its_name(void *instance, const char *name) {
    CHECK_OK(drmaa2_set_instance_value(instance, name, "first"));
    CHECK_OK(drmaa2_set_instance_value(instance, name, name));
}

static void is_its_name(void *instance, const char *name) {
    CHECK_OWN(drmaa2_get_instance_value(instance, name), name);
}

/* From no value to values and back. */
static void life(drmaa2_string_list (*names)(void), void *instance, void **member) {
    for_names(names(), instance, clear);
    CHECK(*member == NULL);
    for_names(names(), instance, set_to_its_name);
    CHECK(*member != NULL);
    for_names(names(), instance, is_its_name);
    for_names(names(), instance, clear);
    CHECK(*member == NULL);
}

static void lists(void) {
    drmaa2_string_list (*lists[])(void) = {
        drmaa2_jtemplate_impl_spec,    drmaa2_jinfo_impl_spec,        drmaa2_rtemplate_impl_spec,
        drmaa2_rinfo_impl_spec,        drmaa2_queueinfo_impl_spec,    drmaa2_machineinfo_impl_spec,
        drmaa2_notification_impl_spec,
    };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        drmaa2_string_list names = lists[i]();
        CHECK(names != NULL);
        CHECK_INT(drmaa2_lasterror(), DRMAA2_SUCCESS);
        /* Some clients cannot have any in the last ones; those of reservations have none. */
        CHECK((drmaa2_list_size(names) > 0) == (i < 2));
        for (long at = 0; at < drmaa2_list_size(names); at++) {
            const char *name = drmaa2_list_get(names, at);
            /* The name alone tells what an instance is. */
            char *text = drmaa2_describe_attribute((const void *) 1, name);
            CHECK(text != NULL && strlen(text) > 10);
            drmaa2_string_free(&text);
            CHECK(strncmp(name, i == 0 ? "containerd_jt_" : "containerd_ji_", 14) == 0);
        }
        drmaa2_list_free(&names);
    }
}

int main(void) {
    lists();

    drmaa2_jtemplate jt = drmaa2_jtemplate_create();
    CHECK_NULL(drmaa2_get_instance_value(jt, "no such name"), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_describe_attribute(jt, "no such name"), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_set_instance_value(jt, "no such name", "value"), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_get_instance_value(jt, NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_describe_attribute(jt, NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_set_instance_value(jt, NULL, NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_get_instance_value(NULL, "containerd_jt_user"), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_set_instance_value(NULL, "containerd_jt_user", "u"), DRMAA2_INVALID_ARGUMENT);
    life(drmaa2_jtemplate_impl_spec, jt, &jt->implementationSpecific);
    /* The values that are set are freed with the struct. */
    for_names(drmaa2_jtemplate_impl_spec(), jt, set_to_its_name);
    drmaa2_jtemplate_free(&jt);

    drmaa2_jinfo ji = drmaa2_jinfo_create();
    life(drmaa2_jinfo_impl_spec, ji, &ji->implementationSpecific);
    for_names(drmaa2_jinfo_impl_spec(), ji, set_to_its_name);
    drmaa2_jinfo_free(&ji);

    /* A struct that a client made by itself. */
    drmaa2_jinfo_s own;
    memset(&own, 0, sizeof own);
    life(drmaa2_jinfo_impl_spec, &own, &own.implementationSpecific);
    return check_result();
}
