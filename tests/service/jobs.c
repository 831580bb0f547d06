/* Every kind of job, started by the service and by nobody else.

   jobs submit DIR   submit the jobs, held; their files are below DIR, and in directories of the system
   jobs finish DIR   release them, wait for their ends, and see what they wrote
   jobs ROW DIR      run one of them alone

   The second is to be run where containerd cannot be reached: then the service alone can start a job. It
   prints a line for each, "ok ROW" or "FAIL ROW: WHY". DRMAA2_TEST_IMAGE names the image,
   DRMAA2_TEST_PULL one that has to be pulled for one of the jobs. */
#include "../../c-tests/as.h"

#include <sys/inotify.h>

#define SESSION "service"
#define NOBODY 65534

static const char *dir;

/* A file of this row. */
static const char *file_of(const char *row, const char *what)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%s", row, what);
    return path_in(dir, name);
}

static void put(const char *path, const char *text, mode_t mode)
{
    FILE *file = fopen(path, "w");
    if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0 || chmod(path, mode) != 0) {
        perror(path);
        exit(1);
    }
}

/* The content of the file, or why that is not known. */
static const char *content(const char *path)
{
    static char text[4096];
    FILE *file = fopen(path, "r");
    size_t length = file == NULL ? 0 : fread(text, 1, sizeof text - 1, file);
    text[length] = '\0';
    if (file == NULL)
        snprintf(text, sizeof text, "%s: cannot be read", path);
    else
        fclose(file);
    return text;
}

/* Wait until this file is in the directory. */
static void await_file(int watch, const char *path)
{
    char events[4096];
    while (access(path, F_OK) != 0) {
        await_readable(watch, path);
        CHECK(read(watch, events, sizeof events) > 0);
    }
}

static drmaa2_jtemplate with(const char *name, const char *value, const char *script)
{
    drmaa2_jtemplate jt = shell(script);
    set(jt, name, value);
    return jt;
}

static void stage(drmaa2_dict *dict, const char *from, const char *to)
{
    *dict = drmaa2_dict_create(drmaa2_dict_default_callback);
    CHECK_OK(drmaa2_dict_set(*dict, strdup(from), strdup(to)));
}

static drmaa2_jtemplate plain(const char *row)
{
    (void)row;
    return shell("echo ran");
}

static drmaa2_jtemplate who(const char *row)
{
    (void)row;
    return shell("id -u; id -g");
}

static drmaa2_jtemplate staged(const char *row)
{
    drmaa2_jtemplate jt = shell("cat /in; echo out >/tmp/result");
    put(file_of(row, "in"), "staged\n", 0644);
    stage(&jt->stageInFiles, file_of(row, "in"), "/in");
    /* Every user may write here. */
    CHECK(mkdir(file_of(row, "tree"), 0777) == 0 && chmod(file_of(row, "tree"), 0777) == 0);
    stage(&jt->stageOutFiles, "/tmp/result", file_of(row, "tree/result"));
    return jt;
}

static drmaa2_jtemplate bare(const char *row)
{
    drmaa2_jtemplate jt = with("init", "off", "cat; echo error >&2; cat /mounted/there; echo more >/mounted/new");
    char mount[256];
    put(file_of(row, "in"), "input\n", 0644);
    jt->inputPath = strdup(file_of(row, "in"));
    jt->errorPath = strdup(file_of(row, "err"));
    CHECK(mkdir(file_of(row, "tree"), 0777) == 0 && chmod(file_of(row, "tree"), 0777) == 0);
    snprintf(mount, sizeof mount, "%s/there", file_of(row, "tree"));
    put(mount, "mounted\n", 0644);
    snprintf(mount, sizeof mount, "%s:/mounted", file_of(row, "tree"));
    set(jt, "mounts", mount);
    return jt;
}

static drmaa2_jtemplate bare_user(const char *row)
{
    drmaa2_jtemplate jt = bare(row);
    set(jt, "user", "65534:65534");
    return jt;
}

