/* A runtime that loses a job: a rerunnable job runs again, any other has failed. */
#include "job.h"

#include <signal.h>
#include <sys/inotify.h>

/* The input of the jobs, and the file in which each run of theirs leaves a line. */
static char path[64], runs[80];

/* A job that ends once its input has a line. */
static drmaa2_jtemplate template(int rerunnable)
{
    drmaa2_jtemplate jt = shell("echo run; until read line; do usleep 10000; done");
    jt->inputPath = strdup(path);
    jt->outputPath = strdup(runs);
    jt->rerunnable = rerunnable ? DRMAA2_TRUE : DRMAA2_FALSE;
    return jt;
}

/* The process of a job's init. */
static pid_t init_of(drmaa2_j j)
{
    long pid = 0;
    drmaa2_string id = drmaa2_j_get_id(j);
    char *tasks = ctr("tasks list"), *row = strstr(tasks, id);
    if (row == NULL || sscanf(row + strlen(id), "%ld", &pid) != 1 || pid <= 1) {
        fprintf(stderr, "no process of job %s in:\n%s", id, tasks);
        exit(1);
    }
    drmaa2_string_free(&id);
    free(tasks);
    return (pid_t)pid;
}

/* Kill the shim of a job: the parent of its init. */
static void kill_shim(drmaa2_j j)
{
    char status[64], line[128];
    long shim = 0;
    FILE *file;
    snprintf(status, sizeof status, "/proc/%ld/status", (long)init_of(j));
    file = fopen(status, "r");
    if (file == NULL) {
        perror(status);
        exit(1);
    }
    while (shim == 0 && fgets(line, sizeof line, file) != NULL)
        sscanf(line, "PPid: %ld", &shim);
    fclose(file);
    CHECK(shim > 1 && kill((pid_t)shim, SIGKILL) == 0);
}

/* A machine that goes down sends SIGTERM to every process. */
static void shut_down(drmaa2_j j)
{
    pid_t init = init_of(j);
    CHECK(kill(init, SIGTERM) == 0);
}

static int count_runs(void)
{
    int count = 0, byte;
    FILE *file = fopen(runs, "r");
    CHECK(file != NULL);
    while ((byte = getc(file)) != EOF)
        count += byte == '\n';
    fclose(file);
    return count;
}

static void wait_for_runs(int wanted)
{
    char events[4096];
    int watch = inotify_init1(IN_CLOEXEC);
    CHECK(watch >= 0 && inotify_add_watch(watch, runs, IN_MODIFY) >= 0);
    while (count_runs() < wanted) {
        await_readable(watch, "the next run");
        CHECK(read(watch, events, sizeof events) > 0);
    }
    close(watch);
}

static void feed(void)
{
    FILE *file = fopen(path, "a");
    CHECK(file != NULL && fputs("go\n", file) >= 0 && fclose(file) == 0);
}

static void runs_again(drmaa2_jsession js, void (*lose)(drmaa2_j))
{
    time_t dispatched;
    drmaa2_j j = run(js, template(1));
    drmaa2_jinfo ji = drmaa2_j_get_info(j);
    dispatched = ji->dispatchTime;
    drmaa2_jinfo_free(&ji);
    wait_for_runs(1);
    lose(j);
    /* Not before: the first run may live for a moment yet, and must not be the one that reads it. */
    wait_for_runs(2);
    feed();
    ji = finish(j);
    CHECK_INT(ji->jobState, DRMAA2_DONE);
    CHECK_INT(count_runs(), 2);
    CHECK_INT(ji->dispatchTime, dispatched);
    CHECK(ji->annotation == NULL);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);
}

static void start_anew(void)
{
    CHECK(fclose(fopen(path, "w")) == 0);
    CHECK(remove(runs) == 0);
}

/* A job that is not rerunnable, and whose command has begun: before that, its init takes no SIGTERM. */
static drmaa2_j begun(drmaa2_jsession js)
{
    drmaa2_j j;
    start_anew();
    j = run(js, template(0));
    wait_for_runs(1);
    return j;
}

