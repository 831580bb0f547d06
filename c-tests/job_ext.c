/* Beyond the standard, on jobs: ends that ask nobody, ends and waits of many, earlier names. */
#include <drmaa2_ext.h>

#include "extension.h"

static drmaa2_jsession js;

static drmaa2_jarray bulk(drmaa2_jtemplate jt, long long end, long long parallel)
{
    drmaa2_jarray ja = drmaa2_jsession_run_bulk_jobs(js, jt, 1, end, 1, parallel);
    if (ja == NULL)
        give_up("run_bulk_jobs");
    drmaa2_jtemplate_free(&jt);
    return ja;
}

/* It does not end when it is asked, for longer than this test may take. */
static drmaa2_jtemplate stubborn(void)
{
    drmaa2_jtemplate jt = shell("trap '' TERM; while :; do sleep 1000; done");
    set(jt, "grace", "1000");
    return jt;
}

/* Such a job that is known not to listen. */
static drmaa2_j run_stubborn(void)
{
    drmaa2_jtemplate jt = shell("trap '' TERM; echo ready >/shared/pipe; while :; do sleep 1000; done");
    int pipe;
    set(jt, "grace", "1000");
    drmaa2_j j = listening(js, jt, &pipe);
    close(pipe);
    CHECK_OK(drmaa2_j_wait_started(j, LONG));
    return j;
}

/* The account of a job that was killed. */
static void was_killed(drmaa2_j j)
{
    drmaa2_jinfo ji = finish(j);
    CHECK_INT(ji->jobState, DRMAA2_FAILED);
    CHECK_STR(ji->terminatingSignal, "SIGKILL");
    CHECK_INT(ji->exitStatus, 128 + 9);
    CHECK_STR(ji->annotation, "killed on request");
    /* Without a record, this is what containerd knows. */
    CHECK(ji->cpuTime >= 0);
    drmaa2_jinfo_free(&ji);
    CHECK_ERROR(drmaa2_j_terminate_forced(j), DRMAA2_INVALID_STATE);
}

static void force(void)
{
    drmaa2_j j = run_stubborn();
    CHECK_OK(drmaa2_j_terminate_forced(j));
    was_killed(j);
    drmaa2_j_free(&j);

    /* After it was asked, and did not listen. */
    j = run_stubborn();
    CHECK_OK(drmaa2_j_terminate(j));
    CHECK_ERROR(drmaa2_j_wait_terminated(j, DRMAA2_ZERO_TIME), DRMAA2_TIMEOUT);
    CHECK_OK(drmaa2_j_terminate_forced(j));
    was_killed(j);
    drmaa2_j_free(&j);

    j = run_stubborn();
    CHECK_OK(drmaa2_j_suspend(j));
    CHECK_OK(drmaa2_j_terminate_forced(j));
    was_killed(j);
    drmaa2_j_free(&j);
}

static void force_before_the_start(void)
{
    drmaa2_jtemplate jt = sleeper();
    drmaa2_j j;
    drmaa2_jinfo ji;
    jt->submitAsHold = DRMAA2_TRUE;
    j = submit(js, jt);
    CHECK_OK(drmaa2_j_terminate_forced(j));
    ji = finish(j);
    CHECK_INT(ji->jobState, DRMAA2_FAILED);
    CHECK_STR(ji->annotation, "terminated before it started");
    CHECK(ji->terminatingSignal == NULL);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);

    /* Whatever it is at just now, it ends. */
    j = submit(js, stubborn());
    CHECK_OK(drmaa2_j_terminate_forced(j));
    ji = finish(j);
    CHECK_INT(ji->jobState, DRMAA2_FAILED);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);
}

/* A job whose command is PID 1 takes no notice of SIGTERM. */
static void force_without_init(void)
{
    drmaa2_jtemplate jt = stubborn();
    drmaa2_j j;
    drmaa2_jinfo ji;
    set(jt, "init", "off");
    j = run(js, jt);
    CHECK_OK(drmaa2_j_terminate_forced(j));
    ji = finish(j);
    CHECK_STR(ji->terminatingSignal, "SIGKILL");
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);
}

