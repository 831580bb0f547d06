/* The behaviour that the standard lets a client see, statement by statement: sessions and single jobs. */
#include "job.h"
#include "statement.h"

#include <time.h>

static drmaa2_jsession js;

/* A handle as some clients have it: made by themselves of what every handle says. */
typedef struct {
    char *id;
    char *session_name;
} own_handle;

static long listed(drmaa2_jsession session, drmaa2_jinfo filter)
{
    drmaa2_j_list jobs = drmaa2_jsession_get_jobs(session, filter);
    long size = drmaa2_list_size(jobs);
    CHECK(jobs != NULL);
    drmaa2_list_free(&jobs);
    return size;
}

static void ended(drmaa2_j j, drmaa2_jstate state)
{
    CHECK_OK(drmaa2_j_wait_terminated(j, LONG));
    CHECK_INT(drmaa2_j_get_state(j, NULL), state);
}

/* In a process of its own. */
static void leave_a_session(const char *name)
{
    drmaa2_jsession left = session(name);
    drmaa2_j j = submit(left, command("true"));
    ended(j, DRMAA2_DONE);
    drmaa2_j_free(&j);
    CHECK_OK(drmaa2_close_jsession(left));
    drmaa2_jsession_free(&left);
}

static void a_session_is_there_for_the_next_process(void)
{
    drmaa2_jsession found = drmaa2_open_jsession("statement-17");
    drmaa2_string_list names = drmaa2_get_jsession_names();
    int named = 0;
    CHECK(found != NULL);
    for (long i = 0; i < drmaa2_list_size(names); i++)
        named += strcmp(drmaa2_list_get(names, i), "statement-17") == 0;
    CHECK_INT(named, 1);
    CHECK_INT(listed(found, NULL), 1);
    drmaa2_list_free(&names);
    done_with(&found);
}

static void a_destroyed_session_leaves_its_name_free(void)
{
    drmaa2_jsession one = session("statement-20");
    drmaa2_j j = submit(one, command("true"));
    ended(j, DRMAA2_DONE);
    drmaa2_j_free(&j);
    done_with(&one);
    drmaa2_string_list names = drmaa2_get_jsession_names();
    for (long i = 0; i < drmaa2_list_size(names); i++)
        CHECK(strcmp(drmaa2_list_get(names, i), "statement-20") != 0);
    drmaa2_list_free(&names);
    one = session("statement-20");
    CHECK_INT(listed(one, NULL), 0);
    done_with(&one);
}

static void jobs_outlive_their_session(void)
{
    drmaa2_msession ms = drmaa2_open_msession(NULL);
    drmaa2_jsession one = session("statement-21");
    drmaa2_j j = run(one, sleeper());
    CHECK_OK(drmaa2_close_jsession(one));
    CHECK_INT(drmaa2_j_get_state(j, NULL), DRMAA2_RUNNING);
    CHECK_OK(drmaa2_destroy_jsession("statement-21"));
    CHECK_INT(drmaa2_j_get_state(j, NULL), DRMAA2_RUNNING);
    end_orphan(&j, "not in job session \"statement-21\"");
    drmaa2_jsession_free(&one);
    CHECK_OK(drmaa2_close_msession(ms));
    drmaa2_msession_free(&ms);
}

static void an_unknown_category_is_refused(void)
{
    drmaa2_jtemplate jt = drmaa2_jtemplate_create();
    jt->remoteCommand = strdup("true");
    jt->jobCategory = strdup("No Such Category");
    CHECK_NULL(drmaa2_jsession_run_job(js, jt), DRMAA2_INVALID_ARGUMENT);
    drmaa2_jtemplate_free(&jt);
}

static void what_is_not_supported_is_refused_and_empty_is_not_used(void)
{
    drmaa2_jtemplate jt = command("true");
    drmaa2_j j;
    jt->email = drmaa2_list_create(DRMAA2_STRINGLIST, NULL);
    jt->args = drmaa2_list_create(DRMAA2_STRINGLIST, NULL);
    jt->candidateMachines = drmaa2_list_create(DRMAA2_STRINGLIST, NULL);
    j = drmaa2_jsession_run_job(js, jt);
    CHECK(j != NULL);
    ended(j, DRMAA2_DONE);
    drmaa2_j_free(&j);
    if (!drmaa2_supports(DRMAA2_JT_EMAIL)) {
        CHECK_OK(drmaa2_list_add(jt->email, "user@example.org"));
        CHECK_NULL(drmaa2_jsession_run_job(js, jt), DRMAA2_UNSUPPORTED_ATTRIBUTE);
    }
    drmaa2_jtemplate_free(&jt);
}

