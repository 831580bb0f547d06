/* Calls on behalf of another user: who may make them, and with whose rights. */
#define _GNU_SOURCE
#include "as.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* A user that every system has, and groups that he is in here. */
#define NOBODY 65534
#define FIRST 4711
#define SECOND 4712

static char dir[] = "/var/tmp/drmaa2-as.XXXXXX";

static const char *at(const char *name)
{
    return path_in(dir, name);
}

static void make(const char *name, mode_t mode)
{
    FILE *file = fopen(at(name), "w");
    CHECK(file != NULL && fputs("kept\n", file) >= 0 && fclose(file) == 0);
    CHECK(chmod(at(name), mode) == 0);
}

/* It holds exactly this. */
static void holds(const char *name, const char *expected)
{
    char text[256];
    int fd = open(at(name), O_RDONLY);
    ssize_t length = read(fd, text, sizeof text - 1);
    CHECK(fd >= 0 && length >= 0 && close(fd) == 0);
    text[length > 0 ? length : 0] = '\0';
    CHECK_STR(text, expected);
}

static void is_owned(const char *name, uid_t uid, gid_t gid, mode_t mode)
{
    struct stat about;
    CHECK(stat(at(name), &about) == 0);
    CHECK_INT(about.st_uid, uid);
    CHECK_INT(about.st_gid, gid);
    CHECK_INT(about.st_mode & 0777, mode);
}

/* The job fails, and its annotation holds these parts. */
static void fails(drmaa2_j *j, const char *path, const char *cause)
{
    drmaa2_jinfo ji = finish(*j);
    CHECK_INT(ji->jobState, DRMAA2_FAILED);
    CHECK(ji->annotation != NULL && strstr(ji->annotation, path) && strstr(ji->annotation, cause));
    if (ji->annotation == NULL || !strstr(ji->annotation, path) || !strstr(ji->annotation, cause))
        fprintf(stderr, "  annotation \"%s\", not \"%s\" and \"%s\"\n", ji->annotation, path, cause);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(j);
}

static void stage(drmaa2_dict *dict, const char *from, const char *to)
{
    *dict = drmaa2_dict_create(drmaa2_dict_default_callback);
    CHECK_OK(drmaa2_dict_set(*dict, strdup(from), strdup(to)));
}

/* The meaning of a record, and what it cannot mean. */
static void records(drmaa2_jsession js)
{
    static const struct {
        const char *user, *group;
        long uid, gid;
        drmaa2_error code;
        const char *part;
    } wrong[] = {
        {"no-such-user", "", -1, -1, DRMAA2_INVALID_ARGUMENT, "no-such-user"},
        {"", "", 4123456789L, -1, DRMAA2_INVALID_ARGUMENT, "4123456789"},
        {"", "", 5000000000L, -1, DRMAA2_INVALID_ARGUMENT, "5000000000"},
        {"nobody", "", 1, -1, DRMAA2_INVALID_ARGUMENT, "\"nobody\" has the number 65534, not 1"},
        {"nobody", "no-such-group", -1, -1, DRMAA2_INVALID_ARGUMENT, "no-such-group"},
        {"nobody", "drmaa2-first", -1, SECOND, DRMAA2_INVALID_ARGUMENT, "not 4712"},
        {"nobody", "root", -1, -1, DRMAA2_DENIED_BY_DRMS, "nobody is not in group 0"},
        {"nobody", "", -1, 4713, DRMAA2_DENIED_BY_DRMS, "nobody is not in group 4713"},
        {"root", "drmaa2-first", -1, -1, DRMAA2_DENIED_BY_DRMS, "user root"},
    };
    drmaa2_jtemplate jt = command("true");
    drmaa2_sudo_s sudo;
    drmaa2_j j;
    size_t i;
    for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        sudo = named(wrong[i].user, wrong[i].group, wrong[i].uid, wrong[i].gid);
        CHECK_NULL(drmaa2_jsession_run_job_as(&sudo, js, jt), wrong[i].code);
        failed(wrong[i].code, wrong[i].part);
    }
    memset(sudo.username, 'x', sizeof sudo.username);
    CHECK_NULL(drmaa2_jsession_run_job_as(&sudo, js, jt), DRMAA2_INVALID_ARGUMENT);
    failed(DRMAA2_INVALID_ARGUMENT, "128 bytes");
    drmaa2_jtemplate_free(&jt);

    /* The caller, which is root: the image's user counts, as ever. */
    drmaa2_sudo_t callers[] = {named("", "", -1, -1), named("root", "", -1, 0), named("", "", 0, -1)};
    drmaa2_sudo caller[] = {NULL, &callers[0], &callers[1], &callers[2]};
    for (i = 0; i < sizeof caller / sizeof *caller; i++) {
        jt = shell("id -u");
        jt->outputPath = strdup(at("roots"));
        j = drmaa2_jsession_run_job_as(caller[i], js, jt);
        drmaa2_jtemplate_free(&jt);
        done_by(&j, "root");
        holds("roots", "0\n");
        CHECK(unlink(at("roots")) == 0);
    }
}

