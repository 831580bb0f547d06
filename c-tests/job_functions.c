/* The functions that no numbered statement is about, each in its proper use; with the programs of the
   statements, every function of the header is called. */
#include "job.h"

#include <time.h>

static drmaa2_jsession js;

static void the_system_and_the_library(void)
{
    drmaa2_version version;
    drmaa2_string name = drmaa2_get_drms_name();
    CHECK(name != NULL && *name != '\0');
    drmaa2_string_free(&name);
    name = drmaa2_get_drmaa_name();
    CHECK(name != NULL && *name != '\0');
    drmaa2_string_free(&name);
    version = drmaa2_get_drms_version();
    CHECK(version != NULL && version->major != NULL && version->minor != NULL);
    drmaa2_version_free(&version);
    version = drmaa2_get_drmaa_version();
    CHECK(version != NULL && version->major != NULL && version->minor != NULL);
    drmaa2_version_free(&version);
    CHECK(version == NULL);
}

static void the_session(void)
{
    drmaa2_string_list categories = drmaa2_jsession_get_job_categories(js);
    CHECK(drmaa2_list_size(categories) >= 1);
    drmaa2_list_free(&categories);
    CHECK_NULL(drmaa2_jsession_get_contact(js), DRMAA2_SUCCESS);
    CHECK_OWN(drmaa2_jsession_get_session_name(js), "functions");
}

/* Each limit has a name that a template takes. */
static void limits(void)
{
    const char *limits[][2] = {
        {DRMAA2_CORE_FILE_SIZE, "0"},   {DRMAA2_CPU_TIME, "600"},         {DRMAA2_DATA_SIZE, "1000000"},
        {DRMAA2_FILE_SIZE, "1000"},     {DRMAA2_OPEN_FILES, "100"},       {DRMAA2_STACK_SIZE, "1000"},
        {DRMAA2_WALLCLOCK_TIME, "600"}, {DRMAA2_VIRTUAL_MEMORY, "10000000"},
    };
    drmaa2_jtemplate jt = command("true");
    drmaa2_jinfo ji;
    drmaa2_j j;
    jt->resourceLimits = drmaa2_dict_create(drmaa2_dict_default_callback);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        CHECK_OK(drmaa2_dict_set(jt->resourceLimits, strdup(limits[i][0]), strdup(limits[i][1])));
    j = submit(js, jt);
    ji = finish(j);
    CHECK_INT(ji->jobState, DRMAA2_DONE);
    if (ji->annotation != NULL)
        fprintf(stderr, "  annotation \"%s\"\n", ji->annotation);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);
}

/* The number of tasks of the array in this state. */
static long in_state(drmaa2_jarray ja, drmaa2_jstate state)
{
    drmaa2_j_list jobs = drmaa2_jarray_get_jobs(ja);
    long found = 0;
    for (long i = 0; i < drmaa2_list_size(jobs); i++)
        found += drmaa2_j_get_state((drmaa2_j)drmaa2_list_get(jobs, i), NULL) == state;
    drmaa2_list_free(&jobs);
    return found;
}

static void arrays(void)
{
    drmaa2_jtemplate jt = sleeper(), copy;
    drmaa2_jarray ja;
    drmaa2_j_list jobs;
    jt->startTime = time(NULL) + 100000;
    ja = drmaa2_jsession_run_bulk_jobs(js, jt, 1, 2, 1, 2);
    CHECK(ja != NULL);
    drmaa2_jtemplate_free(&jt);
    CHECK_OWN(drmaa2_jarray_get_session_name(ja), "functions");
    copy = drmaa2_jarray_get_jtemplate(ja);
    CHECK_STR(copy->remoteCommand, "sleep");
    drmaa2_jtemplate_free(&copy);
    CHECK_INT(in_state(ja, DRMAA2_QUEUED), 2);
    CHECK_OK(drmaa2_jarray_hold(ja));
    CHECK_INT(in_state(ja, DRMAA2_QUEUED_HELD), 2);
    CHECK_OK(drmaa2_jarray_release(ja));
    CHECK_INT(in_state(ja, DRMAA2_QUEUED), 2);
    CHECK_ERROR(drmaa2_jarray_suspend(ja), DRMAA2_INVALID_STATE);
    CHECK_OK(drmaa2_jarray_terminate(ja));
    /* A queue of the library's own lets go of them at once. */
    jobs = drmaa2_jarray_get_jobs(ja);
    for (long i = 0; on_slurm() && i < 2; i++)
        CHECK_OK(drmaa2_j_wait_terminated((drmaa2_j)drmaa2_list_get(jobs, i), LONG));
    drmaa2_list_free(&jobs);
    CHECK_INT(in_state(ja, DRMAA2_FAILED), 2);
    CHECK_OK(drmaa2_jarray_reap(ja));
    drmaa2_jarray_free(&ja);

    jt = sleeper();
    ja = drmaa2_jsession_run_bulk_jobs(js, jt, 1, 2, 1, DRMAA2_UNSET_NUM);
    drmaa2_jtemplate_free(&jt);
    jobs = drmaa2_jarray_get_jobs(ja);
    for (long i = 0; i < 2; i++)
        CHECK_OK(drmaa2_j_wait_started((drmaa2_j)drmaa2_list_get(jobs, i), LONG));
    CHECK_OK(drmaa2_jarray_suspend(ja));
    CHECK_INT(in_state(ja, DRMAA2_SUSPENDED), 2);
    CHECK_OK(drmaa2_jarray_resume(ja));
    CHECK_INT(in_state(ja, DRMAA2_RUNNING), 2);
    CHECK_OK(drmaa2_jarray_terminate(ja));
    for (long i = 0; i < 2; i++)
        CHECK_OK(drmaa2_j_wait_terminated((drmaa2_j)drmaa2_list_get(jobs, i), LONG));
    drmaa2_list_free(&jobs);
    drmaa2_jarray_free(&ja);
}