/* A file in a directory of the system. The session of jobs tells it again at the end. */
static drmaa2_jtemplate bare_in(const char *place)
{
    char path[64];
    drmaa2_jtemplate jt = with("init", "off", "echo ran");
    snprintf(path, sizeof path, "%s/drmaa2-service.XXXXXX", place);
    close(mkstemp(path));
    jt->outputPath = strdup(path);
    return jt;
}

static drmaa2_jtemplate in_home(const char *row) { (void)row; return bare_in("/home"); }
static drmaa2_jtemplate in_root(const char *row) { (void)row; return bare_in("/root"); }
static drmaa2_jtemplate in_tmp(const char *row) { (void)row; return bare_in("/tmp"); }
static drmaa2_jtemplate in_srv(const char *row) { (void)row; return bare_in("/srv"); }
static drmaa2_jtemplate in_shm(const char *row) { (void)row; return bare_in("/dev/shm"); }

static drmaa2_jtemplate mounted(const char *row)
{
    drmaa2_jtemplate jt = shell("cat /home/marker; ls -d /host-home /host-run");
    char mounts[512];
    put(file_of(row, "marker"), "marked\n", 0644);
    snprintf(mounts, sizeof mounts, "%s:/home/marker:ro,/home:/host-home,/run:/host-run:ro", file_of(row, "marker"));
    set(jt, "mounts", mounts);
    return jt;
}

static drmaa2_jtemplate device(const char *row)
{
    (void)row;
    return with("devices", "/dev/kmsg:/dev/seen", "test -c /dev/seen && echo there");
}

static drmaa2_jtemplate limit(const char *row)
{
    (void)row;
    return with("rlimits", "rtprio=77", "awk '/realtime priority/ { print $4, $5 }' /proc/self/limits");
}

#define BOUNDS "sed -n 's/^CapBnd:\t//p' /proc/self/status"

static drmaa2_jtemplate privileged(const char *row)
{
    (void)row;
    return with("privileged", "true", BOUNDS);
}

static drmaa2_jtemplate all_capabilities(const char *row)
{
    (void)row;
    return with("cap_add", "ALL", BOUNDS);
}

static drmaa2_jtemplate tmpfs(const char *row)
{
    (void)row;
    return with("tmpfs", "/scratch:1m", "df -k /scratch | awk 'NR == 2 { print $1, $2 }'");
}

static drmaa2_jtemplate network(const char *row)
{
    (void)row;
    return with("network", "host", "grep -c ' /etc/hosts ' /proc/self/mounts");
}

static drmaa2_jtemplate profile(const char *row)
{
    put(file_of(row, "json"), "{\"defaultAction\":\"SCMP_ACT_ALLOW\"}", 0644);
    return with("seccomp", file_of(row, "json"), "echo ran");
}

static drmaa2_jtemplate mail(const char *row)
{
    drmaa2_jtemplate jt = plain(row);
    jt->email = drmaa2_list_create(DRMAA2_STRINGLIST, drmaa2_string_list_default_callback);
    CHECK_OK(drmaa2_list_add(jt->email, strdup("root")));
    jt->emailOnTerminated = DRMAA2_TRUE;
    return jt;
}

static drmaa2_jtemplate pulled(const char *row)
{
    drmaa2_jtemplate jt = with("pull", "always", "echo ran");
    (void)row;
    free(jt->jobCategory);
    jt->jobCategory = strdup(needed("DRMAA2_TEST_PULL"));
    return jt;
}

static const char *ran(void) { return "ran\n"; }
static const char *ids(void) { return "65534\n65534\n"; }
static const char *staged_in(void) { return "staged\n"; }
static const char *read_all(void) { return "input\nmounted\n"; }
static const char *places(void) { return "marked\n/host-home\n/host-run\n"; }
static const char *there(void) { return "there\n"; }
static const char *raised(void) { return "77 77\n"; }
static const char *in_memory(void) { return "tmpfs 1024\n"; }
static const char *once(void) { return "1\n"; }