/* The job is his in the container and on the host. */
static void runs_as(drmaa2_jsession js)
{
    drmaa2_jtemplate jt = shell("id -u; id -g; id -G; umask; echo staged >/tmp/out; cat /tmp/in");
    drmaa2_j j;
    drmaa2_jarray ja;
    drmaa2_sudo_s nobody = named("nobody", "", -1, -1);
    long i;
    umask(027);
    jt->outputPath = strdup(at("his/out"));
    stage(&jt->stageInFiles, at("his/group"), "/tmp/in");
    stage(&jt->stageOutFiles, "/tmp/out", at("his/staged"));
    j = submit_as(nobody, js, jt);
    done_by(&j, "nobody");
    holds("his/out", "65534\n65534\n65534 4711 4712\n0027\nkept\n");
    is_owned("his/out", NOBODY, NOBODY, 0640);
    holds("his/staged", "staged\n");
    is_owned("his/staged", NOBODY, NOBODY, 0640);

    /* His number will do, and one of his groups in the place of the first. */
    jt = shell("id -u; id -g; id -G");
    jt->errorPath = strdup(at("his/err"));
    jt->outputPath = strdup(at("his/second"));
    j = submit_as(named("", "drmaa2-second", NOBODY, -1), js, jt);
    done_by(&j, "nobody");
    holds("his/second", "65534\n4712\n4712 4711 65534\n");
    is_owned("his/second", NOBODY, SECOND, 0640);
    is_owned("his/err", NOBODY, SECOND, 0640);

    jt = shell("id -u");
    jt->outputPath = strdup(at("his/task.$DRMAA2_INDEX$"));
    ja = drmaa2_jsession_run_bulk_jobs_as(&nobody, js, jt, 1, 2, 1, 0);
    if (ja == NULL)
        give_up("run_bulk_jobs_as");
    drmaa2_jtemplate_free(&jt);
    for (i = 0; i < 2; i++) {
        drmaa2_jinfo ji = finish((drmaa2_j)drmaa2_list_get(ja->job_list, i));
        CHECK_INT(ji->jobState, DRMAA2_DONE);
        CHECK_STR(ji->jobOwner, "nobody");
        drmaa2_jinfo_free(&ji);
    }
    drmaa2_jarray_free(&ja);
    holds("his/task.2", "65534\n");
    is_owned("his/task.2", NOBODY, NOBODY, 0640);
    umask(022);
}

