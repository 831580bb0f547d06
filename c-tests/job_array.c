/* Job arrays: one object over many jobs. */
#include "job.h"

#include <time.h>

static char dir[] = "/tmp/drmaa2-array-XXXXXX";

static drmaa2_jarray bulk(drmaa2_jsession js, drmaa2_jtemplate jt, long long end, long long step,
                          long long parallel)
{
    drmaa2_jarray ja = drmaa2_jsession_run_bulk_jobs(js, jt, 1, end, step, parallel);
    if (ja == NULL)
        give_up("run_bulk_jobs");
    drmaa2_jtemplate_free(&jt);
    return ja;
}

static long count(drmaa2_j_list jobs, drmaa2_jstate state)
{
    long found = 0;
    for (long i = 0; i < drmaa2_list_size(jobs); i++)
        found += drmaa2_j_get_state((drmaa2_j)drmaa2_list_get(jobs, i), NULL) == state;
    return found;
}

static void all_end(drmaa2_j_list jobs)
{
    for (long i = 0; i < drmaa2_list_size(jobs); i++)
        CHECK_INT(drmaa2_j_wait_terminated((drmaa2_j)drmaa2_list_get(jobs, i), LONG), DRMAA2_SUCCESS);
}

/* Each task knows its index, by environment and path. */
static void indices(void)
{
    drmaa2_jsession js = session(NULL);
    drmaa2_jtemplate jt = shell("eval index=\\$$DRMAA_INDEX_VAR; echo $index $DRMAA2_INDEX $DRMAA2_ARRAY_ID "
                                "$SGE_TASK_ID $SGE_TASK_FIRST-$SGE_TASK_LAST:$SGE_TASK_STEPSIZE "
                                "$DRMAA2_ARRAY_FIRST-$DRMAA2_ARRAY_LAST:$DRMAA2_ARRAY_STEP=$DRMAA2_ARRAY_COUNT");
    drmaa2_jtemplate copy;
    drmaa2_jarray ja, again;
    drmaa2_j_list jobs;
    char path[64], line[128], expected[128];
    snprintf(path, sizeof path, "%s/out.$DRMAA2_INDEX$.$DRMAA2_INDEX$", dir);
    jt->outputPath = strdup(path);
    jt->jobName = strdup("bulk");
    ja = bulk(js, jt, 10, 3, -1);
    jobs = drmaa2_jarray_get_jobs(ja);
    CHECK_INT(drmaa2_list_size(jobs), 4);
    CHECK_INT(drmaa2_list_size(ja->job_list), 4);
    all_end(jobs);
    for (int i = 0; i < 4; i++) {
        drmaa2_j j = (drmaa2_j)drmaa2_list_get(jobs, i);
        int index = 1 + 3 * i;
        snprintf(expected, sizeof expected, "%s.%d", ja->id, index);
        CHECK_STR(j->id, expected);
        CHECK_STR(j->job_name, "bulk");
        snprintf(path, sizeof path, "%s/out.%d.%d", dir, index, index);
        FILE *out = fopen(path, "r");
        CHECK(out != NULL && fgets(line, sizeof line, out) != NULL && fclose(out) == 0);
        snprintf(expected, sizeof expected, "%d %d %s %d 1-10:3 1-10:3=4\n", index, index, ja->id, index);
        CHECK_STR(line, expected);
        CHECK(remove(path) == 0);
    }
    again = drmaa2_jsession_get_job_array(js, ja->id);
    CHECK_STR(again->id, ja->id);
    copy = drmaa2_jarray_get_jtemplate(again);
    CHECK_STR(copy->jobName, "bulk");
    drmaa2_jtemplate_free(&copy);
    CHECK_INT(drmaa2_jarray_reap(again), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_jarray_reap(again), DRMAA2_INVALID_ARGUMENT);
    CHECK(drmaa2_jsession_get_job_array(js, ja->id) == NULL);
    failed(DRMAA2_INVALID_ARGUMENT, ja->id);
    drmaa2_jarray_free(&again);
    drmaa2_jarray_free(&ja);
    drmaa2_list_free(&jobs);
    done_with(&js);
}

