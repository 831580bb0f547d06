/* The files of the standard streams: large ones, those of another user, and those that fail. */
#include "job.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* A user who is not root. */
#define OTHER 65534

#ifndef RUNNING_ON_VALGRIND
#define RUNNING_ON_VALGRIND 0
#endif

static char dir[] = "/var/tmp/drmaa2-stdio.XXXXXX";

static const char *at(const char *name)
{
    return path_in(dir, name);
}

/* So many mebibytes that no part of is like another. */
static void make_input(const char *name, int mebibytes)
{
    static uint64_t block[1 << 17];
    uint64_t state = 88172645463325252u;
    FILE *file = fopen(at(name), "w");
    CHECK(file != NULL);
    if (file == NULL)
        exit(1);
    for (int i = 0; i < mebibytes; i++) {
        for (size_t j = 0; j < sizeof block / sizeof *block; j++) {
            state ^= state << 13;
            state ^= state >> 7;
            block[j] = state ^= state << 17;
        }
        CHECK(fwrite(block, sizeof block, 1, file) == 1);
    }
    CHECK_INT(fclose(file), 0);
}

/* The submitter is gone long before the last byte is copied. */
static void large_and_alone(void)
{
    int status = 0;
    pid_t pid;
    drmaa2_jsession js;
    drmaa2_j_list jobs;
    drmaa2_jinfo ji;
    make_input("large", RUNNING_ON_VALGRIND ? 16 : 1024);
    js = session("large");
    CHECK_INT(drmaa2_close_jsession(js), DRMAA2_SUCCESS);
    drmaa2_jsession_free(&js);
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        drmaa2_jtemplate jt = command("cat");
        jt->inputPath = strdup(at("large"));
        jt->outputPath = strdup(at("copy"));
        js = drmaa2_open_jsession("large");
        if (js == NULL)
            give_up("open_jsession");
        run(js, jt);
        raise(check_failures == 0 ? SIGKILL : SIGABRT);
    }
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    js = drmaa2_open_jsession("large");
    if (js == NULL)
        give_up("open_jsession");
    jobs = drmaa2_jsession_get_jobs(js, NULL);
    CHECK_INT(drmaa2_list_size(jobs), 1);
    ji = finish((drmaa2_j)drmaa2_list_get(jobs, 0));
    CHECK_INT(ji->jobState, DRMAA2_DONE);
    drmaa2_jinfo_free(&ji);
    drmaa2_list_free(&jobs);
    done_with(&js);
    CHECK_INT(chdir(dir), 0);
    CHECK_INT(system("test -s copy && cmp large copy"), 0);
    CHECK(unlink("large") == 0 && unlink("copy") == 0);
}

/* The job fails with this status, and its annotation holds these parts. */
static void fails(drmaa2_jsession js, drmaa2_jtemplate jt, int status, const char *path, const char *cause)
{
    drmaa2_j j = submit(js, jt);
    drmaa2_jinfo ji = finish(j);
    CHECK_INT(ji->jobState, DRMAA2_FAILED);
    CHECK_INT(ji->exitStatus, status);
    CHECK(ji->annotation != NULL && strstr(ji->annotation, path) && strstr(ji->annotation, cause));
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);
}

static void add(drmaa2_dict *dict, const char *from, const char *to)
{
    *dict = drmaa2_dict_create(drmaa2_dict_default_callback);
    CHECK_INT(drmaa2_dict_set(*dict, strdup(from), strdup(to)), DRMAA2_SUCCESS);
}

static void full_disk(void)
{
    drmaa2_jsession js = session("full");
    drmaa2_jtemplate jt;
    CHECK(mkdir(at("full"), 0755) == 0);
    CHECK(mount("tmpfs", at("full"), "tmpfs", 0, "size=64k") == 0);
    /* One that gives up because of it, and one that has ended before. */
    jt = shell("head -c 1000000 /dev/zero; exit 3");
    jt->outputPath = strdup(at("full/out"));
    fails(js, jt, 3, at("full/out"), "outputPath");
    CHECK(unlink(at("full/out")) == 0);
    jt = shell("trap '' PIPE; head -c 65536 /dev/zero; exit 0");
    jt->outputPath = strdup(at("full/out"));
    CHECK_INT(system("head -c 9999 /dev/zero >full/other"), 0);
    fails(js, jt, 0, at("full/out"), "No space left");
    CHECK(unlink(at("full/out")) == 0 && unlink(at("full/other")) == 0);

    jt = shell("head -c 1000000 /dev/zero >/zeros");
    add(&jt->stageOutFiles, "/zeros", at("full/zeros"));
    fails(js, jt, 0, at("full/zeros"), "No space left");
    CHECK(umount(at("full")) == 0 && rmdir(at("full")) == 0);
    done_with(&js);
}