/* With root's hand he reaches nothing that he could not reach himself. */
static void has_his_rights(drmaa2_jsession js)
{
    static const char *const denied[][2] = {
        {"privileged", "on"}, {"cap_add", "SYS_TIME"}, {"user", "root"}, {"groups", "0"}, {"init", "off"},
    };
    drmaa2_sudo_s nobody = named("nobody", "", -1, -1);
    drmaa2_jtemplate jt;
    drmaa2_j j;
    char path[64], value[300];
    size_t i;
    int fd;

    jt = command("cat");
    jt->inputPath = strdup(at("secret"));
    j = submit_as(nobody, js, jt);
    fails(&j, at("secret"), "Permission denied");
    jt = command("cat");
    CHECK(symlink(at("secret"), at("his/link")) == 0);
    jt->inputPath = strdup(at("his/link"));
    j = submit_as(nobody, js, jt);
    fails(&j, at("his/link"), "Permission denied");
    jt = command("true");
    jt->outputPath = strdup(at("his/link"));
    j = submit_as(nobody, js, jt);
    fails(&j, at("his/link"), "Permission denied");
    holds("secret", "kept\n");
    jt = command("true");
    jt->outputPath = strdup(at("new"));
    j = submit_as(nobody, js, jt);
    fails(&j, at("new"), "Permission denied");
    CHECK(access(at("new"), F_OK) != 0);
    jt = command("true");
    stage(&jt->stageInFiles, at("secret"), "/tmp/in");
    j = submit_as(nobody, js, jt);
    fails(&j, at("secret"), "Permission denied");
    jt = command("true");
    stage(&jt->stageOutFiles, "/etc/passwd", at("new"));
    j = submit_as(nobody, js, jt);
    fails(&j, dir, "Permission denied");

    /* He may read and write this one, but not go there; root has it open. */
    fd = open(at("closed/open"), O_RDWR);
    CHECK(fd >= 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    jt = command("cat");
    jt->inputPath = strdup(path);
    j = submit_as(nobody, js, jt);
    fails(&j, path, "Permission denied");
    jt = command("true");
    jt->outputPath = strdup(path);
    j = submit_as(nobody, js, jt);
    fails(&j, path, "Permission denied");
    holds("closed/open", "kept\n");
    jt = command("true");
    snprintf(value, sizeof value, "%s:/x:ro", path);
    set(jt, "mounts", value);
    CHECK_NULL(drmaa2_jsession_run_job_as(&nobody, js, jt), DRMAA2_INVALID_ARGUMENT);
    failed(DRMAA2_INVALID_ARGUMENT, "Permission denied");
    drmaa2_jtemplate_free(&jt);
    CHECK(close(fd) == 0);
    CHECK(chdir(at("closed/place")) == 0);
    jt = command("true");
    set(jt, "mounts", "/proc/self/cwd:/x");
    CHECK_NULL(drmaa2_jsession_run_job_as(&nobody, js, jt), DRMAA2_INVALID_ARGUMENT);
    failed(DRMAA2_INVALID_ARGUMENT, "Permission denied");
    drmaa2_jtemplate_free(&jt);
    CHECK(chdir("/") == 0);

    jt = command("true");
    snprintf(value, sizeof value, "%s:/x:ro", at("secret"));
    set(jt, "mounts", value);
    CHECK_NULL(drmaa2_jsession_run_job_as(&nobody, js, jt), DRMAA2_INVALID_ARGUMENT);
    failed(DRMAA2_INVALID_ARGUMENT, at("secret"));
    drmaa2_jtemplate_free(&jt);
    jt = command("true");
    set(jt, "seccomp", at("secret"));
    CHECK_NULL(drmaa2_jsession_run_job_as(&nobody, js, jt), DRMAA2_DENIED_BY_DRMS);
    failed(DRMAA2_DENIED_BY_DRMS, "containerd_jt_seccomp");
    drmaa2_jtemplate_free(&jt);
    for (i = 0; i < sizeof denied / sizeof *denied; i++) {
        jt = command("true");
        set(jt, denied[i][0], denied[i][1]);
        CHECK_NULL(drmaa2_jsession_run_job_as(&nobody, js, jt), DRMAA2_DENIED_BY_DRMS);
        failed(DRMAA2_DENIED_BY_DRMS, denied[i][0]);
        drmaa2_jtemplate_free(&jt);
    }
}

/* The files that he may have when the job is submitted, and those that are there when it starts. */
static void nothing_is_bent_later(drmaa2_jsession js)
{
    drmaa2_sudo_s nobody = named("nobody", "", -1, -1);
    drmaa2_jtemplate jt = command("true");
    drmaa2_j j;
    char value[300];
    CHECK(mkdir(at("his/place"), 0755) == 0 && chown(at("his/place"), NOBODY, NOBODY) == 0);
    jt->submitAsHold = DRMAA2_TRUE;
    jt->outputPath = strdup(at("his/place/secret"));
    j = submit_as(nobody, js, jt);
    CHECK(unlink(at("his/place/secret")) == 0 && rmdir(at("his/place")) == 0);
    CHECK(symlink(dir, at("his/place")) == 0);
    CHECK_OK(drmaa2_j_release_as(&nobody, j));
    fails(&j, at("his/place/secret"), "was replaced");
    holds("secret", "kept\n");

    /* The file that he had is mounted, whatever his link leads to then. */
    CHECK(symlink(at("his/group"), at("his/mount")) == 0);
    jt = shell("cat /x");
    jt->submitAsHold = DRMAA2_TRUE;
    jt->outputPath = strdup(at("his/mounted"));
    snprintf(value, sizeof value, "%s:/x:ro", at("his/mount"));
    set(jt, "mounts", value);
    j = submit_as(nobody, js, jt);
    CHECK(unlink(at("his/mount")) == 0 && symlink(at("secret"), at("his/mount")) == 0);
    CHECK_OK(drmaa2_j_release_as(&nobody, j));
    done_by(&j, "nobody");
    holds("his/mounted", "kept\n");

    /* Devices and profiles are looked at again by who starts the job. */
    CHECK(mknod(at("device"), S_IFCHR | 0600, makedev(1, 3)) == 0);
    CHECK(symlink("/dev/zero", at("his/device")) == 0);
    jt = command("true");
    jt->submitAsHold = DRMAA2_TRUE;
    snprintf(value, sizeof value, "%s:/dev/mine:rw", at("his/device"));
    set(jt, "devices", value);
    j = submit_as(nobody, js, jt);
    CHECK(unlink(at("his/device")) == 0 && symlink(at("device"), at("his/device")) == 0);
    CHECK_OK(drmaa2_j_release_as(&nobody, j));
    fails(&j, at("his/device"), "Permission denied");
    CHECK(unlink(at("device")) == 0);
}

/* A user who is not root acts for himself, and for nobody else. */
static void not_root(const char *unused)
{
    drmaa2_sudo_s root = named("root", "", -1, -1), daemon = named("daemon", "", -1, -1);
    drmaa2_sudo_s group = named("nobody", "drmaa2-first", -1, -1);
    gid_t groups[] = {FIRST};
    drmaa2_jsession js;
    drmaa2_jtemplate jt;
    drmaa2_j j;
    (void)unused;
    CHECK(setgroups(1, groups) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
    CHECK(setenv("DRMAA2_STATE_DIR", at("his/state"), 1) == 0 && setenv("HOME", at("his"), 1) == 0);
    CHECK_NULL(drmaa2_create_jsession_as(&root, "x", NULL), DRMAA2_DENIED_BY_DRMS);
    js = drmaa2_create_jsession_as(&(drmaa2_sudo_s){"nobody", "nogroup", NOBODY, NOBODY}, "mine", NULL);
    if (js == NULL)
        give_up("create_jsession_as");
    jt = command("true");
    CHECK_NULL(drmaa2_jsession_run_job_as(&root, js, jt), DRMAA2_DENIED_BY_DRMS);
    failed(DRMAA2_DENIED_BY_DRMS, "user nobody may not act for user root");
    CHECK_NULL(drmaa2_jsession_run_bulk_jobs_as(&daemon, js, jt, 1, 1, 1, 0), DRMAA2_DENIED_BY_DRMS);
    failed(DRMAA2_DENIED_BY_DRMS, "user nobody may not act for user daemon");
    CHECK_NULL(drmaa2_jsession_run_job_as(&group, js, jt), DRMAA2_DENIED_BY_DRMS);
    drmaa2_jtemplate_free(&jt);

    jt = shell("id -u; id -G");
    jt->outputPath = strdup(at("his/mine"));
    j = submit_as(named("", "", NOBODY, -1), js, jt);
    CHECK_ERROR(drmaa2_j_terminate_as(&root, j, DRMAA2_TRUE), DRMAA2_DENIED_BY_DRMS);
    done_by(&j, "nobody");
    holds("his/mine", "65534\n65534 4711\n");
    jt = sleeper();
    j = submit_as(named("nobody", "", -1, -1), js, jt);
    CHECK_INT(drmaa2_j_wait_started(j, LONG), DRMAA2_SUCCESS);
    CHECK_OK(drmaa2_j_terminate_as(&(drmaa2_sudo_s){"", "", -1, -1}, j, DRMAA2_FALSE));
    CHECK_INT(drmaa2_j_wait_terminated(j, LONG), DRMAA2_SUCCESS);
    drmaa2_j_free(&j);
    CHECK_OK(drmaa2_close_jsession(js));
    CHECK_ERROR(drmaa2_destroy_jsession_as(&root, "mine"), DRMAA2_DENIED_BY_DRMS);
    CHECK_OK(drmaa2_destroy_jsession_as(&(drmaa2_sudo_s){"nobody", "", -1, -1}, "mine"));
    drmaa2_jsession_free(&js);
}

/* For this process and its children, nobody is in two groups more. */
static void give_groups(void)
{
    char line[256];
    FILE *group;
    snprintf(line, sizeof line, "cp /etc/group %s", at("groups"));
    CHECK_INT(system(line), 0);
    group = fopen(at("groups"), "a");
    CHECK(group != NULL);
    fprintf(group, "drmaa2-first:x:%d:nobody\ndrmaa2-second:x:%d:nobody\n", FIRST, SECOND);
    fprintf(group, "drmaa2-third:x:4713:\n");
    CHECK(fclose(group) == 0 && chmod(at("groups"), 0644) == 0);
    CHECK(unshare(CLONE_NEWNS) == 0 && mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0);
    CHECK(mount(at("groups"), "/etc/group", "none", MS_BIND, NULL) == 0);
}

int main(void)
{
    const char *socket = needed("CONTAINERD_ADDRESS");
    struct stat before;
    drmaa2_jsession js;
    char remove[64];
    CHECK(mkdtemp(dir) != NULL && chmod(dir, 0755) == 0);
    give_groups();
    CHECK(mkdir(at("his"), 0700) == 0 && chown(at("his"), NOBODY, NOBODY) == 0);
    CHECK(mkdir(at("closed"), 0700) == 0);
    make("closed/open", 0666);
    CHECK(mkdir(at("closed/place"), 0755) == 0 && chmod(at("closed/place"), 0777) == 0);
    make("secret", 0600);
    make("his/group", 0640);
    CHECK(chown(at("his/group"), 0, FIRST) == 0);

    /* First of all: a process that has used the library keeps its state directory. */
    CHECK(stat(socket, &before) == 0 && chmod(socket, 0666) == 0);
    in_child(not_root, NULL);
    CHECK(chmod(socket, before.st_mode & 0777) == 0);

    js = session("as");
    records(js);
    runs_as(js);
    has_his_rights(js);
    nothing_is_bent_later(js);
    done_with(&js);
    snprintf(remove, sizeof remove, "rm -r '%s'", dir);
    CHECK_INT(system(remove), 0);
    return check_result();
}
