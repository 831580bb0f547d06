/*
 * Strings and the last error, on one thread.
 */
#include "check.h"

int main(void) {
    /* A new thread has no error. */
    CHECK_INT(drmaa2_lasterror(), DRMAA2_SUCCESS);
    CHECK(drmaa2_lasterror_text() == NULL);

    char *text = strdup("text");
    drmaa2_string_free(&text);
    CHECK(text == NULL);
    drmaa2_string_free(&text);
    drmaa2_string_free(NULL);

    /* The text names the thing, and asking for it changes nothing. */
    CHECK_INT(drmaa2_list_size(NULL), -1);
    text = drmaa2_lasterror_text();
    CHECK(text != NULL && strstr(text, "list") != NULL);
    free(text);
    CHECK_INT(drmaa2_lasterror(), DRMAA2_INVALID_ARGUMENT);
    text = drmaa2_lasterror_text();
    drmaa2_string_free(&text);
    CHECK(text == NULL);
    CHECK_INT(drmaa2_lasterror(), DRMAA2_INVALID_ARGUMENT);

    /* Neither does what callers free between the call that failed and the question why. */
    char *key = strdup("key");
    char *value = strdup("value");
    void *element = strdup("element");
    drmaa2_dict_default_callback(&key, &value);
    drmaa2_string_list_default_callback(&element);
    CHECK(key == NULL && value == NULL && element == NULL);
    drmaa2_list_free(NULL);
    drmaa2_dict_free(NULL);
    drmaa2_jsession_free(NULL);
    drmaa2_jinfo_free(NULL);
    CHECK_INT(drmaa2_lasterror(), DRMAA2_INVALID_ARGUMENT);

    /* The next success does. */
    drmaa2_list list = drmaa2_list_create(DRMAA2_STRINGLIST, NULL);
    CHECK_INT(drmaa2_lasterror(), DRMAA2_SUCCESS);
    CHECK(drmaa2_lasterror_text() == NULL);
    drmaa2_list_free(&list);
    return check_result();
}