static void the_monitor(void)
{
    drmaa2_msession ms = drmaa2_open_msession(NULL);
    drmaa2_jinfo filter = drmaa2_jinfo_create();
    drmaa2_j j = submit(js, command("true"));
    drmaa2_j_list jobs;
    drmaa2_queueinfo_list queues;
    filter->jobId = drmaa2_j_get_id(j);
    jobs = drmaa2_msession_get_all_jobs(ms, filter);
    CHECK_INT(drmaa2_list_size(jobs), 1);
    CHECK_OWN(drmaa2_j_get_id((drmaa2_j)drmaa2_list_get(jobs, 0)), filter->jobId);
    drmaa2_list_free(&jobs);
    queues = drmaa2_msession_get_all_queues(ms, NULL);
    CHECK(drmaa2_list_size(queues) >= 1);
    CHECK(((const drmaa2_queueinfo_s *)drmaa2_list_get(queues, 0))->name != NULL);
    drmaa2_list_free(&queues);
    CHECK_OK(drmaa2_j_wait_terminated(j, LONG));
    drmaa2_jinfo_free(&filter);
    drmaa2_j_free(&j);
    CHECK_OK(drmaa2_close_msession(ms));
    drmaa2_msession_free(&ms);
}

static void reservations(void)
{
    drmaa2_rsession rs = drmaa2_create_rsession("functions", NULL), again;
    drmaa2_rtemplate rt = drmaa2_rtemplate_create(), copy;
    drmaa2_msession ms = drmaa2_open_msession(NULL);
    drmaa2_string_list names = drmaa2_get_rsession_names();
    drmaa2_r_list all;
    drmaa2_string id;
    drmaa2_rinfo ri;
    drmaa2_r r, same;
    CHECK(drmaa2_list_size(names) >= 1);
    drmaa2_list_free(&names);
    CHECK_NULL(drmaa2_rsession_get_contact(rs), DRMAA2_SUCCESS);
    rt->reservationName = strdup("name");
    rt->startTime = time(NULL) + 100000;
    rt->endTime = rt->startTime + 60;
    r = drmaa2_rsession_request_reservation(rs, rt);
    if (r == NULL)
        give_up("request_reservation");
    id = drmaa2_r_get_id(r);
    CHECK(id != NULL);
    CHECK_OWN(drmaa2_r_get_session_name(r), "functions");
    copy = drmaa2_r_get_reservation_template(r);
    CHECK_STR(copy->reservationName, "name");
    CHECK_INT(copy->endTime, rt->endTime);
    drmaa2_rtemplate_free(&copy);
    ri = drmaa2_r_get_info(r);
    CHECK_STR(ri->reservationId, id);
    CHECK_INT(ri->reservedStartTime, rt->startTime);
    CHECK_INT(ri->reservedEndTime, rt->endTime);
    CHECK_INT(drmaa2_list_size(ri->reservedMachines), 1);
    drmaa2_rinfo_free(&ri);
    again = drmaa2_open_rsession("functions");
    same = drmaa2_rsession_get_reservation(again, id);
    CHECK(same != NULL && same != r);
    all = drmaa2_rsession_get_reservations(again);
    CHECK_INT(drmaa2_list_size(all), 1);
    drmaa2_list_free(&all);
    all = drmaa2_msession_get_all_reservations(ms);
    CHECK(drmaa2_list_size(all) >= 1);
    drmaa2_list_free(&all);
    CHECK_OK(drmaa2_r_terminate(same));
    drmaa2_r_free(&same);
    drmaa2_r_free(&r);
    CHECK(r == NULL);
    CHECK_OK(drmaa2_close_rsession(again));
    CHECK_OK(drmaa2_close_rsession(rs));
    CHECK_OK(drmaa2_destroy_rsession("functions"));
    drmaa2_rsession_free(&again);
    drmaa2_rsession_free(&rs);
    CHECK_OK(drmaa2_close_msession(ms));
    drmaa2_msession_free(&ms);
    drmaa2_rtemplate_free(&rt);
    drmaa2_string_free(&id);
}

/* Whatever extra attributes a template has: each can be described, set, read and cleared. */
static void extra_attributes(void)
{
    drmaa2_string_list names = drmaa2_jtemplate_impl_spec();
    drmaa2_jtemplate jt = drmaa2_jtemplate_create();
    for (long i = 0; i < drmaa2_list_size(names); i++) {
        const char *name = drmaa2_list_get(names, i);
        drmaa2_string text = drmaa2_describe_attribute(jt, name);
        CHECK(text != NULL && *text != '\0');
        drmaa2_string_free(&text);
        CHECK_NULL(drmaa2_get_instance_value(jt, name), DRMAA2_SUCCESS);
        CHECK_OK(drmaa2_set_instance_value(jt, name, "value"));
        CHECK_OWN(drmaa2_get_instance_value(jt, name), "value");
        CHECK_OK(drmaa2_set_instance_value(jt, name, NULL));
        CHECK_NULL(drmaa2_get_instance_value(jt, name), DRMAA2_SUCCESS);
    }
    drmaa2_jtemplate_free(&jt);
    drmaa2_list_free(&names);
}

int main(void)
{
    js = session("functions");
    the_system_and_the_library();
    the_session();
    limits();
    arrays();
    the_monitor();
    if (drmaa2_supports(DRMAA2_ADVANCE_RESERVATION))
        reservations();
    extra_attributes();
    done_with(&js);
    return check_result();
}
