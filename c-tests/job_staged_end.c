/* The files that a job leaves are staged out however it ended, and whoever ended it waits for that. */
#include "extension.h"

#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>

static char dir[] = "/var/tmp/drmaa2-staged-XXXXXX";

static const char *at(const char *name)
{
    return path_in(dir, name);
}

/* Wait for a file of a directory. */
static void wait_for_file(const char *directory, const char *name)
{
    char path[1200], events[4096];
    int watch = inotify_init1(IN_CLOEXEC);
    snprintf(path, sizeof path, "%s/%s", directory, name);
    CHECK(watch >= 0 && inotify_add_watch(watch, directory, IN_CREATE) >= 0);
    while (access(path, F_OK) != 0) {
        await_readable(watch, path);
        CHECK(read(watch, events, sizeof events) > 0);
    }
    close(watch);
}

/* Wait until a file of this name is made in a watched directory, which may be gone by then. */
static void wait_for_creation(int watch, const char *name)
{
    union {
        struct inotify_event first;
        char bytes[4096];
    } events;
    const struct inotify_event *event;
    ssize_t length, next;
    for (;;) {
        await_readable(watch, name);
        length = read(watch, &events, sizeof events);
        CHECK(length > 0);
        for (next = 0; next < length; next += (ssize_t)(sizeof *event + event->len)) {
            event = (const void *)(events.bytes + next);
            if (event->len > 0 && strcmp(event->name, name) == 0)
                return;
        }
    }
}

/* A job that leaves something at this place of the host. The script can tell by `touch /shared/NAME`. */
static drmaa2_jtemplate leaving(const char *script, const char *place)
{
    char shared[160];
    drmaa2_jtemplate jt = shell(script);
    jt->stageOutFiles = drmaa2_dict_create(drmaa2_dict_default_callback);
    CHECK_OK(drmaa2_dict_set(jt->stageOutFiles, strdup("/tmp/left"), strdup(at(place))));
    snprintf(shared, sizeof shared, "%s:/shared", dir);
    set(jt, "mounts", shared);
    return jt;
}

static void limit(drmaa2_jtemplate jt, const char *key, const char *value)
{
    jt->resourceLimits = drmaa2_dict_create(drmaa2_dict_default_callback);
    CHECK_OK(drmaa2_dict_set(jt->resourceLimits, strdup(key), strdup(value)));
}

/* The job has failed, this is in its annotation, and what it left is there. */
static void left(drmaa2_j j, int status, const char *part, const char *place)
{
    char text[16] = "";
    FILE *file;
    drmaa2_jinfo ji = finish(j);
    CHECK_INT(ji->jobState, DRMAA2_FAILED);
    CHECK_INT(ji->exitStatus, status);
    CHECK(ji->annotation != NULL && strstr(ji->annotation, part) != NULL);
    if (ji->annotation != NULL && strstr(ji->annotation, part) == NULL)
        fprintf(stderr, "  annotation \"%s\"\n", ji->annotation);
    file = fopen(at(place), "r");
    CHECK(file != NULL && fgets(text, sizeof text, file) != NULL);
    CHECK_STR(text, "left\n");
    if (file != NULL)
        fclose(file);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);
}

static void terminated(drmaa2_jsession js)
{
    drmaa2_j j = submit(js, leaving("trap 'echo left >/tmp/left; exit 3' TERM; touch /shared/ready; sleep 1000 & wait",
                                    "terminated"));
    wait_for_file(dir, "ready");
    CHECK_OK(drmaa2_j_terminate(j));
    left(j, 3, "terminated on request", "terminated");
}

static void killed(drmaa2_jsession js)
{
    drmaa2_jtemplate jt = leaving("trap '' TERM; echo left >/tmp/left; touch /shared/deaf; while :; do sleep 1000; done",
                                  "killed");
    drmaa2_j j;
    set(jt, "grace", "0.2");
    j = submit(js, jt);
    wait_for_file(dir, "deaf");
    CHECK_OK(drmaa2_j_terminate(j));
    left(j, 128 + 9, "did not end within 0.2 s of SIGTERM; killed", "killed");
}

