/*
 * The part of the API that asks nobody: each path, named by the first argument, as often as the second one says.
 * scripts/test-instructions counts what the processor does in `paths`.
 */
#include <drmaa2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES 100

static void template(void) {
    drmaa2_jtemplate jt = drmaa2_jtemplate_create();
    jt->remoteCommand = strdup("/bin/true");
    jt->jobName = strdup("name");
    jt->jobCategory = strdup("category");
    jt->outputPath = strdup("/tmp/out");
    jt->args = drmaa2_list_create(DRMAA2_STRINGLIST, drmaa2_string_list_default_callback);
    drmaa2_list_add(jt->args, strdup("argument"));
    drmaa2_jtemplate_free(&jt);
}

static void info(void) {
    drmaa2_jinfo ji = drmaa2_jinfo_create();
    ji->jobId = strdup("1");
    drmaa2_jinfo_free(&ji);
}

static void list(void) {
    drmaa2_list list = drmaa2_list_create(DRMAA2_STRINGLIST, drmaa2_string_list_default_callback);
    for (int i = 0; i < ENTRIES; i++) drmaa2_list_add(list, strdup("element"));
    for (long i = 0; i < drmaa2_list_size(list); i++) drmaa2_list_get(list, i);
    drmaa2_list_free(&list);
}

static void dict(void) {
    drmaa2_dict dict = drmaa2_dict_create(drmaa2_dict_default_callback);
    char key[] = "key  ";
    for (int i = 0; i < ENTRIES; i++) {
        key[3] = '0' + i / 10, key[4] = '0' + i % 10;
        drmaa2_dict_set(dict, strdup(key), strdup("value"));
    }
    for (int i = 0; i < ENTRIES; i++) {
        key[3] = '0' + i / 10, key[4] = '0' + i % 10;
        drmaa2_dict_get(dict, key);
    }
    drmaa2_dict_free(&dict);
}

static void extension(void) {
    static drmaa2_jtemplate jt;
    if (jt == NULL) jt = drmaa2_jtemplate_create();
    drmaa2_set_instance_value(jt, "containerd_jt_memory", "1 GiB");
    drmaa2_string value = drmaa2_get_instance_value(jt, "containerd_jt_memory");
    drmaa2_string_free(&value);
}

static void names(void) {
    drmaa2_string_list names = drmaa2_jtemplate_impl_spec();
    drmaa2_list_free(&names);
}

static void description(void) {
    static drmaa2_jtemplate jt;
    if (jt == NULL) jt = drmaa2_jtemplate_create();
    drmaa2_string text = drmaa2_describe_attribute(jt, "containerd_jt_memory");
    drmaa2_string_free(&text);
}

static void error(void) {
    drmaa2_list_get(NULL, 0);
    drmaa2_string text = drmaa2_lasterror_text();
    drmaa2_string_free(&text);
}

static const struct {
    const char *name;
    void (*path)(void);
} PATHS[] = {{"template", template}, {"info", info},   {"list", list},             {"dict", dict},
             {"extension", extension}, {"names", names}, {"description", description}, {"error", error}};

__attribute__((noinline)) void paths(void (*path)(void), long times) {
    for (long i = 0; i < times; i++) path();
}

int main(int argc, char **argv) {
    for (size_t i = 0; argc == 3 && i < sizeof PATHS / sizeof *PATHS; i++) {
        if (strcmp(argv[1], PATHS[i].name) != 0) continue;
        /* What the first call does once is not counted. */
        PATHS[i].path();
        paths(PATHS[i].path, atol(argv[2]));
        return 0;
    }
    fprintf(stderr, "usage: instructions PATH TIMES\n");
    return 2;
}