static void a_held_job_waits_for_its_release(void)
{
    drmaa2_jtemplate jt = command("true");
    drmaa2_j j;
    jt->submitAsHold = DRMAA2_TRUE;
    j = submit(js, jt);
    CHECK_INT(drmaa2_j_get_state(j, NULL), DRMAA2_QUEUED_HELD);
    CHECK_ERROR(drmaa2_j_wait_started(j, 1), DRMAA2_TIMEOUT);
    CHECK_OK(drmaa2_j_release(j));
    ended(j, DRMAA2_DONE);
    drmaa2_j_free(&j);
}

static void control_has_its_states(void)
{
    drmaa2_jtemplate jt = sleeper();
    drmaa2_j j;
    jt->submitAsHold = DRMAA2_TRUE;
    j = submit(js, jt);
    CHECK_ERROR(drmaa2_j_suspend(j), DRMAA2_INVALID_STATE);
    CHECK_ERROR(drmaa2_j_resume(j), DRMAA2_INVALID_STATE);
    CHECK_ERROR(drmaa2_j_hold(j), DRMAA2_INVALID_STATE);
    CHECK_OK(drmaa2_j_release(j));
    CHECK_OK(drmaa2_j_wait_started(j, LONG));
    CHECK_ERROR(drmaa2_j_resume(j), DRMAA2_INVALID_STATE);
    CHECK_ERROR(drmaa2_j_hold(j), DRMAA2_INVALID_STATE);
    CHECK_ERROR(drmaa2_j_release(j), DRMAA2_INVALID_STATE);
    CHECK_OK(drmaa2_j_suspend(j));
    CHECK_INT(drmaa2_j_get_state(j, NULL), DRMAA2_SUSPENDED);
    CHECK_ERROR(drmaa2_j_suspend(j), DRMAA2_INVALID_STATE);
    CHECK_OK(drmaa2_j_resume(j));
    CHECK_INT(drmaa2_j_get_state(j, NULL), DRMAA2_RUNNING);
    CHECK_OK(drmaa2_j_terminate(j));
    ended(j, DRMAA2_FAILED);
    CHECK_ERROR(drmaa2_j_suspend(j), DRMAA2_INVALID_STATE);
    CHECK_ERROR(drmaa2_j_resume(j), DRMAA2_INVALID_STATE);
    CHECK_ERROR(drmaa2_j_hold(j), DRMAA2_INVALID_STATE);
    CHECK_ERROR(drmaa2_j_release(j), DRMAA2_INVALID_STATE);
    CHECK_ERROR(drmaa2_j_terminate(j), DRMAA2_INVALID_STATE);
    drmaa2_j_free(&j);

    /* Hold wants a job that waits: one whose time has not come. */
    jt = command("true");
    jt->startTime = time(NULL) + 100000;
    j = submit(js, jt);
    CHECK_INT(drmaa2_j_get_state(j, NULL), DRMAA2_QUEUED);
    CHECK_ERROR(drmaa2_j_release(j), DRMAA2_INVALID_STATE);
    CHECK_OK(drmaa2_j_hold(j));
    CHECK_INT(drmaa2_j_get_state(j, NULL), DRMAA2_QUEUED_HELD);
    end(&j);
}

static void a_wait_is_over_in_time(void)
{
    struct timespec begun, over;
    drmaa2_j j = run(js, sleeper());
    CHECK_ERROR(drmaa2_j_wait_terminated(j, DRMAA2_ZERO_TIME), DRMAA2_TIMEOUT);
    clock_gettime(CLOCK_MONOTONIC, &begun);
    CHECK_ERROR(drmaa2_j_wait_terminated(j, 1), DRMAA2_TIMEOUT);
    clock_gettime(CLOCK_MONOTONIC, &over);
    CHECK((over.tv_sec - begun.tv_sec) * 1000000000LL + over.tv_nsec - begun.tv_nsec >= 1000000000LL);
    end(&j);
}

