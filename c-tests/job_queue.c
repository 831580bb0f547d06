/* The queue: what keeps a job from starting, and what lets it start. */
#include "job.h"

#include <signal.h>
#include <time.h>

static void state_is(drmaa2_j j, drmaa2_jstate state, const char *substate)
{
    drmaa2_string detail = NULL;
    CHECK_INT(drmaa2_j_get_state(j, &detail), state);
    CHECK_STR(detail, substate);
    drmaa2_string_free(&detail);
}

/* The call that a handle may be asked for in this state; all else is DRMAA2_INVALID_STATE. */
static void only(drmaa2_j j, const char *possible)
{
    static const struct {
        const char *name;
        drmaa2_error (*control)(drmaa2_j);
    } controls[] = {{"suspend", drmaa2_j_suspend},
                    {"resume", drmaa2_j_resume},
                    {"hold", drmaa2_j_hold},
                    {"release", drmaa2_j_release},
                    {"reap", drmaa2_j_reap}};
    for (size_t i = 0; i < sizeof controls / sizeof *controls; i++)
        if (strcmp(controls[i].name, possible) != 0) {
            CHECK_INT(controls[i].control(j), DRMAA2_INVALID_STATE);
            CHECK_INT(drmaa2_lasterror(), DRMAA2_INVALID_STATE);
        }
}

static drmaa2_jsession with_slots(int slots)
{
    char contact[64];
    drmaa2_jsession js;
    snprintf(contact, sizeof contact, "containerd://?slots=%d", slots);
    js = drmaa2_create_jsession(NULL, contact);
    if (js == NULL)
        give_up("create_jsession");
    return js;
}

static void holds(void)
{
    drmaa2_jsession js = session(NULL);
    drmaa2_jtemplate jt = sleeper();
    drmaa2_j held, j;
    jt->submitAsHold = DRMAA2_TRUE;
    held = submit(js, jt);
    state_is(held, DRMAA2_QUEUED_HELD, NULL);
    only(held, "release");
    /* A later one overtakes it. */
    j = run(js, sleeper());
    state_is(held, DRMAA2_QUEUED_HELD, NULL);
    CHECK_INT(drmaa2_j_wait_started(held, DRMAA2_ZERO_TIME), DRMAA2_TIMEOUT);
    end(&j);
    CHECK_INT(drmaa2_j_release(held), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_j_wait_started(held, LONG), DRMAA2_SUCCESS);
    only(held, "suspend");
    CHECK_INT(drmaa2_j_resume(held), DRMAA2_INVALID_STATE);
    end(&held);
    /* A held job that is given up has never run. */
    jt = sleeper();
    jt->submitAsHold = DRMAA2_TRUE;
    held = submit(js, jt);
    CHECK_INT(drmaa2_j_terminate(held), DRMAA2_SUCCESS);
    drmaa2_jinfo ji = finish(held);
    CHECK_INT(ji->jobState, DRMAA2_FAILED);
    CHECK_INT(ji->exitStatus, -1);
    CHECK_INT(ji->dispatchTime, DRMAA2_UNSET_TIME);
    CHECK_STR(ji->annotation, "terminated before it started");
    drmaa2_jinfo_free(&ji);
    CHECK_INT(drmaa2_j_terminate(held), DRMAA2_INVALID_STATE);
    drmaa2_j_free(&held);
    done_with(&js);
}

/* A job held by a process that is gone is released by another. */
static void hold_and_exit(const char *name)
{
    drmaa2_jsession js = session(name);
    drmaa2_jtemplate jt = shell("exit 9");
    jt->submitAsHold = DRMAA2_TRUE;
    drmaa2_j j = submit(js, jt);
    CHECK(j != NULL);
    leave_child();
}

static void hold_outlives_its_process(void)
{
    static const char name[] = "queue-held";
    drmaa2_jsession js;
    drmaa2_j_list jobs;
    in_child(hold_and_exit, name);
    js = drmaa2_open_jsession(name);
    CHECK(js != NULL);
    jobs = drmaa2_jsession_get_jobs(js, NULL);
    CHECK_INT(drmaa2_list_size(jobs), 1);
    drmaa2_j j = (drmaa2_j)drmaa2_list_get(jobs, 0);
    state_is(j, DRMAA2_QUEUED_HELD, NULL);
    CHECK_INT(drmaa2_j_release(j), DRMAA2_SUCCESS);
    drmaa2_jinfo ji = finish(j);
    CHECK_INT(ji->exitStatus, 9);
    drmaa2_jinfo_free(&ji);
    drmaa2_list_free(&jobs);
    done_with(&js);
}

