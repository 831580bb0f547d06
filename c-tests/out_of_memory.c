/*
 * Memory that is not to be had: each call over lists, dictionaries and structs is made with the first, the
 * second, ... of its allocations failing, alone or with all later ones, until none of them fails. A call
 * that fails says DRMAA2_OUT_OF_RESOURCE, and leaves everything as it was. Under valgrind nothing is lost.
 */
#define _GNU_SOURCE
#include "check.h"

#include <dlfcn.h>
#include <drmaa2_ext.h>
#include <errno.h>
#include <stdbool.h>

/* The allocations of this thread that fail: the one with this number, and all later ones or not. */
static _Thread_local long failing;
static _Thread_local bool lasting;
/* The number of them since the call began; none are counted outside of it. */
static _Thread_local long allocations;
static _Thread_local bool counting;

static bool fails(void) {
    if (!counting) return false;
    allocations++;
    if (allocations == failing || (lasting && allocations > failing)) {
        errno = ENOMEM;
        return true;
    }
    return false;
}

/* The function of that name that would be called without this program's. */
static void *next(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (found == NULL) abort();
    return found;
}

/* In place of those of the C library, for the library under test as well. */
void *malloc(size_t size) {
    static void *(*real)(size_t);
    if (real == NULL) real = (void *(*) (size_t)) next("malloc");
    return fails() ? NULL : real(size);
}

void *calloc(size_t count, size_t size) {
    static void *(*real)(size_t, size_t);
    if (real == NULL) real = (void *(*) (size_t, size_t)) next("calloc");
    return fails() ? NULL : real(count, size);
}

void *realloc(void *block, size_t size) {
    static void *(*real)(void *, size_t);
    if (real == NULL) real = (void *(*) (void *, size_t)) next("realloc");
    return fails() ? NULL : real(block, size);
}

int posix_memalign(void **block, size_t alignment, size_t size) {
    static int (*real)(void **, size_t, size_t);
    if (real == NULL) real = (int (*)(void **, size_t, size_t)) next("posix_memalign");
    return fails() ? ENOMEM : real(block, alignment, size);
}

/* The objects that the calls work on: made before each, looked at and freed after it. */
static drmaa2_list list;
static drmaa2_dict dict;
static drmaa2_jtemplate jt;
static const char *attribute = "containerd_jt_hostname";
/* The object that a call has made. */
static void *made;

static bool is(const void *result) { return (made = (void *) result) != NULL; }

static bool create_list(void) {
    return is(drmaa2_list_create(DRMAA2_STRINGLIST, drmaa2_string_list_default_callback));
}
static bool create_dict(void) { return is(drmaa2_dict_create(drmaa2_dict_default_callback)); }
static bool create_jtemplate(void) { return is(drmaa2_jtemplate_create()); }
static bool create_jinfo(void) { return is(drmaa2_jinfo_create()); }
static bool create_rtemplate(void) { return is(drmaa2_rtemplate_create()); }
static bool create_rinfo(void) { return is(drmaa2_rinfo_create()); }
static bool list_add(void) { return drmaa2_list_add(list, "c") == DRMAA2_SUCCESS; }
static bool list_set(void) { return uge_drmaa2_list_set(list, 1, "B") == DRMAA2_SUCCESS; }
static bool list_del(void) { return drmaa2_list_del(list, 0) == DRMAA2_SUCCESS; }
static bool dict_add(void) { return drmaa2_dict_set(dict, "c", "3") == DRMAA2_SUCCESS; }
static bool dict_replace(void) { return drmaa2_dict_set(dict, "a", "3") == DRMAA2_SUCCESS; }
static bool dict_has(void) { return drmaa2_dict_has(dict, "a") == DRMAA2_TRUE; }
static bool dict_get(void) { return drmaa2_dict_get(dict, "a") != NULL; }
static bool dict_del(void) { return drmaa2_dict_del(dict, "a") == DRMAA2_SUCCESS; }
static bool dict_list(void) { return is(drmaa2_dict_list(dict)); }
static bool names(void) { return is(drmaa2_jtemplate_impl_spec()); }
static bool describe(void) { return is(drmaa2_describe_attribute(jt, attribute)); }
static bool get_value(void) { return is(drmaa2_get_instance_value(jt, "containerd_jt_user")); }
static bool replace_value(void) {
    return drmaa2_set_instance_value(jt, "containerd_jt_user", "b") == DRMAA2_SUCCESS;
}
static bool add_value(void) { return drmaa2_set_instance_value(jt, attribute, "h") == DRMAA2_SUCCESS; }
static bool remove_value(void) {
    return drmaa2_set_instance_value(jt, "containerd_jt_user", NULL) == DRMAA2_SUCCESS;
}
static bool first_value(void) {
    drmaa2_set_instance_value(jt, "containerd_jt_user", NULL);
    return drmaa2_set_instance_value(jt, attribute, "h") == DRMAA2_SUCCESS;
}
static bool free_all(void) {
    drmaa2_list_free(&list);
    drmaa2_dict_free(&dict);
    drmaa2_jtemplate_free(&jt);
    return drmaa2_lasterror() == DRMAA2_SUCCESS;
}