/* All that this machine has: this program is not confined. */
static const char *all(void)
{
    static char text[64];
    char line[128], set[32] = "";
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && fgets(line, sizeof line, status) != NULL)
        sscanf(line, "CapBnd: %31s", set);
    if (status != NULL)
        fclose(status);
    snprintf(text, sizeof text, "%s\n", set);
    return text;
}

/* Nobody can raise a limit on a machine without CAP_SYS_RESOURCE, which is number 24; the job tells. */
static const char *not_raised(void)
{
    return strtoull(all(), NULL, 16) >> 24 & 1 ? NULL : "limit rtprio of 77: Operation not permitted";
}

static const struct row {
    const char *name;
    drmaa2_jtemplate (*make)(const char *row);
    const char *(*expected)(void);
    uid_t uid;
    /* The text that has to be there afterwards as well, and in which of its files. */
    const char *file, *text;
    /* The reason why the job has to fail here, if it has to. */
    const char *(*failure)(void);
} rows[] = {
    {"plain", plain, ran, 0, NULL, NULL, NULL},
    {"user", who, ids, NOBODY, NULL, NULL, NULL},
    {"staging", staged, staged_in, 0, "tree/result", "out\n", NULL},
    {"user-staging", staged, staged_in, NOBODY, "tree/result", "out\n", NULL},
    {"init-off", bare, read_all, 0, "err", "error\n", NULL},
    {"init-off-user", bare_user, read_all, 0, "tree/new", "more\n", NULL},
    {"init-off-home", in_home, ran, 0, NULL, NULL, NULL},
    {"init-off-root", in_root, ran, 0, NULL, NULL, NULL},
    {"init-off-tmp", in_tmp, ran, 0, NULL, NULL, NULL},
    {"init-off-srv", in_srv, ran, 0, NULL, NULL, NULL},
    {"init-off-shm", in_shm, ran, 0, NULL, NULL, NULL},
    {"mounts", mounted, places, 0, NULL, NULL, NULL},
    {"device", device, there, 0, NULL, NULL, NULL},
    {"raised-limit", limit, raised, 0, NULL, NULL, not_raised},
    {"privileged", privileged, all, 0, NULL, NULL, NULL},
    {"cap-add-all", all_capabilities, all, 0, NULL, NULL, NULL},
    {"tmpfs", tmpfs, in_memory, 0, NULL, NULL, NULL},
    {"network", network, once, 0, NULL, NULL, NULL},
    {"seccomp", profile, ran, 0, NULL, NULL, NULL},
    {"pull", pulled, ran, 0, NULL, NULL, NULL},
    {"mail", mail, ran, 0, "sent", "by group mail\n", NULL},
};
#define ROWS (sizeof rows / sizeof *rows)

static void submit_all(void)
{
    drmaa2_jsession js = session(SESSION);
    size_t i;
    for (i = 0; i < ROWS; i++) {
        drmaa2_sudo_s sudo = named("", "", rows[i].uid == 0 ? -1 : (long)rows[i].uid, -1);
        drmaa2_jtemplate jt = rows[i].make(rows[i].name);
        drmaa2_j j;
        jt->jobName = strdup(rows[i].name);
        jt->submitAsHold = DRMAA2_TRUE;
        if (jt->outputPath == NULL) {
            jt->outputPath = strdup(file_of(rows[i].name, "out"));
            put(jt->outputPath, "", 0666);
        }
        j = rows[i].uid == 0 ? drmaa2_jsession_run_job(js, jt) : drmaa2_jsession_run_job_as(&sudo, js, jt);
        drmaa2_jtemplate_free(&jt);
        if (j == NULL)
            give_up(rows[i].name);
        drmaa2_j_free(&j);
    }
    CHECK_OK(drmaa2_close_jsession(js));
    drmaa2_jsession_free(&js);
}

