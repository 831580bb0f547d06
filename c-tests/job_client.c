/* The things that clients do and the standard's own examples do not: handles, filters and lists of their own. */
#include <drmaa2_ext.h>

#include "job.h"

static drmaa2_jsession js;

/* One client's handle of a job: shorter than the library's. What is beyond is not the client's. */
typedef struct {
    char *id;
    char *session_name;
} own_handle;

static drmaa2_j own_job(drmaa2_j job)
{
    own_handle *own = malloc(sizeof *own);
    own->id = strdup(job->id);
    own->session_name = strdup(job->session_name);
    return (drmaa2_j)(void *)own;
}

/* Submit, let go of the library's handle, and go on with one's own. */
static drmaa2_j submit_own(drmaa2_jtemplate jt)
{
    drmaa2_j job = submit(js, jt);
    drmaa2_j own = own_job(job);
    drmaa2_j_free(&job);
    return own;
}

/* Every function of jobs takes such a handle. */
static void handles_of_jobs(void)
{
    drmaa2_jtemplate jt = sleeper(), copy;
    drmaa2_j j, any;
    drmaa2_j_list list, all;
    drmaa2_string id, name = drmaa2_jsession_get_session_name(js);
    drmaa2_jinfo ji;

    jt->submitAsHold = DRMAA2_TRUE;
    jt->jobName = strdup("own");
    j = submit_own(jt);
    id = drmaa2_j_get_id(j);
    CHECK(id != NULL);
    CHECK_OWN(drmaa2_j_get_session_name(j), name);
    CHECK_INT(drmaa2_j_get_state(j, NULL), DRMAA2_QUEUED_HELD);
    copy = drmaa2_j_get_jtemplate(j);
    CHECK_STR(copy->remoteCommand, "sleep");
    drmaa2_jtemplate_free(&copy);
    copy = drmaa2_j_get_jt(j);
    CHECK_STR(copy->remoteCommand, "sleep");
    drmaa2_jtemplate_free(&copy);
    CHECK_OK(drmaa2_j_release(j));
    CHECK_OK(drmaa2_j_wait_started(j, LONG));
    CHECK_ERROR(drmaa2_j_hold(j), DRMAA2_INVALID_STATE);
    CHECK_OK(drmaa2_j_suspend(j));
    CHECK_OK(drmaa2_j_resume(j));
    ji = drmaa2_j_get_info(j);
    CHECK_STR(ji->jobId, id);
    drmaa2_jinfo_free(&ji);

    /* A list that leaves its elements alone. */
    list = drmaa2_list_create(DRMAA2_JOBLIST, NULL);
    CHECK_OK(drmaa2_list_add(list, j));
    any = drmaa2_jsession_wait_any_started(js, list, LONG);
    CHECK_STR(any->id, id);
    /* The name comes from the job and not from the handle, which has none. */
    CHECK_STR(any->job_name, "own");
    drmaa2_j_free(&any);
    all = drmaa2_jsession_wait_all_started(js, list, LONG);
    CHECK_INT(drmaa2_list_size(all), 1);
    CHECK_STR(((drmaa2_j)drmaa2_list_get(all, 0))->job_name, "own");
    drmaa2_list_free(&all);
    CHECK_OK(drmaa2_j_terminate_forced_all(j));
    any = drmaa2_jsession_wait_any_terminated(js, list, LONG);
    CHECK_STR(any->id, id);
    drmaa2_j_free(&any);
    all = drmaa2_jsession_wait_all_terminated(js, list, LONG);
    CHECK_INT(drmaa2_list_size(all), 1);
    drmaa2_list_free(&all);
    CHECK_OK(drmaa2_j_wait_terminated(j, LONG));
    CHECK_ERROR(drmaa2_j_terminate(j), DRMAA2_INVALID_STATE);
    CHECK_ERROR(drmaa2_j_terminate_forced(j), DRMAA2_INVALID_STATE);
    CHECK_ERROR(drmaa2_j_terminate_all(j), DRMAA2_INVALID_STATE);
    CHECK_OK(drmaa2_j_reap(j));
    CHECK_NULL(drmaa2_j_get_info(j), DRMAA2_INVALID_ARGUMENT);
    drmaa2_list_free(&list);
    drmaa2_j_free(&j);
    CHECK(j == NULL);
    drmaa2_string_free(&id);
    drmaa2_string_free(&name);
}

