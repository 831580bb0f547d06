/*
 * Lists: order, ownership and callbacks.
 */
#include "check.h"

static int released;
static char last_released[16];
static drmaa2_list observed;

static void count(void **value) {
    released++;
    snprintf(last_released, sizeof last_released, "%s", (char *) *value);
    drmaa2_string_list_default_callback(value);
}

/* A callback may use the library, and the list. */
static void use_library(void **value) {
    CHECK_INT(drmaa2_list_size(observed), 1);
    CHECK_INT(drmaa2_list_size(NULL), -1);
    drmaa2_string_list_default_callback(value);
}

static void order(void) {
    const char *texts[] = {"a", "b", "c", "d"};
    drmaa2_list list = drmaa2_list_create(DRMAA2_STRINGLIST, NULL);
    CHECK_INT(drmaa2_list_size(list), 0);
    for (int i = 0; i < 4; i++) {
        CHECK_OK(drmaa2_list_add(list, texts[i]));
        CHECK_INT(drmaa2_list_size(list), i + 1);
    }
    for (int i = 0; i < 4; i++) {
        CHECK(drmaa2_list_get(list, i) == texts[i]);
        CHECK_INT(drmaa2_lasterror(), DRMAA2_SUCCESS);
    }
    CHECK_NULL(drmaa2_list_get(list, 4), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_list_get(list, -1), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_list_del(list, 4), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_list_del(list, -1), DRMAA2_INVALID_ARGUMENT);
    CHECK_OK(drmaa2_list_del(list, 1));
    CHECK_INT(drmaa2_list_size(list), 3);
    CHECK(drmaa2_list_get(list, 0) == texts[0]);
    CHECK(drmaa2_list_get(list, 1) == texts[2]);
    CHECK(drmaa2_list_get(list, 2) == texts[3]);
    /* Without a callback the literals are left alone. */
    drmaa2_list_free(&list);
    CHECK(list == NULL);
    drmaa2_list_free(&list);
}

static void callbacks(void) {
    drmaa2_list list = drmaa2_list_create(DRMAA2_STRINGLIST, count);
    CHECK_OK(drmaa2_list_add(list, strdup("one")));
    CHECK_OK(drmaa2_list_add(list, strdup("two")));
    CHECK_OK(drmaa2_list_add(list, strdup("three")));
    CHECK_OK(drmaa2_list_del(list, 1));
    CHECK_INT(released, 1);
    CHECK_STR(last_released, "two");
    drmaa2_list_free(&list);
    CHECK_INT(released, 3);
    CHECK_STR(last_released, "three");

    list = drmaa2_list_create(DRMAA2_STRINGLIST, use_library);
    observed = list;
    CHECK_OK(drmaa2_list_add(list, strdup("one")));
    CHECK_OK(drmaa2_list_add(list, strdup("two")));
    /* An error in the callback is not the error of this call. */
    CHECK_OK(drmaa2_list_del(list, 0));
    CHECK_OK(drmaa2_list_add(list, strdup("three")));
    CHECK_OK(drmaa2_list_del(list, 0));
    observed = drmaa2_list_create(DRMAA2_STRINGLIST, NULL);
    CHECK_OK(drmaa2_list_add(observed, "stays"));
    drmaa2_list_free(&list);
    drmaa2_list_free(&observed);
}

static void kinds(void) {
    CHECK_NULL(drmaa2_list_create(DRMAA2_UNSET_LISTTYPE, NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_list_create((drmaa2_listtype) 6, NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_list_create((drmaa2_listtype) 1000, NULL), DRMAA2_INVALID_ARGUMENT);

    struct {
        drmaa2_listtype type;
        drmaa2_list_entryfree callback;
        size_t size;
    } kinds[] = {
        {DRMAA2_JOBLIST, drmaa2_j_list_default_callback, sizeof(drmaa2_j_s)},
        {DRMAA2_QUEUEINFOLIST, drmaa2_queueinfo_list_default_callback, sizeof(drmaa2_queueinfo_s)},
        {DRMAA2_MACHINEINFOLIST, drmaa2_machineinfo_list_default_callback,
         sizeof(drmaa2_machineinfo_s)},
        {DRMAA2_SLOTINFOLIST, drmaa2_slotinfo_list_default_callback, sizeof(drmaa2_slotinfo_s)},
        {DRMAA2_RESERVATIONLIST, drmaa2_r_list_default_callback, sizeof(drmaa2_r_s)},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        drmaa2_list list = drmaa2_list_create(kinds[i].type, kinds[i].callback);
        for (int element = 0; element < 3; element++) {
            /* Each of the structs starts with a name or id of its own. */
            char **block = calloc(1, kinds[i].size);
            *block = strdup("name");
            CHECK_OK(drmaa2_list_add(list, block));
            CHECK(drmaa2_list_get(list, element) == block);
        }
        CHECK_OK(drmaa2_list_del(list, 0));
        drmaa2_list_free(&list);
        CHECK(list == NULL);
        /* Called directly, they tolerate NULL at both levels. */
        void *nothing = NULL;
        kinds[i].callback(&nothing);
        kinds[i].callback(NULL);
    }
}

static void many(void) {
    drmaa2_list list = drmaa2_list_create(DRMAA2_STRINGLIST, drmaa2_string_list_default_callback);
    for (int i = 0; i < 10000; i++) {
        CHECK_OK(drmaa2_list_add(list, strdup("element")));
    }
    /* As some clients empty a list. */
    while (drmaa2_list_size(list) > 0) {
        CHECK_OK(drmaa2_list_del(list, 0));
    }
    drmaa2_list_free(&list);
}

int main(void) {
    order();
    callbacks();
    kinds();
    many();
    return check_result();
}