static void free_list(void) { drmaa2_list_free((drmaa2_list *) &made); }
static void free_dict(void) { drmaa2_dict_free((drmaa2_dict *) &made); }
static void free_jtemplate(void) { drmaa2_jtemplate_free((drmaa2_jtemplate *) &made); }
static void free_jinfo(void) { drmaa2_jinfo_free((drmaa2_jinfo *) &made); }
static void free_rtemplate(void) { drmaa2_rtemplate_free((drmaa2_rtemplate *) &made); }
static void free_rinfo(void) { drmaa2_rinfo_free((drmaa2_rinfo *) &made); }
static void free_string(void) { drmaa2_string_free((char **) &made); }

static const struct {
    const char *name;
    bool (*call)(void);
    /* Frees what it has made. */
    void (*release)(void);
    /* Whether it takes memory at all. */
    bool allocates;
} CALLS[] = {
    {"drmaa2_list_create", create_list, free_list, true},
    {"drmaa2_dict_create", create_dict, free_dict, true},
    {"drmaa2_jtemplate_create", create_jtemplate, free_jtemplate, true},
    {"drmaa2_jinfo_create", create_jinfo, free_jinfo, true},
    {"drmaa2_rtemplate_create", create_rtemplate, free_rtemplate, true},
    {"drmaa2_rinfo_create", create_rinfo, free_rinfo, true},
    {"drmaa2_list_add", list_add, NULL, true},
    {"uge_drmaa2_list_set", list_set, NULL, true},
    {"drmaa2_list_del", list_del, NULL, false},
    {"drmaa2_dict_set of a new key", dict_add, NULL, true},
    {"drmaa2_dict_set of a known key", dict_replace, NULL, false},
    {"drmaa2_dict_has", dict_has, NULL, false},
    {"drmaa2_dict_get", dict_get, NULL, false},
    {"drmaa2_dict_del", dict_del, NULL, false},
    {"drmaa2_dict_list", dict_list, free_list, true},
    {"drmaa2_jtemplate_impl_spec", names, free_list, true},
    {"drmaa2_describe_attribute", describe, free_string, true},
    {"drmaa2_get_instance_value", get_value, free_string, true},
    {"drmaa2_set_instance_value of a known one", replace_value, NULL, true},
    {"drmaa2_set_instance_value of another", add_value, NULL, true},
    {"drmaa2_set_instance_value of none", remove_value, NULL, false},
    {"drmaa2_set_instance_value of the first", first_value, NULL, true},
    {"the functions that free", free_all, NULL, false},
};

static void prepare(void) {
    list = drmaa2_list_create(DRMAA2_STRINGLIST, NULL);
    dict = drmaa2_dict_create(NULL);
    jt = drmaa2_jtemplate_create();
    CHECK_OK(drmaa2_list_add(list, "a"));
    CHECK_OK(drmaa2_list_add(list, "b"));
    CHECK_OK(drmaa2_dict_set(dict, "a", "1"));
    CHECK_OK(drmaa2_dict_set(dict, "b", "2"));
    CHECK_OK(drmaa2_set_instance_value(jt, "containerd_jt_user", "a"));
}

/* As `prepare` has made them. */
static void look(bool cleared) {
    CHECK_INT(drmaa2_list_size(list), 2);
    CHECK_STR(drmaa2_list_get(list, 0), "a");
    CHECK_STR(drmaa2_list_get(list, 1), "b");
    CHECK_STR(drmaa2_dict_get(dict, "a"), "1");
    CHECK_INT(drmaa2_dict_has(dict, "c"), DRMAA2_FALSE);
    drmaa2_string_list keys = drmaa2_dict_list(dict);
    CHECK_INT(drmaa2_list_size(keys), 2);
    drmaa2_list_free(&keys);
    CHECK_OWN(drmaa2_get_instance_value(jt, "containerd_jt_user"), cleared ? NULL : "a");
    CHECK_OWN(drmaa2_get_instance_value(jt, attribute), NULL);
}

/* Make one call with the allocation of this number failing, and maybe all later ones. Returns whether there
 * were so many. */
static bool one(size_t at, long number, bool all) {
    int failures = check_failures;
    prepare();
    made = NULL;
    failing = number;
    lasting = all;
    allocations = 0;
    counting = true;
    bool succeeded = CALLS[at].call();
    bool failed = allocations >= number;
    /* If there is no memory even for the text of the error, it is missing. */
    char *text = drmaa2_lasterror_text();
    counting = false;
    CHECK(succeeded == !failed);
    if (!succeeded) {
        CHECK_INT(drmaa2_lasterror(), DRMAA2_OUT_OF_RESOURCE);
        if (!all) CHECK_STR(text, "out of memory");
        CHECK(made == NULL);
        look(CALLS[at].call == first_value);
    } else {
        CHECK_INT(drmaa2_lasterror(), DRMAA2_SUCCESS);
        if (CALLS[at].release != NULL) CALLS[at].release();
    }
    drmaa2_string_free(&text);
    drmaa2_list_free(&list);
    drmaa2_dict_free(&dict);
    drmaa2_jtemplate_free(&jt);
    if (check_failures > failures) {
        fprintf(stderr, "  in %s, with allocation %ld failing\n", CALLS[at].name, number);
    }
    return failed;
}

int main(void) {
    /* The C library ends a process that cannot be told of the end of its threads; it is told once. */
    drmaa2_lasterror();
    prepare();
    free_all();
    for (int all = 0; all < 2; all++) {
        for (size_t at = 0; at < sizeof CALLS / sizeof *CALLS; at++) {
            long number = 1;
            while (one(at, number, all) && number < 1000) number++;
            CHECK(number < 1000);
            CHECK((number > 1) == CALLS[at].allocates);
        }
    }
    return check_result();
}