static void control(void)
{
    drmaa2_jsession js = session(NULL);
    drmaa2_jarray ja = bulk(js, sleeper(), 6, 1, 2);
    /* The handle is a value: one that a caller builds does as well. */
    drmaa2_jarray_s built = {ja->id, NULL, ja->session_name};
    drmaa2_j_list jobs = drmaa2_jarray_get_jobs(&built);
    drmaa2_j first = (drmaa2_j)drmaa2_list_get(jobs, 0), second = (drmaa2_j)drmaa2_list_get(jobs, 1);
    drmaa2_string detail = NULL;
    CHECK_INT(drmaa2_j_wait_started(first, LONG), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_j_wait_started(second, LONG), DRMAA2_SUCCESS);
    CHECK_INT(count(jobs, DRMAA2_QUEUED), 4);
    CHECK_INT(drmaa2_j_get_state((drmaa2_j)drmaa2_list_get(jobs, 5), &detail), DRMAA2_QUEUED);
    /* Slurm tells the reason a little later. */
    if (on_slurm())
        CHECK(detail != NULL && strncmp(detail, "PENDING", 7) == 0);
    else
        CHECK_STR(detail, "array-limit");
    drmaa2_string_free(&detail);
    CHECK_INT(drmaa2_jarray_release(ja), DRMAA2_INVALID_STATE);
    CHECK_INT(drmaa2_jarray_resume(ja), DRMAA2_INVALID_STATE);
    CHECK_INT(drmaa2_jarray_reap(ja), DRMAA2_INVALID_STATE);

    CHECK_INT(drmaa2_jarray_hold(&built), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_jarray_hold(ja), DRMAA2_INVALID_STATE);
    CHECK_INT(count(jobs, DRMAA2_QUEUED_HELD), 4);
    CHECK_INT(drmaa2_jarray_suspend(ja), DRMAA2_SUCCESS);
    CHECK_INT(count(jobs, DRMAA2_SUSPENDED), 2);
    CHECK_INT(drmaa2_j_resume(first), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_jarray_resume(ja), DRMAA2_SUCCESS);
    CHECK_INT(count(jobs, DRMAA2_RUNNING), 2);
    /* One task released, while the others are held. */
    CHECK_INT(drmaa2_j_terminate(first), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_j_wait_terminated(first, LONG), DRMAA2_SUCCESS);
    drmaa2_j last = (drmaa2_j)drmaa2_list_get(jobs, 5);
    CHECK_INT(drmaa2_j_release(last), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_j_wait_started(last, LONG), DRMAA2_SUCCESS);
    CHECK_INT(count(jobs, DRMAA2_QUEUED_HELD), 3);
    CHECK_INT(drmaa2_jarray_release(ja), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_jarray_terminate(ja), DRMAA2_SUCCESS);
    all_end(jobs);
    CHECK_INT(count(jobs, DRMAA2_FAILED), 6);
    CHECK_INT(drmaa2_jarray_terminate(ja), DRMAA2_INVALID_STATE);
    CHECK_INT(drmaa2_j_reap(first), DRMAA2_SUCCESS);
    drmaa2_list_free(&jobs);
    jobs = drmaa2_jarray_get_jobs(ja);
    CHECK_INT(drmaa2_list_size(jobs), 5);
    drmaa2_list_free(&jobs);
    drmaa2_jarray_free(&ja);
    done_with(&js);
}

static void refused(drmaa2_jsession js, long long begin, long long end, long long step)
{
    drmaa2_jtemplate jt = command("true");
    CHECK(drmaa2_jsession_run_bulk_jobs(js, jt, begin, end, step, 1) == NULL);
    CHECK_INT(drmaa2_lasterror(), DRMAA2_INVALID_ARGUMENT);
    drmaa2_jtemplate_free(&jt);
}

static void refusals(void)
{
    drmaa2_jsession js = session(NULL);
    drmaa2_jtemplate jt;
    drmaa2_j_list jobs;
    refused(js, 0, 5, 1);
    refused(js, -3, 5, 1);
    refused(js, 5, 4, 1);
    refused(js, 1, 5, 0);
    refused(js, 1, 5, -1);
    refused(js, 1, 1000000000, 1);
    CHECK(drmaa2_jsession_run_bulk_jobs(js, NULL, 1, 2, 1, 1) == NULL);
    CHECK_INT(drmaa2_lasterror(), DRMAA2_INVALID_ARGUMENT);
    /* The handles of so many are made before it is known that they are refused. */
    jt = command("true");
    jt->queueName = strdup("no such queue");
    CHECK(drmaa2_jsession_run_bulk_jobs(js, jt, 1, 2000, 1, -1) == NULL);
    CHECK_INT(drmaa2_lasterror(), DRMAA2_INVALID_ARGUMENT);
    drmaa2_jtemplate_free(&jt);
    jobs = drmaa2_jsession_get_jobs(js, NULL);
    CHECK_INT(drmaa2_list_size(jobs), 0);
    drmaa2_list_free(&jobs);
    done_with(&js);
}

/* A large array is one submission, of which few tasks cost anything but a row. */
static void many(void)
{
    /* Slurm's tasks cost more. */
    const int tasks = on_slurm() ? 200 : 10000;
    drmaa2_jsession js = session(NULL);
    drmaa2_jarray ja = bulk(js, sleeper(), tasks, 1, 2);
    drmaa2_j_list jobs = drmaa2_jarray_get_jobs(ja);
    CHECK_INT(drmaa2_list_size(jobs), tasks);
    CHECK_INT(drmaa2_list_size(ja->job_list), tasks);
    for (int i = 0; i < tasks; i += tasks - 1)
        CHECK_STR(((drmaa2_j)drmaa2_list_get(ja->job_list, i))->id, ((drmaa2_j)drmaa2_list_get(jobs, i))->id);
    /* Both: a task that is only being started can be held. */
    CHECK_INT(drmaa2_j_wait_started((drmaa2_j)drmaa2_list_get(jobs, 0), LONG), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_j_wait_started((drmaa2_j)drmaa2_list_get(jobs, 1), LONG), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_jarray_hold(ja), DRMAA2_SUCCESS);
    CHECK_INT(count(jobs, DRMAA2_QUEUED_HELD), tasks - 2);
    CHECK_INT(drmaa2_jarray_terminate(ja), DRMAA2_SUCCESS);
    all_end(jobs);
    CHECK_INT(drmaa2_jarray_reap(ja), DRMAA2_SUCCESS);
    drmaa2_list_free(&jobs);
    drmaa2_jarray_free(&ja);
    done_with(&js);
}

int main(void)
{
    CHECK(mkdtemp(dir) != NULL);
    indices();
    control();
    refusals();
    many();
    CHECK(rmdir(dir) == 0);
    return check_result();
}
