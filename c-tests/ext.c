/*
 * What goes beyond the standard and needs no DRM system: lists, infos, versions.
 */
#include <drmaa2_ext.h>

#include "check.h"

static int released;

static void release(void **value) {
    (void) value;
    released++;
}

/* Pointers of the caller's, in a list that would release them. */
static void a_list_without_its_elements(void) {
    int one = 1, two = 2, three = 3;
    drmaa2_list l = drmaa2_list_create(DRMAA2_JOBLIST, release);
    CHECK_OK(drmaa2_list_add(l, &one));
    CHECK_OK(drmaa2_list_add(l, &two));
    CHECK_OK(uge_drmaa2_list_set(l, 0, &three));
    CHECK_INT(drmaa2_list_size(l), 2);
    CHECK(drmaa2_list_get(l, 0) == &three && drmaa2_list_get(l, 1) == &two);
    CHECK_ERROR(uge_drmaa2_list_set(l, 2, &one), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(uge_drmaa2_list_set(l, -1, &one), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(uge_drmaa2_list_set(l, 0, NULL), DRMAA2_INVALID_ARGUMENT);
    uge_drmaa2_list_free_root(&l);
    CHECK(l == NULL);
    uge_drmaa2_list_free_root(&l);
    CHECK_INT(released, 0);
    CHECK_INT(drmaa2_lasterror(), DRMAA2_INVALID_ARGUMENT);
}

/* A list of strings is read as it is after the change. */
static void a_list_of_strings(void) {
    char own[] = "own";
    drmaa2_string_list l = drmaa2_list_create(DRMAA2_STRINGLIST, NULL);
    CHECK_OK(drmaa2_list_add(l, "before"));
    CHECK_OK(uge_drmaa2_list_set(l, 0, own));
    CHECK_STR(drmaa2_list_get(l, 0), "own");
    uge_drmaa2_list_free_root(&l);

    /* One of the library's: its elements are the caller's then. */
    l = drmaa2_jtemplate_impl_spec();
    char *first = (char *) drmaa2_list_get(l, 0);
    while (drmaa2_list_size(l) > 1) {
        CHECK_OK(drmaa2_list_del(l, 1));
    }
    uge_drmaa2_list_free_root(&l);
    CHECK(strncmp(first, "containerd_jt_", 14) == 0);
    free(first);
}

static void a_new_info(void) {
    drmaa2_rinfo ri = drmaa2_rinfo_create();
    CHECK(ri->reservationId == NULL && ri->reservationName == NULL);
    CHECK_INT(ri->reservedStartTime, DRMAA2_UNSET_TIME);
    CHECK_INT(ri->reservedEndTime, DRMAA2_UNSET_TIME);
    CHECK_INT(ri->reservedSlots, DRMAA2_UNSET_NUM);
    CHECK(ri->usersACL == NULL && ri->reservedMachines == NULL && ri->implementationSpecific == NULL);
    ri->reservationId = strdup("1");
    ri->usersACL = drmaa2_list_create(DRMAA2_STRINGLIST, drmaa2_string_list_default_callback);
    CHECK_OK(drmaa2_list_add(ri->usersACL, strdup("user")));
    drmaa2_rinfo_free(&ri);
    CHECK(ri == NULL);
}

/* Values come and go, also in memory of the client. */
static void values_of_a_version(drmaa2_version v) {
    drmaa2_string_list names = drmaa2_version_impl_spec();
    CHECK(drmaa2_list_size(names) > 0);
    for (long at = 0; at < drmaa2_list_size(names); at++) {
        const char *name = drmaa2_list_get(names, at);
        CHECK(strncmp(name, "containerd_vi_", 14) == 0);
        char *text = drmaa2_describe_attribute(NULL, name);
        CHECK(text != NULL);
        free(text);
        CHECK_OK(drmaa2_set_instance_value(v, name, ""));
        CHECK_NULL(drmaa2_get_instance_value(v, name), DRMAA2_SUCCESS);
        CHECK(v->implementationSpecific == NULL);
    }
    drmaa2_dict all = uge_vi_impl_spec_get(v);
    drmaa2_string_list keys = drmaa2_dict_list(all);
    CHECK_INT(drmaa2_list_size(keys), 0);
    drmaa2_list_free(&keys);
    drmaa2_dict_free(&all);

    const char *name = drmaa2_list_get(names, 0);
    CHECK_OK(drmaa2_set_instance_value(v, name, "value"));
    all = uge_vi_impl_spec_get(v);
    /* A copy. */
    CHECK_OK(drmaa2_set_instance_value(v, name, NULL));
    CHECK_STR(drmaa2_dict_get(all, name), "value");
    drmaa2_dict_free(&all);
    drmaa2_list_free(&names);
}

int main(void) {
    drmaa2_version_s own;
    drmaa2_version v = drmaa2_get_drmaa_version();
    drmaa2_string_list none = drmaa2_slotinfo_impl_spec();

    a_list_without_its_elements();
    a_list_of_strings();
    a_new_info();
    memset(&own, 0, sizeof own);
    values_of_a_version(&own);
    values_of_a_version(v);
    drmaa2_string_list names = drmaa2_version_impl_spec();
    CHECK_OK(drmaa2_set_instance_value(v, drmaa2_list_get(names, 0), "freed with the version"));
    drmaa2_list_free(&names);
    drmaa2_version_free(&v);

    CHECK_INT(drmaa2_list_size(none), 0);
    drmaa2_list_free(&none);
    return check_result();
}