/* The same of job arrays, which come without a list of jobs. */
static void handles_of_arrays(void)
{
    drmaa2_jtemplate jt = sleeper(), copy;
    drmaa2_jarray made, ja = malloc(sizeof *ja);
    drmaa2_j_list jobs, all;
    jt->submitAsHold = DRMAA2_TRUE;
    made = drmaa2_jsession_run_bulk_jobs(js, jt, 1, 2, 1, 0);
    drmaa2_jtemplate_free(&jt);
    if (made == NULL)
        give_up("run_bulk_jobs");
    ja->id = strdup(made->id);
    ja->job_list = NULL;
    ja->session_name = strdup(made->session_name);
    drmaa2_jarray_free(&made);

    jobs = drmaa2_jarray_get_jobs(ja);
    CHECK_INT(drmaa2_list_size(jobs), 2);
    copy = drmaa2_jarray_get_job_template(ja);
    CHECK_STR(copy->remoteCommand, "sleep");
    drmaa2_jtemplate_free(&copy);
    copy = drmaa2_jarray_get_jtemplate(ja);
    CHECK_STR(copy->remoteCommand, "sleep");
    drmaa2_jtemplate_free(&copy);
    CHECK_ERROR(drmaa2_jarray_hold(ja), DRMAA2_INVALID_STATE);
    CHECK_OK(drmaa2_jarray_release(ja));
    all = drmaa2_jsession_wait_all_started(js, jobs, LONG);
    drmaa2_list_free(&all);
    CHECK_OK(drmaa2_jarray_suspend(ja));
    CHECK_OK(drmaa2_jarray_resume(ja));
    CHECK_OK(drmaa2_jarray_terminate_all(ja));
    all = drmaa2_jsession_wait_all_terminated(js, jobs, LONG);
    drmaa2_list_free(&all);
    drmaa2_list_free(&jobs);
    CHECK_ERROR(drmaa2_jarray_terminate(ja), DRMAA2_INVALID_STATE);
    CHECK_OK(drmaa2_jarray_reap(ja));
    CHECK_NULL(drmaa2_jarray_get_jobs(ja), DRMAA2_INVALID_ARGUMENT);
    drmaa2_jarray_free(&ja);
}

/* The same of reservations, in memory that is not from malloc. */
static void handles_of_reservations(void)
{
    drmaa2_rsession rs = drmaa2_create_rsession(NULL, NULL);
    drmaa2_string name = drmaa2_rsession_get_session_name(rs);
    drmaa2_rtemplate rt = drmaa2_rtemplate_create(), copy;
    drmaa2_r made;
    drmaa2_rinfo ri;
    char id[64], session_name[64];
    drmaa2_r_s own = {id, session_name};
    rt->startTime = DRMAA2_NOW;
    rt->duration = 1000;
    made = drmaa2_rsession_request_reservation(rs, rt);
    if (made == NULL)
        give_up("request_reservation");
    snprintf(id, sizeof id, "%s", made->id);
    snprintf(session_name, sizeof session_name, "%s", made->session_name);
    drmaa2_r_free(&made);
    copy = drmaa2_r_get_reservation_template(&own);
    CHECK_INT(copy->duration, 1000);
    drmaa2_rtemplate_free(&copy);
    copy = drmaa2_r_get_rtemplate(&own);
    CHECK_INT(copy->duration, 1000);
    drmaa2_rtemplate_free(&copy);
    ri = drmaa2_r_get_info(&own);
    CHECK_STR(ri->reservationId, id);
    drmaa2_rinfo_free(&ri);
    CHECK_OK(drmaa2_r_terminate(&own));
    CHECK_ERROR(drmaa2_r_terminate(&own), DRMAA2_INVALID_STATE);
    drmaa2_rtemplate_free(&rt);
    CHECK_OK(drmaa2_close_rsession(rs));
    CHECK_OK(drmaa2_destroy_rsession(name));
    drmaa2_string_free(&name);
    drmaa2_rsession_free(&rs);
}

/* A template as bindings fill it: every list and dictionary is there and leaves its elements alone,
   strings are the client's. */
