/* Holding jobs, also those that are being started: what the call says and what the state says agree, and no
   command runs that is held. */
#include "extension.h"

#include <time.h>

enum { JOBS = 24 };

/* The number of lines of a file. */
static int lines(const char *path)
{
    int c, count = 0;
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    if (file == NULL)
        return -1;
    while ((c = getc(file)) != EOF)
        count += c == '\n';
    fclose(file);
    return count;
}

static drmaa2_jtemplate writer(const char *output)
{
    drmaa2_jtemplate jt = shell("echo it runs");
    jt->outputPath = strdup(output);
    return jt;
}

static void pause_for(long microseconds)
{
    struct timespec span = {microseconds / 1000000, microseconds % 1000000 * 1000};
    nanosleep(&span, NULL);
}

/* Hold a job. True if that was in time; else it has begun, and its state says so. */
static int hold(drmaa2_j j)
{
    drmaa2_error error = drmaa2_j_hold(j);
    drmaa2_jstate state = drmaa2_j_get_state(j, NULL);
    if (error == DRMAA2_SUCCESS) {
        CHECK_INT(state, DRMAA2_QUEUED_HELD);
        return 1;
    }
    CHECK_INT(error, DRMAA2_INVALID_STATE);
    CHECK(state == DRMAA2_RUNNING || state == DRMAA2_DONE);
    if (state != DRMAA2_RUNNING && state != DRMAA2_DONE)
        fprintf(stderr, "  its state is %d\n", (int)state);
    return 0;
}

/* Jobs are held so many microseconds after their submission; those that are held have not run, and run once
   when they are released. Gives how many were held. */
static int round_of(drmaa2_jsession js, const char *dir, long step, drmaa2_jtemplate (*make)(const char *))
{
    drmaa2_j jobs[JOBS];
    char outputs[JOBS][256];
    int held[JOBS], count = 0;
    for (int i = 0; i < JOBS; i++) {
        snprintf(outputs[i], sizeof outputs[i], "%s/%ld-%d", dir, step, i);
        jobs[i] = submit(js, make(outputs[i]));
        pause_for(step * (i % 12));
        held[i] = hold(jobs[i]);
        count += held[i];
    }
    /* All others run to their end; a job that is held by mistake would do so as well. */
    for (int i = 0; i < JOBS; i++)
        if (!held[i])
            CHECK_INT(drmaa2_j_wait_terminated(jobs[i], LONG), DRMAA2_SUCCESS);
    for (int i = 0; i < JOBS; i++) {
        CHECK_INT(lines(outputs[i]), held[i] ? 0 : 1);
        if (held[i]) {
            CHECK_INT(drmaa2_j_get_state(jobs[i], NULL), DRMAA2_QUEUED_HELD);
            CHECK_INT(drmaa2_j_hold(jobs[i]), DRMAA2_INVALID_STATE);
            CHECK_INT(drmaa2_j_release(jobs[i]), DRMAA2_SUCCESS);
        }
    }
    for (int i = 0; i < JOBS; i++) {
        drmaa2_jinfo ji = finish(jobs[i]);
        CHECK_INT(ji->jobState, DRMAA2_DONE);
        if (ji->annotation != NULL)
            fprintf(stderr, "  annotation \"%s\"\n", ji->annotation);
        CHECK_INT(lines(outputs[i]), 1);
        CHECK_INT(unlink(outputs[i]), 0);
        drmaa2_jinfo_free(&ji);
        drmaa2_j_free(&jobs[i]);
    }
    return count;
}

/* Without an init of ours, the process that starts the job decides. */
static drmaa2_jtemplate bare_writer(const char *output)
{
    drmaa2_jtemplate jt = writer(output);
    set(jt, "init", "off");
    return jt;
}

/* Right after each other. */
static void back_and_forth(drmaa2_jsession js, const char *dir)
{
    const char *output = path_in(dir, "back-and-forth");
    drmaa2_j j = submit(js, writer(output));
    for (int i = 0; i < 10; i++)
        if (hold(j)) {
            CHECK_INT(drmaa2_j_release(j), DRMAA2_SUCCESS);
            pause_for(7000 * i);
        }
    drmaa2_jinfo ji = finish(j);
    CHECK_INT(ji->jobState, DRMAA2_DONE);
    CHECK_STR(ji->annotation, NULL);
    CHECK_INT(lines(output), 1);
    CHECK_INT(unlink(output), 0);
    drmaa2_jinfo_free(&ji);
    /* A job that is terminated while it is held ends without having run. */
    j = submit(js, writer(output));
    if (hold(j)) {
        CHECK_INT(drmaa2_j_terminate(j), DRMAA2_SUCCESS);
        ji = finish(j);
        CHECK_INT(ji->jobState, DRMAA2_FAILED);
        CHECK_INT(lines(output), 0);
        drmaa2_jinfo_free(&ji);
    }
    CHECK_INT(unlink(output), 0);
    drmaa2_j_free(&j);
}

/* The tasks of an array are held as far as they have not begun. */
static void array(drmaa2_jsession js)
{
    drmaa2_jtemplate jt = command("true");
    drmaa2_jarray ja = drmaa2_jsession_run_bulk_jobs(js, jt, 1, 12, 1, -1);
    drmaa2_j_list jobs;
    drmaa2_error held;
    CHECK(ja != NULL);
    drmaa2_jtemplate_free(&jt);
    /* On Slurm all of them may have begun by now. */
    held = drmaa2_jarray_hold(ja);
    CHECK(held == DRMAA2_SUCCESS || (on_slurm() && held == DRMAA2_INVALID_STATE));
    jobs = drmaa2_jarray_get_jobs(ja);
    CHECK_INT(drmaa2_list_size(jobs), 12);
    for (int i = 0; i < 12; i++) {
        drmaa2_jstate state = drmaa2_j_get_state((drmaa2_j)drmaa2_list_get(jobs, i), NULL);
        CHECK(state == DRMAA2_QUEUED_HELD || state == DRMAA2_RUNNING || state == DRMAA2_DONE);
    }
    CHECK_INT(drmaa2_jarray_release(ja), held);
    for (int i = 0; i < 12; i++)
        CHECK_INT(drmaa2_j_wait_terminated((drmaa2_j)drmaa2_list_get(jobs, i), LONG), DRMAA2_SUCCESS);
    drmaa2_list_free(&jobs);
    drmaa2_jarray_free(&ja);
}

int main(void)
{
    char dir[] = "/tmp/drmaa2-hold.XXXXXX";
    drmaa2_jsession js = session(NULL);
    int held;
    if (mkdtemp(dir) == NULL)
        give_up("mkdtemp");
    /* Nothing begins so soon: a container takes longer. */
    held = round_of(js, dir, 0, writer);
    CHECK(held == JOBS || on_slurm());
    round_of(js, dir, RUNNING_ON_VALGRIND ? 60000 : 12000, writer);
    if (reaches_containerd()) {
        held = round_of(js, dir, 1, bare_writer);
        CHECK(held > 0);
    }
    back_and_forth(js, dir);
    array(js);
    done_with(&js);
    CHECK_INT(rmdir(dir), 0);
    if (reaches_containerd())
        CHECK_INT(ctr_lines("containers ls", "busybox"), 0);
    return check_result();
}