static void fails(drmaa2_jsession js)
{
    drmaa2_j j = begun(js);
    drmaa2_jinfo ji;
    kill_shim(j);
    ji = finish(j);
    CHECK_INT(ji->jobState, DRMAA2_FAILED);
    CHECK_INT(ji->exitStatus, -1);
    CHECK(ji->annotation != NULL && strstr(ji->annotation, "runtime lost") != NULL);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);

    j = begun(js);
    shut_down(j);
    ji = finish(j);
    CHECK_INT(ji->jobState, DRMAA2_FAILED);
    CHECK_STR(ji->terminatingSignal, "SIGTERM");
    CHECK(ji->annotation != NULL && strstr(ji->annotation, "nobody asked for") != NULL);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);
}

/* With one slot, a job that was lost stays REQUEUED while another has it. */
static void is_held(void)
{
    drmaa2_jsession js = drmaa2_create_jsession("rerun-held", "containerd://?slots=1");
    drmaa2_jtemplate jt = template(1);
    drmaa2_j j, other;
    drmaa2_jinfo ji;
    CHECK(js != NULL);
    j = run(js, jt);
    /* One of a higher priority waits, and gets the slot. */
    jt = sleeper();
    jt->priority = 10;
    other = submit(js, jt);
    wait_for_runs(1);
    kill_shim(j);
    CHECK_INT(drmaa2_j_wait_started(other, LONG), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_j_get_state(j, NULL), DRMAA2_REQUEUED);
    ji = drmaa2_j_get_info(j);
    CHECK(ji->annotation != NULL && strstr(ji->annotation, "runtime lost") != NULL);
    CHECK(ji->slots == -1 && ji->allocatedMachines == NULL && ji->dispatchTime > 0);
    drmaa2_jinfo_free(&ji);
    CHECK_ERROR(drmaa2_j_release(j), DRMAA2_INVALID_STATE);
    CHECK_ERROR(drmaa2_j_suspend(j), DRMAA2_INVALID_STATE);
    CHECK_INT(drmaa2_j_hold(j), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_j_get_state(j, NULL), DRMAA2_REQUEUED_HELD);
    CHECK_ERROR(drmaa2_j_hold(j), DRMAA2_INVALID_STATE);
    end(&other);
    CHECK_INT(drmaa2_j_get_state(j, NULL), DRMAA2_REQUEUED_HELD);
    feed();
    CHECK_INT(drmaa2_j_release(j), DRMAA2_SUCCESS);
    ji = finish(j);
    CHECK_INT(ji->jobState, DRMAA2_DONE);
    CHECK_INT(count_runs(), 2);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);

    /* And one that waits to run again can be terminated. */
    CHECK(remove(path) == 0);
    CHECK(fclose(fopen(path, "w")) == 0);
    j = run(js, template(1));
    jt = sleeper();
    jt->priority = 10;
    other = submit(js, jt);
    kill_shim(j);
    CHECK_INT(drmaa2_j_wait_started(other, LONG), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_j_terminate(j), DRMAA2_SUCCESS);
    ji = finish(j);
    CHECK_INT(ji->jobState, DRMAA2_FAILED);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);
    end(&other);
    done_with(&js);
}

int main(void)
{
    drmaa2_jsession js;
    snprintf(path, sizeof path, "/tmp/drmaa2-rerun-%ld", (long)getpid());
    snprintf(runs, sizeof runs, "%s.runs", path);
    CHECK(fclose(fopen(path, "w")) == 0);
    js = session(NULL);
    runs_again(js, kill_shim);
    start_anew();
    runs_again(js, shut_down);
    fails(js);
    done_with(&js);
    CHECK(remove(path) == 0);
    CHECK(fclose(fopen(path, "w")) == 0);
    is_held();
    CHECK(remove(path) == 0 && remove(runs) == 0);
    return check_result();
}