static void a_template_of_the_client(void)
{
    char program[] = "sh", option[] = "-c", script[] = "exit $CODE", key[] = "CODE", value[] = "3";
    char category[256];
    drmaa2_jtemplate jt = drmaa2_jtemplate_create();
    drmaa2_jtemplate_s *it = jt;
    drmaa2_j j;
    drmaa2_jinfo ji;
    snprintf(category, sizeof category, "%s", image());
    it->remoteCommand = program;
    it->jobCategory = category;
    it->args = drmaa2_list_create(DRMAA2_STRINGLIST, NULL);
    CHECK_OK(drmaa2_list_add(it->args, option));
    CHECK_OK(drmaa2_list_add(it->args, script));
    it->email = drmaa2_list_create(DRMAA2_STRINGLIST, NULL);
    it->candidateMachines = drmaa2_list_create(DRMAA2_STRINGLIST, NULL);
    it->jobEnvironment = drmaa2_dict_create(NULL);
    CHECK_OK(drmaa2_dict_set(it->jobEnvironment, key, value));
    it->stageInFiles = drmaa2_dict_create(NULL);
    it->stageOutFiles = drmaa2_dict_create(NULL);
    it->resourceLimits = drmaa2_dict_create(NULL);
    it->priority = -99999;
    j = drmaa2_jsession_run_job(js, jt);
    if (j == NULL)
        give_up("run_job");
    /* Memory of the client does not go with the template. */
    it->remoteCommand = it->jobCategory = NULL;
    drmaa2_jtemplate_free(&jt);
    CHECK_STR(script, "exit $CODE");
    ji = finish(j);
    CHECK_INT(ji->exitStatus, 3);
    drmaa2_jinfo_free(&ji);
    jt = drmaa2_j_get_jtemplate(j);
    CHECK_INT(jt->priority, DRMAA2_UNSET_NUM);
    drmaa2_jtemplate_free(&jt);
    /* A string that the library returns is from malloc. */
    drmaa2_string id = drmaa2_j_get_id(j);
    CHECK(id != NULL);
    free(id);
    drmaa2_j_free(&j);
}

/* A filter in memory of the client: zeroed, numbers unset one by one, every attribute cleared. */
static void a_filter_of_the_client(void)
{
    drmaa2_jinfo_s filter;
    drmaa2_j j = submit(js, shell("exit 0"));
    drmaa2_string_list names = drmaa2_jinfo_impl_spec();
    drmaa2_j_list jobs;
    CHECK_OK(drmaa2_j_wait_terminated(j, LONG));
    memset(&filter, 0, sizeof filter);
    filter.exitStatus = filter.jobState = -1;
    filter.slots = filter.cpuTime = -1;
    filter.wallclockTime = filter.submissionTime = filter.dispatchTime = filter.finishTime = -3;
    filter.allocatedMachines = drmaa2_list_create(DRMAA2_SLOTINFOLIST, NULL);
    for (long i = 0; i < drmaa2_list_size(names); i++)
        CHECK_OK(drmaa2_set_instance_value(&filter, drmaa2_list_get(names, i), ""));
    CHECK(filter.implementationSpecific == NULL);
    drmaa2_list_free(&names);
    filter.jobId = j->id;
    jobs = drmaa2_jsession_get_jobs(js, &filter);
    CHECK_INT(drmaa2_list_size(jobs), 1);
    drmaa2_list_free(&jobs);

    /* Names of machines instead of slot infos. */
    drmaa2_list_free(&filter.allocatedMachines);
    filter.allocatedMachines = drmaa2_list_create(DRMAA2_STRINGLIST, NULL);
    CHECK_OK(drmaa2_list_add(filter.allocatedMachines, "no.such.machine"));
    jobs = drmaa2_jsession_get_jobs(js, &filter);
    CHECK_INT(drmaa2_list_size(jobs), 0);
    drmaa2_list_free(&jobs);
    drmaa2_list_free(&filter.allocatedMachines);
    drmaa2_j_free(&j);
}

/* A client that never frees, nor closes. */
static drmaa2_msession never_freed;

int main(void)
{
    js = session(NULL);
    handles_of_jobs();
    handles_of_arrays();
    if (drmaa2_supports(DRMAA2_ADVANCE_RESERVATION))
        handles_of_reservations();
    a_template_of_the_client();
    a_filter_of_the_client();
    never_freed = drmaa2_open_msession("monitor");
    CHECK(never_freed != NULL);
    done_with(&js);
    return check_result();
}
