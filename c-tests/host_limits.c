/*
 * What a process cannot have: a state directory that cannot be used, or no more threads. Every call fails with its reason,
 * leaves nothing behind and writes nothing to the standard error, and works as soon as the reason is gone. Needs no
 * containerd.
 */
#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALLS 20
#define NOBODY 65534

/* The number of entries of a directory of /proc/self. */
static int entries(const char *path)
{
    DIR *dir = opendir(path);
    int count = 0;
    if (dir == NULL)
        return -1;
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

/* Calls that fail leave neither threads nor descriptors. */
static void fail_and_leave_nothing(drmaa2_error code)
{
    int threads, descriptors;
    CHECK_NULL(drmaa2_create_jsession(NULL, NULL), code);
    threads = entries("/proc/self/task");
    descriptors = entries("/proc/self/fd");
    for (int call = 0; call < CALLS; call++)
        CHECK_NULL(drmaa2_create_jsession(NULL, NULL), code);
    CHECK_INT(entries("/proc/self/task"), threads);
    CHECK_INT(entries("/proc/self/fd"), descriptors);
}

static void succeed(void)
{
    drmaa2_jsession js = drmaa2_create_jsession(NULL, NULL);
    char *name = drmaa2_jsession_get_session_name(js);
    CHECK(js != NULL);
    CHECK_OK(drmaa2_close_jsession(js));
    CHECK_OK(drmaa2_destroy_jsession(name));
    drmaa2_jsession_free(&js);
    free(name);
}

static void no_directory(const char *dir)
{
    char file[128];
    snprintf(file, sizeof file, "%s/file", dir);
    close(open(file, O_CREAT | O_WRONLY, 0600));
    setenv("DRMAA2_STATE_DIR", file, 1);
    fail_and_leave_nothing(DRMAA2_SESSION_MANAGEMENT);
    unlink(file);
    succeed();
}

/* As a user whom a limit holds. */
static void become_nobody(const char *dir, rlim_t threads)
{
    struct rlimit limit;
    setenv("DRMAA2_STATE_DIR", dir, 1);
    setenv("HOME", dir, 1);
    CHECK_INT(getrlimit(RLIMIT_NPROC, &limit), 0);
    limit.rlim_cur = threads;
    CHECK_INT(setrlimit(RLIMIT_NPROC, &limit), 0);
    CHECK_INT(setgroups(0, NULL), 0);
    CHECK_INT(setgid(NOBODY), 0);
    CHECK_INT(setuid(NOBODY), 0);
}

static void no_threads(const char *dir)
{
    struct rlimit limit;
    become_nobody(dir, 0);
    fail_and_leave_nothing(DRMAA2_OUT_OF_RESOURCE);
    CHECK_INT(getrlimit(RLIMIT_NPROC, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    CHECK_INT(setrlimit(RLIMIT_NPROC, &limit), 0);
    succeed();
}

static void few_threads(const char *dir, rlim_t threads)
{
    drmaa2_jsession js;
    become_nobody(dir, threads);
    js = drmaa2_create_jsession(NULL, NULL);
    if (js == NULL && drmaa2_lasterror() != DRMAA2_OUT_OF_RESOURCE) {
        char *text = drmaa2_lasterror_text();
        fprintf(stderr, "with %d threads: %s\n", (int)threads, text);
        free(text);
        check_failures++;
    }
    if (js != NULL)
        CHECK_OK(drmaa2_close_jsession(js));
    drmaa2_jsession_free(&js);
}

/* A child with this body; it has failed if it writes anything to its standard error. */
static void in_child(void (*body)(const char *, rlim_t), const char *dir, rlim_t number)
{
    char said[4096];
    ssize_t length, all = 0;
    int status, streams[2];
    pid_t child;
    CHECK_INT(pipe(streams), 0);
    child = fork();
    if (child == 0) {
        dup2(streams[1], STDERR_FILENO);
        close(streams[0]);
        close(streams[1]);
        body(dir, number);
        _exit(check_result());
    }
    close(streams[1]);
    while ((length = read(streams[0], said + all, sizeof said - 1 - all)) > 0)
        all += length;
    said[all] = '\0';
    close(streams[0]);
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK_STR(said, "");
}

static void without_directory(const char *dir, rlim_t number)
{
    (void)number;
    no_directory(dir);
}

static void without_threads(const char *dir, rlim_t number)
{
    (void)number;
    no_threads(dir);
}

int main(void)
{
    char dir[] = "/tmp/drmaa2-limits-XXXXXX", command[64];
    CHECK(mkdtemp(dir) != NULL);
    CHECK_INT(chown(dir, NOBODY, NOBODY), 0);
    in_child(without_directory, dir, 0);
    CHECK_INT(chmod(dir, 0700), 0);
    snprintf(command, sizeof command, "rm -rf %s/*", dir);
    CHECK_INT(system(command), 0);
    in_child(without_threads, dir, 0);
    for (rlim_t threads = 1; threads < 12; threads++)
        in_child(few_threads, dir, threads);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    CHECK_INT(system(command), 0);
    return check_result();
}