static void slots(void)
{
    drmaa2_jsession js = with_slots(2);
    drmaa2_jtemplate jt = sleeper();
    drmaa2_j wide, next, urgent, last;
    drmaa2_jinfo ji;
    jt->minSlots = 1;
    jt->maxSlots = 5;
    wide = run(js, jt);
    ji = drmaa2_j_get_info(wide);
    CHECK_INT(ji->slots, 2);
    CHECK_STR(ji->queueName, "default");
    drmaa2_jinfo_free(&ji);
    next = submit(js, sleeper());
    last = submit(js, sleeper());
    jt = sleeper();
    /* A guest has no priorities, but the site has this queue for him. */
    if (is_guest())
        jt->queueName = strdup("urgent");
    else
        jt->priority = 7;
    urgent = submit(js, jt);
    state_is(next, DRMAA2_QUEUED, "slots");
    end(&wide);
    CHECK_INT(drmaa2_j_wait_started(urgent, LONG), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_j_wait_started(next, LONG), DRMAA2_SUCCESS);
    state_is(last, DRMAA2_QUEUED, "slots");
    /* It has been made ready by now, or is about to be; holding it undoes that. */
    CHECK_INT(drmaa2_j_hold(last), DRMAA2_SUCCESS);
    end(&urgent);
    state_is(last, DRMAA2_QUEUED_HELD, NULL);
    CHECK_INT(drmaa2_j_release(last), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_j_wait_started(last, LONG), DRMAA2_SUCCESS);
    end(&next);
    end(&last);
    /* A job that can never start is refused. */
    jt = command("true");
    jt->minSlots = 3;
    CHECK(drmaa2_jsession_run_job(js, jt) == NULL);
    failed(DRMAA2_INVALID_ARGUMENT, "minSlots is 3, but the machine has only 2");
    drmaa2_jtemplate_free(&jt);
    CHECK(drmaa2_create_jsession(NULL, "containerd://?slots=0") == NULL);
    failed(is_guest() ? DRMAA2_DENIED_BY_DRMS : DRMAA2_INVALID_ARGUMENT, "slots");
    done_with(&js);
}

static void start_time(void)
{
    drmaa2_jsession js = session(NULL);
    drmaa2_jtemplate jt = command("true");
    time_t at = time(NULL) + 2;
    drmaa2_jinfo ji;
    drmaa2_j j;
    jt->startTime = at;
    j = submit(js, jt);
    state_is(j, DRMAA2_QUEUED, "start-time");
    ji = finish(j);
    CHECK_INT(ji->jobState, DRMAA2_DONE);
    CHECK(ji->dispatchTime >= at);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);
    jt = command("true");
    jt->startTime = 1;
    j = run(js, jt);
    drmaa2_j_free(&j);
    done_with(&js);
}

static void wall_clock(void)
{
    drmaa2_jsession js = session(NULL);
    drmaa2_jtemplate jt = sleeper();
    drmaa2_jinfo ji;
    drmaa2_j j;
    jt->resourceLimits = drmaa2_dict_create(drmaa2_dict_default_callback);
    drmaa2_dict_set(jt->resourceLimits, strdup(DRMAA2_WALLCLOCK_TIME), strdup("1"));
    j = run(js, jt);
    ji = finish(j);
    CHECK_INT(ji->jobState, DRMAA2_FAILED);
    CHECK_STR(ji->terminatingSignal, "SIGTERM");
    CHECK(ji->annotation != NULL && strstr(ji->annotation, "wall clock limit (WALLCLOCK_TIME) of 1 s") != NULL);
    CHECK(ji->wallclockTime >= 1);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);
    done_with(&js);
}

int main(void)
{
    holds();
    hold_outlives_its_process();
    slots();
    start_time();
    wall_clock();
    return check_result();
}
