/*
 * What the C tests share: checks that say what was expected, and go on.
 */
#ifndef CHECK_H
#define CHECK_H

#include <drmaa2.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int check_failures;

/* The status that main returns. */
static inline int check_result(void) { return check_failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE; }

/* The condition holds. */
#define CHECK(condition) \
    ((condition) ? (void) 0 : check_failed(__FILE__, __LINE__, #condition, "true", "false"))

/* Whatever the answer of a call that needs the DRM system, it fits the last error. */
#define CHECK_ANSWER(pointer) CHECK(((pointer) == NULL) == (drmaa2_lasterror() != DRMAA2_SUCCESS))

/* Two numbers are equal. */
#define CHECK_INT(actual, expected) check_int(__FILE__, __LINE__, #actual, (actual), (expected))

/* Two strings have the same content, or both are NULL. */
#define CHECK_STR(actual, expected) check_str(__FILE__, __LINE__, #actual, (actual), (expected))

/* A returned string has this content; it is freed. */
#define CHECK_OWN(actual, expected) check_own(__FILE__, __LINE__, #actual, (actual), (expected))

/* The call gave NULL and left this error, with a text. */
#define CHECK_NULL(call, code) check_null(__FILE__, __LINE__, #call, (const void *) (call), (code))

/* The call returned this error and left it, with a text. */
#define CHECK_ERROR(call, code) check_error(__FILE__, __LINE__, #call, (call), (code))

/* The call returned DRMAA2_SUCCESS and left no error. */
#define CHECK_OK(call) check_error(__FILE__, __LINE__, #call, (call), DRMAA2_SUCCESS)

static inline void check_failed(const char *file, int line, const char *what, const char *expected,
                                const char *actual) {
    fprintf(stderr, "%s:%d: %s: expected %s, got %s\n", file, line, what, expected, actual);
    check_failures++;
}

static inline void check_int(const char *file, int line, const char *what, long long actual,
                             long long expected) {
    char texts[2][32];
    if (actual != expected) {
        snprintf(texts[0], sizeof texts[0], "%lld", expected);
        snprintf(texts[1], sizeof texts[1], "%lld", actual);
        check_failed(file, line, what, texts[0], texts[1]);
    }
}

static inline void check_str(const char *file, int line, const char *what, const char *actual,
                             const char *expected) {
    int equal = actual == NULL || expected == NULL ? actual == expected : !strcmp(actual, expected);
    if (!equal) {
        check_failed(file, line, what, expected ? expected : "NULL", actual ? actual : "NULL");
    }
}

static inline void check_own(const char *file, int line, const char *what, char *actual,
                             const char *expected) {
    check_str(file, line, what, actual, expected);
    drmaa2_string_free(&actual);
}

/* The last error has this code, and a text if it is one. */
static inline void check_last(const char *file, int line, const char *what, drmaa2_error code) {
    char *text = drmaa2_lasterror_text();
    check_int(file, line, what, drmaa2_lasterror(), code);
    if ((code == DRMAA2_SUCCESS) != (text == NULL)) {
        check_failed(file, line, what, code == DRMAA2_SUCCESS ? "no text" : "a text",
                     text ? text : "NULL");
    }
    free(text);
}

static inline void check_null(const char *file, int line, const char *what, const void *actual,
                              drmaa2_error code) {
    if (actual != NULL) {
        check_failed(file, line, what, "NULL", "a pointer");
    }
    check_last(file, line, what, code);
}

static inline void check_error(const char *file, int line, const char *what, drmaa2_error actual,
                               drmaa2_error code) {
    check_int(file, line, what, actual, code);
    check_last(file, line, what, code);
}

#endif /* CHECK_H */
