/* drm submit SESSION COUNT NAME=VALUE... SCRIPT: submit jobs that run a shell script, and do not wait for them.
   drm open SESSION: open a session, and close it again.
   drm list SESSION: for each job its state, its exit status, its terminating signal and its annotation.
   drm changes STATE_DIR: a line for each change of the store, without end.

   CONTACT is the contact string of a session that is new; IMAGE is the jobs' image. The names are input, output
   and rerunnable. */
#include <drmaa2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

static void fail(const char *what)
{
    drmaa2_string text = drmaa2_lasterror_text();
    fprintf(stderr, "%s: %s\n", what, text != NULL ? text : "no text");
    exit(2);
}

static drmaa2_jsession session(const char *name)
{
    drmaa2_jsession js = drmaa2_open_jsession(name);
    if (js == NULL)
        js = drmaa2_create_jsession(name, getenv("CONTACT"));
    if (js == NULL)
        fail("session");
    return js;
}

static void set(drmaa2_jtemplate jt, const char *option)
{
    const char *value = strchr(option, '=') + 1;
    if (strncmp(option, "input=", 6) == 0)
        jt->inputPath = strdup(value);
    else if (strncmp(option, "output=", 7) == 0)
        jt->outputPath = strdup(value);
    else
        jt->rerunnable = DRMAA2_TRUE;
}

static void submit(drmaa2_jsession js, int count, char **options, const char *script)
{
    drmaa2_jtemplate jt = drmaa2_jtemplate_create();
    jt->remoteCommand = strdup("sh");
    jt->jobCategory = strdup(getenv("IMAGE"));
    jt->args = drmaa2_list_create(DRMAA2_STRINGLIST, drmaa2_string_list_default_callback);
    drmaa2_list_add(jt->args, strdup("-c"));
    drmaa2_list_add(jt->args, strdup(script));
    for (; *options != script; options++)
        set(jt, *options);
    while (count-- > 0)
        if (drmaa2_jsession_run_job(js, jt) == NULL)
            fail("run_job");
}

static void list(drmaa2_jsession js)
{
    static const char *const states[] = {"UNDETERMINED", "QUEUED",   "QUEUED_HELD",   "RUNNING", "SUSPENDED",
                                         "REQUEUED",     "REQUEUED_HELD", "DONE", "FAILED"};
    drmaa2_j_list jobs = drmaa2_jsession_get_jobs(js, NULL);
    for (long i = 0; i < drmaa2_list_size(jobs); i++) {
        drmaa2_jinfo ji = drmaa2_j_get_info((drmaa2_j)drmaa2_list_get(jobs, i));
        if (ji == NULL)
            fail("get_info");
        printf("%s %d %s %s\n", states[ji->jobState], ji->exitStatus,
               ji->terminatingSignal != NULL ? ji->terminatingSignal : "-",
               ji->annotation != NULL ? ji->annotation : "-");
        drmaa2_jinfo_free(&ji);
    }
}

/* The first line says that it looks. */
static int changes(const char *state_dir)
{
    char path[256], events[4096];
    int watch = inotify_init1(IN_CLOEXEC);
    snprintf(path, sizeof path, "%s/drmaa2.bell", state_dir);
    if (watch < 0 || inotify_add_watch(watch, path, IN_MODIFY) < 0) {
        perror(path);
        return 2;
    }
    do
        if (puts("changed") == EOF || fflush(stdout) == EOF)
            return 0;
    while (read(watch, events, sizeof events) > 0);
    return 2;
}

int main(int argc, char **argv)
{
    drmaa2_jsession js;
    if (strcmp(argv[1], "changes") == 0)
        return changes(argv[2]);
    js = session(argv[2]);
    if (strcmp(argv[1], "submit") == 0)
        submit(js, atoi(argv[3]), argv + 4, argv[argc - 1]);
    else if (strcmp(argv[1], "list") == 0)
        list(js);
    if (drmaa2_close_jsession(js) != DRMAA2_SUCCESS)
        fail("close_jsession");
    return 0;
}