/* The reason why the job of this row is not as it has to be; NULL if it is. */
static const char *wrong(const struct row *row, drmaa2_j j, const char *output, int watch)
{
    static char why[8192];
    drmaa2_jinfo ji = finish(j);
    const char *text = content(output), *failure = row->failure == NULL ? NULL : row->failure();
    why[0] = '\0';
    if (failure != NULL && ji->annotation != NULL && strcmp(ji->annotation, failure) == 0)
        text = row->expected();
    else if (ji->jobState != DRMAA2_DONE)
        snprintf(why, sizeof why, "it is FAILED, %s", ji->annotation ? ji->annotation : "without a reason");
    else if (strcmp(text, row->expected()) != 0)
        snprintf(why, sizeof why, "it wrote \"%s\", not \"%s\"", text, row->expected());
    if (why[0] == '\0' && row->file != NULL) {
        await_file(watch, file_of(row->name, row->file));
        text = content(file_of(row->name, row->file));
        if (strcmp(text, row->text) != 0)
            snprintf(why, sizeof why, "in .%s is \"%s\", not \"%s\"", row->file, text, row->text);
    }
    drmaa2_jinfo_free(&ji);
    return why[0] == '\0' ? NULL : why;
}

static void finish_all(void)
{
    drmaa2_jsession js = drmaa2_open_jsession(SESSION);
    drmaa2_j_list jobs = js == NULL ? NULL : drmaa2_jsession_get_jobs(js, NULL);
    int watch = inotify_init1(IN_CLOEXEC);
    size_t i;
    long at;
    /* A mail is sent when its job has ended, and is delivered by a rename. */
    CHECK(inotify_add_watch(watch, dir, IN_MOVED_TO) >= 0);
    if (jobs == NULL || drmaa2_list_size(jobs) != ROWS)
        give_up("the session with all jobs");
    for (at = 0; at < (long)ROWS; at++)
        CHECK_OK(drmaa2_j_release((drmaa2_j)drmaa2_list_get(jobs, at)));
    /* They are listed as they were submitted. */
    for (i = 0; i < ROWS; i++) {
        drmaa2_j j = (drmaa2_j)drmaa2_list_get(jobs, (long)i);
        drmaa2_jtemplate jt = drmaa2_j_get_jtemplate(j);
        const char *why;
        CHECK_STR(jt->jobName, rows[i].name);
        why = wrong(&rows[i], j, jt->outputPath, watch);
        if (why == NULL)
            printf("ok %s\n", rows[i].name);
        else
            printf("FAIL %s: %s\n", rows[i].name, why);
        check_failures += why != NULL;
        if (strncmp(jt->outputPath, dir, strlen(dir)) != 0)
            unlink(jt->outputPath);
        drmaa2_jtemplate_free(&jt);
    }
    close(watch);
    drmaa2_list_free(&jobs);
    done_with(&js);
}

static int run_one(const char *name)
{
    drmaa2_jsession js = session(NULL);
    size_t i;
    for (i = 0; i < ROWS && strcmp(rows[i].name, name) != 0; i++)
        ;
    if (i < ROWS) {
        drmaa2_j j = submit(js, rows[i].make(name));
        drmaa2_jinfo ji = finish(j);
        CHECK_INT(ji->jobState, DRMAA2_DONE);
        drmaa2_jinfo_free(&ji);
        drmaa2_j_free(&j);
    }
    done_with(&js);
    return i < ROWS;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: jobs {submit|finish|ROW} DIR\n");
        return 2;
    }
    dir = argv[2];
    if (strcmp(argv[1], "submit") == 0)
        submit_all();
    else if (strcmp(argv[1], "finish") == 0)
        finish_all();
    else if (!run_one(argv[1]))
        return 2;
    return check_result();
}
