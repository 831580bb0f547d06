/* The shared part of the tests that run jobs. They need a containerd that has the image named by
   DRMAA2_TEST_IMAGE, and an empty state directory; scripts/test provides both. */
#ifndef JOB_H
#define JOB_H

#include <drmaa2.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define VALGRIND_COUNT_ERRORS 0
#define RUNNING_ON_VALGRIND 0
#endif

/* The factor by which this machine is slower than usual: DRMAA2_TEST_SLOWNESS, for an emulated one. */
static inline int slowness(void)
{
    const char *value = getenv("DRMAA2_TEST_SLOWNESS");
    int times = value == NULL ? 1 : atoi(value);
    return times > 0 ? times : 1;
}

/* Nothing here takes so long unless it hangs; under valgrind a job takes a while. */
#define LONG (120 * slowness())

/* Seconds in which a few calls are surely through, for what has to be done before something else comes. */
#define SOON ((RUNNING_ON_VALGRIND ? 40 : 10) * slowness())

static inline const char *needed(const char *name)
{
    const char *value = getenv(name);
    if (value == NULL || *value == '\0') {
        fprintf(stderr, "%s is not set; scripts/test sets it\n", name);
        exit(1);
    }
    return value;
}

/* Do the jobs run on a cluster with Slurm? It has machines and a queue of its own, and nothing is in a containerd. */
static inline int on_slurm(void)
{
    static int known = -1;
    if (known < 0) {
        drmaa2_string name = drmaa2_get_drms_name();
        known = name != NULL && strcmp(name, "Slurm") == 0;
        drmaa2_string_free(&name);
    }
    return known;
}

/* Is this the name of the machine that runs the jobs: this one, or one of the nodes n1, n2 … of scripts/cluster? */
static inline int runs_jobs(const char *name)
{
    char host[256] = "";
    if (name == NULL || gethostname(host, sizeof host) != 0)
        return 0;
    return on_slurm() ? name[0] == 'n' && strspn(name + 1, "0123456789") == strlen(name + 1) && name[1] != '\0'
                      : strcmp(name, host) == 0;
}

/* Is this an ordinary user, to whom the broker of the machine gives what a guest may have? */
static inline int is_guest(void)
{
    return geteuid() != 0 && !on_slurm();
}

/* May this process ask containerd itself? */
static inline int reaches_containerd(void)
{
    return geteuid() == 0 && !on_slurm();
}

static inline const char *image(void)
{
    return needed("DRMAA2_TEST_IMAGE");
}

/* The call before failed with this code and a text that holds this part. */
static inline void failed(drmaa2_error code, const char *part)
{
    drmaa2_string text = drmaa2_lasterror_text();
    CHECK_INT(drmaa2_lasterror(), code);
    CHECK(text != NULL && strstr(text, part) != NULL);
    if (text == NULL || strstr(text, part) == NULL)
        fprintf(stderr, "  the text is \"%s\", which lacks \"%s\"\n", text ? text : "", part);
    drmaa2_string_free(&text);
}

/* Stop the test: what it needs to go on is missing. */
static inline void give_up(const char *what)
{
    drmaa2_string text = drmaa2_lasterror_text();
    fprintf(stderr, "%s: error %d, %s\n", what, (int)drmaa2_lasterror(), text ? text : "no text");
    exit(1);
}

/* Wait until this can be read; a test that waits in vain fails, and does not hang. */
static inline void await_readable(int fd, const char *what)
{
    struct pollfd place = {.fd = fd, .events = POLLIN};
    if (poll(&place, 1, LONG * 1000) != 1) {
        fprintf(stderr, "%s: not in %d s\n", what, LONG);
        exit(1);
    }
}

/* A path in a directory; the last eight that were asked for are good. */
static inline const char *path_in(const char *dir, const char *name)
{
    static char paths[8][128];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    return path;
}

static inline drmaa2_jsession session(const char *name)
{
    drmaa2_jsession js = drmaa2_create_jsession(name, NULL);
    if (js == NULL)
        give_up("create_jsession");
    return js;
}

/* Close, destroy and free a session. */
static inline void done_with(drmaa2_jsession *js)
{
    drmaa2_string name = drmaa2_jsession_get_session_name(*js);
    CHECK_INT(drmaa2_close_jsession(*js), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_destroy_jsession(name), DRMAA2_SUCCESS);
    drmaa2_string_free(&name);
    drmaa2_jsession_free(js);
}

static inline drmaa2_jtemplate command(const char *path)
{
    drmaa2_jtemplate jt = drmaa2_jtemplate_create();
    jt->remoteCommand = strdup(path);
    jt->jobCategory = strdup(image());
    return jt;
}

static inline void add_arg(drmaa2_jtemplate jt, const char *arg)
{
    if (jt->args == NULL)
        jt->args = drmaa2_list_create(DRMAA2_STRINGLIST, drmaa2_string_list_default_callback);
    CHECK_INT(drmaa2_list_add(jt->args, strdup(arg)), DRMAA2_SUCCESS);
}

