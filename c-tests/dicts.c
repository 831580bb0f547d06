/*
 * Dictionaries: keys by content, ownership and callbacks.
 */
#include "check.h"

static int released_keys;
static int released_values;

static void count(char **key, char **value) {
    released_keys += *key != NULL;
    released_values += *value != NULL;
    drmaa2_dict_default_callback(key, value);
}

static void borrowed(void) {
    char first[] = "key", second[] = "key", other[] = "other";
    const char *one = "1", *two = "2";
    drmaa2_dict dict = drmaa2_dict_create(NULL);
    CHECK_OK(drmaa2_dict_set(dict, first, one));
    CHECK(drmaa2_dict_get(dict, second) == one);
    /* Another pointer, the same key. */
    CHECK_OK(drmaa2_dict_set(dict, second, two));
    CHECK(drmaa2_dict_get(dict, first) == two);
    CHECK_INT(drmaa2_dict_has(dict, first), DRMAA2_TRUE);
    CHECK_INT(drmaa2_dict_has(dict, other), DRMAA2_FALSE);
    CHECK_INT(drmaa2_lasterror(), DRMAA2_SUCCESS);
    CHECK_NULL(drmaa2_dict_get(dict, other), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_dict_del(dict, other), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_dict_set(dict, NULL, one), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_dict_set(dict, other, NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_dict_get(dict, NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_INT(drmaa2_dict_has(dict, NULL), DRMAA2_FALSE);
    CHECK_INT(drmaa2_lasterror(), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_dict_del(dict, NULL), DRMAA2_INVALID_ARGUMENT);
    /* Without a callback the literals are left alone. */
    CHECK_OK(drmaa2_dict_del(dict, "key"));
    CHECK_INT(drmaa2_dict_has(dict, "key"), DRMAA2_FALSE);
    CHECK_OK(drmaa2_dict_set(dict, "", ""));
    CHECK_STR(drmaa2_dict_get(dict, ""), "");
    drmaa2_dict_free(&dict);
    CHECK(dict == NULL);
    drmaa2_dict_free(&dict);
}

static void owned(void) {
    drmaa2_dict dict = drmaa2_dict_create(count);
    char *value = strdup("1");
    CHECK_OK(drmaa2_dict_set(dict, strdup("a"), value));
    /* Setting the same value again is no reason to release it. */
    CHECK_OK(drmaa2_dict_set(dict, "a", value));
    CHECK_INT(released_values, 0);
    /* The old key stays, the new one remains ours; the old value goes. */
    CHECK_OK(drmaa2_dict_set(dict, "a", strdup("2")));
    CHECK_INT(released_keys, 0);
    CHECK_INT(released_values, 1);
    CHECK_STR(drmaa2_dict_get(dict, "a"), "2");
    CHECK_OK(drmaa2_dict_set(dict, strdup("b"), strdup("3")));
    CHECK_OK(drmaa2_dict_del(dict, "a"));
    CHECK_INT(released_keys, 1);
    CHECK_INT(released_values, 2);
    drmaa2_dict_free(&dict);
    CHECK_INT(released_keys, 2);
    CHECK_INT(released_values, 3);
}

static void keys(void) {
    const char *names[] = {"zeta", "alpha", "mid", "beta"};
    drmaa2_dict dict = drmaa2_dict_create(drmaa2_dict_default_callback);
    drmaa2_string_list list = drmaa2_dict_list(dict);
    CHECK_INT(drmaa2_list_size(list), 0);
    drmaa2_list_free(&list);
    for (int i = 0; i < 4; i++) {
        CHECK_OK(drmaa2_dict_set(dict, strdup(names[i]), strdup("value")));
    }
    CHECK_OK(drmaa2_dict_set(dict, "alpha", strdup("another")));
    list = drmaa2_dict_list(dict);
    /* They are copies. */
    drmaa2_dict_free(&dict);
    CHECK_INT(drmaa2_list_size(list), 4);
    for (int i = 0; i < 4; i++) {
        CHECK_STR(drmaa2_list_get(list, i), names[i]);
    }
    drmaa2_list_free(&list);
}

int main(void) {
    borrowed();
    owned();
    keys();
    char *nothing = NULL;
    drmaa2_dict_default_callback(&nothing, &nothing);
    drmaa2_dict_default_callback(NULL, NULL);
    return check_result();
}