static void what_has_ended_has_started(void)
{
    drmaa2_j j = submit(js, command("true"));
    ended(j, DRMAA2_DONE);
    CHECK_OK(drmaa2_j_wait_started(j, DRMAA2_INFINITE_TIME));
    drmaa2_j_free(&j);
}

static void a_wait_for_any_gives_a_handle_of_its_own(void)
{
    drmaa2_j_list jobs = drmaa2_list_create(DRMAA2_JOBLIST, drmaa2_j_list_default_callback);
    drmaa2_j slow = run(js, sleeper()), fast = submit(js, command("true")), found;
    drmaa2_string wanted = drmaa2_j_get_id(fast);
    CHECK_OK(drmaa2_list_add(jobs, slow));
    found = drmaa2_jsession_wait_any_started(js, jobs, LONG);
    CHECK(found != NULL && found != slow);
    drmaa2_j_free(&found);
    CHECK_OK(drmaa2_list_add(jobs, fast));
    found = drmaa2_jsession_wait_any_terminated(js, jobs, LONG);
    CHECK(found != NULL && found != fast);
    CHECK_OWN(drmaa2_j_get_id(found), wanted);
    CHECK_INT(drmaa2_list_size(jobs), 2);
    CHECK(drmaa2_list_get(jobs, 0) == slow && drmaa2_list_get(jobs, 1) == fast);
    CHECK_OK(drmaa2_j_terminate(slow));
    ended(slow, DRMAA2_FAILED);
    drmaa2_list_free(&jobs);
    CHECK_OWN(drmaa2_j_get_id(found), wanted);
    drmaa2_j_free(&found);
    drmaa2_string_free(&wanted);
}

static void nobody_can_wait_for_none(void)
{
    drmaa2_j_list jobs = drmaa2_list_create(DRMAA2_JOBLIST, drmaa2_j_list_default_callback);
    CHECK_NULL(drmaa2_jsession_wait_any_started(js, jobs, LONG), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_jsession_wait_any_terminated(js, jobs, LONG), DRMAA2_INVALID_ARGUMENT);
    drmaa2_list_free(&jobs);
}

static void nobody_has_to_take_the_substate(void)
{
    drmaa2_j j = run(js, sleeper());
    drmaa2_string substate = NULL;
    CHECK_INT(drmaa2_j_get_state(j, NULL), DRMAA2_RUNNING);
    CHECK_INT(drmaa2_j_get_state(j, &substate), DRMAA2_RUNNING);
    drmaa2_string_free(&substate);
    end(&j);
}

static void what_is_not_yet_known_is_unset(void)
{
    drmaa2_j j = run(js, sleeper());
    drmaa2_jinfo ji = drmaa2_j_get_info(j);
    CHECK_INT(ji->jobState, DRMAA2_RUNNING);
    CHECK_INT(ji->exitStatus, DRMAA2_UNSET_NUM);
    CHECK_INT(ji->finishTime, DRMAA2_UNSET_TIME);
    CHECK(ji->dispatchTime >= ji->submissionTime && ji->submissionTime > 0);
    drmaa2_jinfo_free(&ji);
    end(&j);
    j = submit(js, command("true"));
    ji = finish(j);
    CHECK_INT(ji->jobState, DRMAA2_DONE);
    CHECK_INT(ji->exitStatus, 0);
    CHECK(ji->finishTime >= ji->dispatchTime);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);
}

static void a_template_comes_back_as_an_independent_copy(void)
{
    drmaa2_jtemplate jt = shell("exit 0"), copy;
    drmaa2_j j;
    jt->jobName = strdup("name");
    jt->jobEnvironment = drmaa2_dict_create(drmaa2_dict_default_callback);
    CHECK_OK(drmaa2_dict_set(jt->jobEnvironment, strdup("KEY"), strdup("value")));
    jt->resourceLimits = drmaa2_dict_create(drmaa2_dict_default_callback);
    CHECK_OK(drmaa2_dict_set(jt->resourceLimits, strdup(DRMAA2_WALLCLOCK_TIME), strdup("600")));
    j = drmaa2_jsession_run_job(js, jt);
    CHECK(j != NULL);
    copy = drmaa2_j_get_jtemplate(j);
    CHECK(copy != NULL && copy != jt && copy->args != jt->args);
    CHECK_STR(copy->remoteCommand, jt->remoteCommand);
    CHECK_STR(copy->jobCategory, jt->jobCategory);
    CHECK_STR(copy->jobName, "name");
    CHECK_INT(drmaa2_list_size(copy->args), 2);
    CHECK_STR(drmaa2_list_get(copy->args, 1), "exit 0");
    CHECK_STR(drmaa2_dict_get(copy->jobEnvironment, "KEY"), "value");
    CHECK_STR(drmaa2_dict_get(copy->resourceLimits, DRMAA2_WALLCLOCK_TIME), "600");
    CHECK(copy->workingDirectory == NULL && copy->stageInFiles == NULL && copy->email == NULL);
    CHECK_INT(copy->minSlots, DRMAA2_UNSET_NUM);
    CHECK_INT(copy->startTime, DRMAA2_UNSET_TIME);
    drmaa2_jtemplate_free(&copy);
    ended(j, DRMAA2_DONE);
    drmaa2_j_free(&j);
    drmaa2_jtemplate_free(&jt);
}