static inline drmaa2_jtemplate shell(const char *script)
{
    drmaa2_jtemplate jt = command("/bin/sh");
    add_arg(jt, "-c");
    add_arg(jt, script);
    return jt;
}

static inline drmaa2_jtemplate sleeper(void)
{
    drmaa2_jtemplate jt = command("sleep");
    add_arg(jt, "1000");
    return jt;
}

/* Submit, and free the template. */
static inline drmaa2_j submit(drmaa2_jsession js, drmaa2_jtemplate jt)
{
    drmaa2_j j = drmaa2_jsession_run_job(js, jt);
    if (j == NULL)
        give_up("run_job");
    drmaa2_jtemplate_free(&jt);
    return j;
}

/* The same, and wait until the job has started. */
static inline drmaa2_j run(drmaa2_jsession js, drmaa2_jtemplate jt)
{
    drmaa2_j j = submit(js, jt);
    CHECK_INT(drmaa2_j_wait_started(j, LONG), DRMAA2_SUCCESS);
    return j;
}

/* The same, and wait until its command, which prints at once, has begun: a job runs a moment before its command does, and
   may be ended by then. */
static inline drmaa2_j run_begun(drmaa2_jsession js, drmaa2_jtemplate jt)
{
    char path[] = "/tmp/drmaa2-begun-XXXXXX", events[4096];
    int fd = mkstemp(path), watch = inotify_init1(IN_CLOEXEC);
    struct stat output = {0};
    drmaa2_j j;
    CHECK(fd >= 0 && watch >= 0 && inotify_add_watch(watch, path, IN_MODIFY) >= 0);
    jt->outputPath = strdup(path);
    j = run(js, jt);
    while (fstat(fd, &output) == 0 && output.st_size == 0) {
        await_readable(watch, path);
        CHECK(read(watch, events, sizeof events) > 0);
    }
    close(watch);
    close(fd);
    CHECK(unlink(path) == 0);
    return j;
}

/* Wait for the end and give the account. */
static inline drmaa2_jinfo finish(drmaa2_j j)
{
    drmaa2_jinfo ji;
    if (drmaa2_j_wait_terminated(j, LONG) != DRMAA2_SUCCESS)
        give_up("wait_terminated");
    ji = drmaa2_j_get_info(j);
    if (ji == NULL)
        give_up("get_info");
    return ji;
}

/* End a job, wait for that, free the handle. */
static inline void end(drmaa2_j *j)
{
    CHECK_INT(drmaa2_j_terminate(*j), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_j_wait_terminated(*j, LONG), DRMAA2_SUCCESS);
    drmaa2_j_free(j);
}

/* End a job whose session is destroyed. It is forgotten once it has ended, which may be before the wait begins: then the
   error text holds `part`. */
static inline void end_orphan(drmaa2_j *j, const char *part)
{
    CHECK_INT(drmaa2_j_terminate(*j), DRMAA2_SUCCESS);
    if (drmaa2_j_wait_terminated(*j, LONG) != DRMAA2_SUCCESS)
        failed(DRMAA2_INVALID_ARGUMENT, part);
    drmaa2_j_free(j);
}

/* What `ctr` prints of this namespace; the caller frees it. containerd waits two seconds for a shim to tell of its task,
   and shows one that did not as UNKNOWN, with the pid 0: then it is asked again. */
static inline char *ctr(const char *what)
{
    char command[1024], *text = NULL;
    size_t size = 0;
    snprintf(command, sizeof command, "ctr --address '%s' --namespace '%s' %s", needed("CONTAINERD_ADDRESS"),
             needed("CONTAINERD_NAMESPACE"), what);
    for (int left = LONG / 2; left > 0; left--) {
        FILE *pipe = popen(command, "r");
        if (pipe == NULL) {
            perror("popen");
            exit(1);
        }
        if (getdelim(&text, &size, '\0', pipe) < 0) {
            free(text);
            text = strdup("");
        }
        CHECK_INT(pclose(pipe), 0);
        if (strstr(text, " UNKNOWN") == NULL)
            break;
    }
    return text;
}

/* Lines that `ctr` prints of this namespace and that hold all of `pattern`. */
static inline int ctr_lines(const char *what, const char *pattern)
{
    int lines = 0;
    char *text = ctr(what);
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
        lines += strstr(line, pattern) != NULL;
    free(text);
    return lines;
}

/* End a child process. Not by exit: what the parent's threads held at the fork has no owner in the
   child, and valgrind would count it as leaked. The errors that it found do count. */
static inline void leave_child(void)
{
    const char *code = check_failures == 0 && VALGRIND_COUNT_ERRORS == 0 ? "exit 0" : "exit 1";
    fflush(NULL);
    execl("/bin/sh", "sh", "-c", code, (char *)NULL);
    _exit(2);
}

/* Run `body` in a child process; it reports by CHECK. */
static inline void in_child(void (*body)(const char *), const char *arg)
{
    int status = 0;
    pid_t pid;
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        body(arg);
        leave_child();
    }
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    CHECK_INT(status, 0);
}

#endif