/* Wait for all tasks, which were ended. */
static void all_ended(drmaa2_jarray ja)
{
    drmaa2_j_list jobs = drmaa2_jarray_get_jobs(ja);
    drmaa2_j_list ended = drmaa2_jsession_wait_all_terminated(js, jobs, LONG);
    CHECK(ended != NULL);
    for (long i = 0; i < drmaa2_list_size(jobs); i++) {
        drmaa2_j one = (drmaa2_j)drmaa2_list_get(jobs, i), other = (drmaa2_j)drmaa2_list_get(ended, i);
        CHECK(one != other);
        CHECK_STR(other->id, one->id);
        CHECK_STR(other->session_name, one->session_name);
        CHECK_INT(drmaa2_j_get_state(other, NULL), DRMAA2_FAILED);
    }
    drmaa2_list_free(&jobs);
    drmaa2_list_free(&ended);
}

/* Tasks that run and tasks that wait end through one of them. */
static void whole_arrays(void)
{
    drmaa2_error (*ends[])(drmaa2_j) = {drmaa2_j_terminate_all, drmaa2_j_terminate_forced_all};
    for (size_t i = 0; i < 2; i++) {
        drmaa2_jarray ja = bulk(i == 0 ? sleeper() : stubborn(), 3, 2);
        drmaa2_j task = (drmaa2_j)drmaa2_list_get(ja->job_list, 0);
        CHECK_OK(drmaa2_j_wait_started(task, LONG));
        CHECK_OK(ends[i]((drmaa2_j)drmaa2_list_get(ja->job_list, 2)));
        all_ended(ja);
        CHECK_ERROR(ends[i](task), DRMAA2_INVALID_STATE);
        CHECK_ERROR(drmaa2_jarray_terminate_all(ja), DRMAA2_INVALID_STATE);
        drmaa2_jarray_free(&ja);

        /* One that is no task stands for itself. */
        drmaa2_j j = i == 0 ? run(js, sleeper()) : run_stubborn();
        CHECK_OK(ends[i](j));
        drmaa2_jinfo ji = finish(j);
        CHECK_INT(ji->jobState, DRMAA2_FAILED);
        if (i == 1)
            CHECK_STR(ji->terminatingSignal, "SIGKILL");
        drmaa2_jinfo_free(&ji);
        drmaa2_j_free(&j);
    }
    drmaa2_jarray ja = bulk(sleeper(), 2, 0);
    CHECK_OK(drmaa2_jarray_terminate_all(ja));
    all_ended(ja);
    drmaa2_jarray_free(&ja);
}

static void waits(void)
{
    drmaa2_jtemplate jt = shell("exit 0");
    drmaa2_j held;
    drmaa2_j_list jobs = drmaa2_list_create(DRMAA2_JOBLIST, drmaa2_j_list_default_callback), all;
    CHECK_NULL(drmaa2_jsession_wait_all_started(js, jobs, LONG), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_jsession_wait_all_terminated(js, NULL, LONG), DRMAA2_INVALID_ARGUMENT);
    jt->submitAsHold = DRMAA2_TRUE;
    held = submit(js, jt);
    drmaa2_list_add(jobs, held);
    drmaa2_list_add(jobs, run(js, shell("exit 1")));
    CHECK_NULL(drmaa2_jsession_wait_all_started(js, jobs, -7), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_jsession_wait_all_started(js, jobs, DRMAA2_ZERO_TIME), DRMAA2_TIMEOUT);
    CHECK_NULL(drmaa2_jsession_wait_all_terminated(js, jobs, 1), DRMAA2_TIMEOUT);
    CHECK_OK(drmaa2_j_release(held));
    all = drmaa2_jsession_wait_all_started(js, jobs, DRMAA2_INFINITE_TIME);
    CHECK_INT(drmaa2_list_size(all), 2);
    CHECK_STR(((drmaa2_j)drmaa2_list_get(all, 0))->id, held->id);
    drmaa2_list_free(&all);
    all = drmaa2_jsession_wait_all_terminated(js, jobs, LONG);
    CHECK_INT(drmaa2_list_size(all), 2);
    drmaa2_list_free(&all);

    /* Jobs of another session. */
    drmaa2_jsession other = session(NULL);
    CHECK_NULL(drmaa2_jsession_wait_all_terminated(other, jobs, LONG), DRMAA2_INVALID_ARGUMENT);
    done_with(&other);
    drmaa2_list_free(&jobs);
}