static void limited(drmaa2_jsession js)
{
    drmaa2_jtemplate jt = leaving("echo left >/tmp/left; sleep 1000", "late");
    limit(jt, DRMAA2_WALLCLOCK_TIME, "3");
    left(submit(js, jt), 128 + 15, "(WALLCLOCK_TIME)", "late");
    jt = leaving("echo left >/tmp/left; while :; do :; done", "busy");
    limit(jt, DRMAA2_CPU_TIME, "1");
    left(submit(js, jt), 128 + 15, "(CPU_TIME)", "busy");
}

/* Another process follows the jobs of the state directory: it looks at all of them before it runs its own. */
static void look_after_all(const char *name)
{
    drmaa2_jsession js = session(name);
    drmaa2_j j = run(js, shell("true"));
    drmaa2_jinfo ji = finish(j);
    CHECK_INT(ji->exitStatus, 0);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);
    done_with(&js);
}

/* A job that copies so many files when it is asked to end, and is suspended over that. NULL if it was through
   before that. */
static drmaa2_j suspended_over_copying(drmaa2_jsession js, int files)
{
    char job_dir[1024], script[256];
    int watch = inotify_init1(IN_CLOEXEC);
    drmaa2_j j;
    drmaa2_string id;
    drmaa2_jtemplate jt;
    snprintf(script, sizeof script,
             "trap 'exit 3' TERM; mkdir /tmp/left; for i in $(seq %d); do : >/tmp/left/$i; done; "
             "touch /shared/full; sleep 1000 & wait",
             files);
    jt = leaving(script, "many");
    set(jt, "cpus", "0.1");
    set(jt, "grace", "2");
    j = submit(js, jt);
    wait_for_file(dir, "full");
    id = drmaa2_j_get_id(j);
    snprintf(job_dir, sizeof job_dir, "%s/jobs/%s/shared", needed("DRMAA2_STATE_DIR"), id);
    drmaa2_string_free(&id);
    CHECK(watch >= 0 && inotify_add_watch(watch, job_dir, IN_CREATE) >= 0);
    CHECK_OK(drmaa2_j_terminate(j));
    wait_for_creation(watch, "staging-out");
    close(watch);
    if (drmaa2_j_suspend(j) == DRMAA2_SUCCESS)
        return j;
    failed(DRMAA2_INVALID_STATE, "");
    CHECK_OK(drmaa2_j_wait_terminated(j, LONG));
    CHECK(remove(at("full")) == 0);
    drmaa2_j_free(&j);
    return NULL;
}

/* Copying takes longer than a job that was asked to end has for that, and another process comes over it. */
static void patiently(drmaa2_jsession js)
{
    struct timespec span = {.tv_sec = 8};
    struct stat last;
    drmaa2_j j;
    drmaa2_jinfo ji;
    char name[32];
    int files = 4000;
    while ((j = suspended_over_copying(js, files)) == NULL)
        files *= 2;
    in_child(look_after_all, "staged-end-other");
    CHECK_INT(drmaa2_j_get_state(j, NULL), DRMAA2_SUSPENDED);
    /* Its grace, and the five seconds that its init has beyond that. */
    CHECK(nanosleep(&span, NULL) == 0);
    CHECK_OK(drmaa2_j_resume(j));
    ji = finish(j);
    CHECK_INT(ji->exitStatus, 3);
    /* With a tenth of a processor, its `sleep` may take longer than the grace to end, which is then told as well. */
    CHECK(ji->annotation != NULL && strncmp(ji->annotation, "terminated on request", 21) == 0);
    CHECK(stat(at("many"), &last) == 0 && S_ISDIR(last.st_mode));
    snprintf(name, sizeof name, "many/%d", files);
    CHECK(stat(at("many/1"), &last) == 0 && stat(at(name), &last) == 0);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);
}

int main(void)
{
    char remove[64];
    drmaa2_jsession js;
    CHECK(mkdtemp(dir) != NULL);
    js = session(NULL);
    terminated(js);
    killed(js);
    limited(js);
    /* That takes a job with a tenth of a processor, of which Slurm knows nothing, and the job's directory. */
    if (reaches_containerd())
        patiently(js);
    done_with(&js);
    snprintf(remove, sizeof remove, "rm -r '%s'", dir);
    CHECK_INT(system(remove), 0);
    return check_result();
}