/* Each name of a stream opens it anew, as the job's user, and empties what is no pipe. */
static void opened_anew(void)
{
    static const char *const users[] = {"0:0", "4711:4712"};
    static const char *const inits[] = {"on", "off"};
    CHECK_INT(chdir(dir), 0);
    for (size_t i = 0; i < 4; i++) {
        drmaa2_jsession js = session("anew");
        drmaa2_jinfo ji;
        drmaa2_j j;
        drmaa2_jtemplate jt =
            shell("echo 1; echo 1 >&2; echo 2 >/dev/stdout; echo 2 >/dev/stderr; echo 3; echo 3 >&2;"
                  "echo 4 >/proc/self/fd/1; echo 4 >/proc/self/fd/2; echo 5; echo 5 >&2");
        jt->outputPath = strdup(at("out"));
        jt->errorPath = strdup(at("err"));
        CHECK_INT(drmaa2_set_instance_value(jt, "containerd_jt_user", users[i % 2]), DRMAA2_SUCCESS);
        CHECK_INT(drmaa2_set_instance_value(jt, "containerd_jt_init", inits[i / 2]), DRMAA2_SUCCESS);
        j = submit(js, jt);
        ji = finish(j);
        CHECK_INT(ji->jobState, DRMAA2_DONE);
        drmaa2_jinfo_free(&ji);
        drmaa2_j_free(&j);
        /* Without init, the shim may still copy after the end of the job. */
        done_with(&js);
        CHECK_INT(system("test \"$(echo $(cat out))\" = '1 2 3 4 5' && cmp out err"), 0);
    }
    CHECK(unlink("out") == 0 && unlink("err") == 0);
}

/* The files that are there for the other user, and those that are not. */
static void as_another_user(const char *unused)
{
    drmaa2_jsession js;
    drmaa2_jtemplate jt;
    struct stat status;
    char value[256];
    (void)unused;
    CHECK(setgroups(0, NULL) == 0 && setgid(OTHER) == 0 && setuid(OTHER) == 0);
    CHECK(setenv("DRMAA2_STATE_DIR", at("his/state"), 1) == 0 && setenv("HOME", at("his"), 1) == 0);
    js = session("other");
    /* A mount for init is not for the job. */
    jt = shell("ls /.drmaa2/out && exit 1; id -u; echo staged >/tmp/out");
    CHECK_INT(drmaa2_set_instance_value(jt, "containerd_jt_cap_drop", "ALL"), DRMAA2_SUCCESS);
    jt->outputPath = strdup(at("his/out"));
    add(&jt->stageOutFiles, "/tmp/out", at("his/staged"));
    {
        drmaa2_j j = submit(js, jt);
        drmaa2_jinfo ji = finish(j);
        CHECK_INT(ji->jobState, DRMAA2_DONE);
        CHECK_STR(ji->annotation, NULL);
        drmaa2_jinfo_free(&ji);
        drmaa2_j_free(&j);
    }
    CHECK(stat(at("his/out"), &status) == 0 && status.st_uid == OTHER && status.st_size == 6);
    CHECK(stat(at("his/staged"), &status) == 0 && status.st_uid == OTHER && status.st_size == 7);

    jt = command("true");
    jt->outputPath = strdup(at("roots/out"));
    fails(js, jt, -1, at("roots/out"), "Permission denied");
    jt = command("true");
    add(&jt->stageInFiles, at("secret"), "/tmp/in");
    fails(js, jt, -1, at("secret"), "Permission denied");
    jt = command("true");
    add(&jt->stageOutFiles, "/etc/passwd", at("roots/out"));
    fails(js, jt, -1, at("roots"), "Permission denied");

    jt = command("true");
    snprintf(value, sizeof value, "%s:/secret:ro", at("secret"));
    CHECK_INT(drmaa2_set_instance_value(jt, "containerd_jt_mounts", value), DRMAA2_SUCCESS);
    CHECK_NULL(drmaa2_jsession_run_job(js, jt), DRMAA2_INVALID_ARGUMENT);
    failed(DRMAA2_INVALID_ARGUMENT, at("secret"));
    snprintf(value, sizeof value, "%s:/roots", at("roots"));
    CHECK_INT(drmaa2_set_instance_value(jt, "containerd_jt_mounts", value), DRMAA2_SUCCESS);
    CHECK_NULL(drmaa2_jsession_run_job(js, jt), DRMAA2_INVALID_ARGUMENT);
    failed(DRMAA2_INVALID_ARGUMENT, "containerd_jt_mounts");
    drmaa2_jtemplate_free(&jt);
    done_with(&js);
}

static void another_user(void)
{
    const char *socket = needed("CONTAINERD_ADDRESS");
    struct stat before;
    FILE *file;
    CHECK(chmod(dir, 0755) == 0 && mkdir(at("his"), 0700) == 0 && chown(at("his"), OTHER, OTHER) == 0);
    CHECK(mkdir(at("roots"), 0755) == 0);
    file = fopen(at("secret"), "w");
    CHECK(file != NULL && fputs("secret", file) >= 0 && fclose(file) == 0);
    CHECK(chmod(at("secret"), 0600) == 0);
    CHECK(stat(socket, &before) == 0 && chmod(socket, 0666) == 0);
    in_child(as_another_user, NULL);
    CHECK(chmod(socket, before.st_mode & 0777) == 0);
}

int main(void)
{
    char remove[64];
    CHECK(mkdtemp(dir) != NULL);
    /* First of all: a process that has used the library keeps its state directory. */
    another_user();
    large_and_alone();
    full_disk();
    opened_anew();
    snprintf(remove, sizeof remove, "rm -r '%s'", dir);
    CHECK_INT(system(remove), 0);
    return check_result();
}