static void earlier_names(void)
{
    drmaa2_jtemplate jt = shell("exit 0"), copy;
    drmaa2_jarray ja;
    drmaa2_j j;

    jt->jobName = strdup("named");
    ja = bulk(jt, 1, 0);
    copy = drmaa2_jarray_get_job_template(ja);
    CHECK_STR(copy->jobName, "named");
    drmaa2_jtemplate_free(&copy);
    j = (drmaa2_j)drmaa2_list_get(ja->job_list, 0);
    copy = drmaa2_j_get_jt(j);
    CHECK_STR(copy->jobName, "named");
    CHECK_INT(drmaa2_list_size(copy->args), 2);
    drmaa2_jtemplate_free(&copy);
    CHECK_OK(drmaa2_j_wait_terminated(j, LONG));
    drmaa2_jarray_free(&ja);
}

static void earlier_names_of_reservations(void)
{
    drmaa2_rsession rs = drmaa2_create_rsession(NULL, NULL);
    drmaa2_rtemplate rt = drmaa2_rtemplate_create(), same;
    drmaa2_r r;
    drmaa2_string name = drmaa2_rsession_get_session_name(rs);

    rt->startTime = DRMAA2_NOW;
    rt->duration = 1000;
    rt->reservationName = strdup("window");
    r = drmaa2_rsession_request_reservation(rs, rt);
    if (r == NULL)
        give_up("request_reservation");
    same = drmaa2_r_get_rtemplate(r);
    CHECK_STR(same->reservationName, "window");
    CHECK_INT(same->duration, 1000);
    CHECK_OK(drmaa2_r_terminate(r));
    drmaa2_rtemplate_free(&same);
    drmaa2_rtemplate_free(&rt);
    drmaa2_r_free(&r);
    CHECK_OK(drmaa2_close_rsession(rs));
    CHECK_OK(drmaa2_destroy_rsession(name));
    drmaa2_string_free(&name);
    drmaa2_rsession_free(&rs);
}

/* The containerd, by its address. */
static void version(void)
{
    drmaa2_version v = drmaa2_get_drms_version();
    drmaa2_dict all;
    if (v == NULL)
        give_up("get_drms_version");
    CHECK_OWN(drmaa2_get_instance_value(v, "containerd_vi_address"), needed("CONTAINERD_ADDRESS"));
    all = uge_vi_impl_spec_get(v);
    CHECK_STR(drmaa2_dict_get(all, "containerd_vi_address"), needed("CONTAINERD_ADDRESS"));
    drmaa2_dict_free(&all);
    drmaa2_version_free(&v);
}

int main(void)
{
    js = session(NULL);
    force();
    force_before_the_start();
    if (reaches_containerd())
        force_without_init();
    whole_arrays();
    waits();
    earlier_names();
    if (drmaa2_supports(DRMAA2_ADVANCE_RESERVATION))
        earlier_names_of_reservations();
    if (reaches_containerd())
        version();
    done_with(&js);
    if (reaches_containerd())
        CHECK_INT(ctr_lines("containers ls", "busybox"), 0);
    return check_result();
}