static void a_reaped_job_is_forgotten(void)
{
    drmaa2_j j = run(js, sleeper());
    long before = listed(js, NULL);
    CHECK_ERROR(drmaa2_j_reap(j), DRMAA2_INVALID_STATE);
    CHECK_OK(drmaa2_j_terminate(j));
    ended(j, DRMAA2_FAILED);
    CHECK_OK(drmaa2_j_reap(j));
    CHECK_INT(listed(js, NULL), before - 1);
    CHECK_NULL(drmaa2_j_get_info(j), DRMAA2_INVALID_ARGUMENT);
    CHECK_INT(drmaa2_j_get_state(j, NULL), DRMAA2_UNSET_JSTATE);
    CHECK_INT(drmaa2_lasterror(), DRMAA2_INVALID_ARGUMENT);
    drmaa2_j_free(&j);
}

static void a_handle_of_the_clients_own_does_as_well(void)
{
    drmaa2_j j = submit(js, command("true"));
    own_handle own = {drmaa2_j_get_id(j), drmaa2_j_get_session_name(j)};
    drmaa2_j same = (drmaa2_j)(void *)&own;
    drmaa2_jinfo ji;
    drmaa2_j_free(&j);
    ended(same, DRMAA2_DONE);
    ji = drmaa2_j_get_info(same);
    CHECK(ji != NULL);
    CHECK_STR(ji->jobId, own.id);
    drmaa2_jinfo_free(&ji);
    CHECK_OWN(drmaa2_j_get_session_name(same), own.session_name);
    CHECK_OK(drmaa2_j_reap(same));
    drmaa2_string_free(&own.id);
    drmaa2_string_free(&own.session_name);
}

static void a_handle_of_the_clients_own_can_be_freed(void)
{
    own_handle *own = malloc(sizeof *own);
    drmaa2_j j = (drmaa2_j)(void *)own;
    own->id = strdup("1");
    own->session_name = strdup("statements");
    drmaa2_j_free(&j);
    CHECK(j == NULL);
}

int main(void)
{
    /* A process of its own, and one that has not seen the library before. */
    in_child(leave_a_session, "statement-17");
    js = session("statements");
    STATEMENT(17, a_session_is_there_for_the_next_process);
    STATEMENT(20, a_destroyed_session_leaves_its_name_free);
    STATEMENT(21, jobs_outlive_their_session);
    STATEMENT(23, an_unknown_category_is_refused);
    STATEMENT(24, what_is_not_supported_is_refused_and_empty_is_not_used);
    STATEMENT(25, a_held_job_waits_for_its_release);
    STATEMENT(26, control_has_its_states);
    STATEMENT(27, a_wait_is_over_in_time);
    STATEMENT(28, what_has_ended_has_started);
    STATEMENT(29, a_wait_for_any_gives_a_handle_of_its_own);
    STATEMENT(30, nobody_can_wait_for_none);
    STATEMENT(31, nobody_has_to_take_the_substate);
    STATEMENT(32, what_is_not_yet_known_is_unset);
    STATEMENT(33, a_template_comes_back_as_an_independent_copy);
    STATEMENT(34, a_reaped_job_is_forgotten);
    STATEMENT(42, a_handle_of_the_clients_own_does_as_well);
    STATEMENT(43, a_handle_of_the_clients_own_can_be_freed);
    done_with(&js);
    return check_result();
}
