/* Jobs in reservations, and what others may not take of them. */
#include "job.h"

#include <time.h>

#define SLOTS 3

static drmaa2_jsession js;
static drmaa2_rsession rs;

static drmaa2_r reserve(time_t begins, time_t lasts, long long slots)
{
    drmaa2_rtemplate rt = drmaa2_rtemplate_create();
    drmaa2_r r;
    rt->startTime = begins;
    rt->duration = lasts;
    rt->minSlots = slots;
    r = drmaa2_rsession_request_reservation(rs, rt);
    if (r == NULL)
        give_up("request_reservation");
    drmaa2_rtemplate_free(&rt);
    return r;
}

static drmaa2_jtemplate in(drmaa2_r r, drmaa2_jtemplate jt)
{
    jt->reservationId = drmaa2_r_get_id(r);
    return jt;
}

static drmaa2_jtemplate limited(drmaa2_jtemplate jt, const char *seconds)
{
    jt->resourceLimits = drmaa2_dict_create(drmaa2_dict_default_callback);
    drmaa2_dict_set(jt->resourceLimits, strdup(DRMAA2_WALLCLOCK_TIME), strdup(seconds));
    return jt;
}

static void waits_for(drmaa2_j j, const char *what)
{
    drmaa2_string detail = NULL;
    CHECK_INT(drmaa2_j_get_state(j, &detail), DRMAA2_QUEUED);
    CHECK_STR(detail, what);
    drmaa2_string_free(&detail);
}

static void failed_with(drmaa2_j *j, const char *part)
{
    drmaa2_jinfo ji = finish(*j);
    CHECK_INT(ji->jobState, DRMAA2_FAILED);
    CHECK(ji->annotation != NULL && strstr(ji->annotation, part) != NULL);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(j);
}

/* A window opens: its jobs start in it, and others had left its slots free. */
static void window(void)
{
    time_t begins = time(NULL) + 4 * slowness();
    drmaa2_r r = reserve(begins, 10 * slowness(), 2);
    drmaa2_j endless, short_one, inside, second, third;
    drmaa2_jinfo ji;
    inside = submit(js, in(r, sleeper()));
    waits_for(inside, "reservation");
    /* One slot is left for jobs that may run for ever; those that end in time may have the others. */
    endless = run(js, sleeper());
    short_one = run(js, limited(command("true"), "1"));
    second = submit(js, sleeper());
    waits_for(second, "slots");
    CHECK_INT(drmaa2_j_wait_started(inside, LONG), DRMAA2_SUCCESS);
    ji = drmaa2_j_get_info(inside);
    CHECK(ji->dispatchTime >= begins && ji->dispatchTime <= begins + 2 * slowness());
    drmaa2_jinfo_free(&ji);
    waits_for(second, "slots");
    third = run(js, in(r, sleeper()));
    /* A job that runs at the end of the window is ended, one that waits then starts. */
    ji = finish(inside);
    CHECK(ji->finishTime >= begins + 10 * slowness());
    CHECK_STR(ji->terminatingSignal, "SIGTERM");
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&inside);
    failed_with(&third, "its reservation is over");
    CHECK_INT(drmaa2_j_wait_started(second, LONG), DRMAA2_SUCCESS);
    end(&second);
    end(&endless);
    drmaa2_j_free(&short_one);
    /* It is over now. */
    drmaa2_jtemplate late = in(r, command("true"));
    CHECK(drmaa2_jsession_run_job(js, late) == NULL);
    failed(DRMAA2_INVALID_ARGUMENT, "it is over");
    drmaa2_jtemplate_free(&late);
    drmaa2_r_free(&r);
}

/* Giving a reservation up ends what is in it. */
static void given_up(void)
{
    drmaa2_r r = reserve(DRMAA2_NOW, 1000, 1);
    drmaa2_j runs = run(js, in(r, sleeper()));
    drmaa2_j waits = submit(js, in(r, sleeper()));
    waits_for(waits, "slots");
    CHECK_INT(drmaa2_r_terminate(r), DRMAA2_SUCCESS);
    failed_with(&waits, "its reservation is over");
    failed_with(&runs, "");
    CHECK_INT(drmaa2_r_terminate(r), DRMAA2_INVALID_STATE);
    drmaa2_r_free(&r);
}

static void refused(drmaa2_jtemplate jt, drmaa2_error code, const char *part)
{
    drmaa2_j_list jobs;
    CHECK(drmaa2_jsession_run_job(js, jt) == NULL);
    failed(code, part);
    drmaa2_jtemplate_free(&jt);
    jobs = drmaa2_jsession_get_jobs(js, NULL);
    CHECK_INT(drmaa2_list_size(jobs), 0);
    drmaa2_list_free(&jobs);
}

static void refusals(void)
{
    drmaa2_r r = reserve(time(NULL) + 1000, 1000, 1);
    drmaa2_rtemplate rt = drmaa2_rtemplate_create();
    drmaa2_jtemplate jt = in(r, command("true"));
    jt->minSlots = 2;
    refused(jt, DRMAA2_INVALID_ARGUMENT, "less than the job asks for");
    CHECK_INT(drmaa2_r_terminate(r), DRMAA2_SUCCESS);
    drmaa2_r_free(&r);
    rt->duration = 1000;
    rt->usersACL = drmaa2_list_create(DRMAA2_STRINGLIST, drmaa2_string_list_default_callback);
    drmaa2_list_add(rt->usersACL, strdup("somebody-else"));
    r = drmaa2_rsession_request_reservation(rs, rt);
    CHECK(r != NULL);
    refused(in(r, command("true")), DRMAA2_DENIED_BY_DRMS, "usersACL");
    CHECK_INT(drmaa2_r_terminate(r), DRMAA2_SUCCESS);
    drmaa2_r_free(&r);
    drmaa2_rtemplate_free(&rt);
}

int main(void)
{
    char contact[64];
    snprintf(contact, sizeof contact, "containerd://?slots=%d", SLOTS);
    js = drmaa2_create_jsession("reserved", contact);
    rs = drmaa2_create_rsession("reserved", contact);
    if (js == NULL || rs == NULL)
        give_up("create_session");
    refusals();
    window();
    given_up();
    CHECK_INT(drmaa2_close_rsession(rs), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_destroy_rsession("reserved"), DRMAA2_SUCCESS);
    drmaa2_rsession_free(&rs);
    done_with(&js);
    return check_result();
}
