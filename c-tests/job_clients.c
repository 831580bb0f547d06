/* Clients as there are, with all their habits: they build handles, templates and filters themselves,
   pass empty lists, put strings of their own into lists and let go of them at once, free with free(),
   or never. */
#include "job.h"

#include <time.h>

/* A job handle as two headers have it. In the longer one the last member is not set. */
typedef struct {
    char *id;
    char *session_name;
} short_handle;

typedef struct {
    char *id;
    char *session_name;
    char *job_name;
} long_handle;

static drmaa2_jsession js;
static const char *session_name = "clients";

/* A list of strings that does not own them. */
static drmaa2_string_list borrowed(void)
{
    return drmaa2_list_create(DRMAA2_STRINGLIST, NULL);
}

/* Add a string and let go of it: what it was made of is overwritten and freed. */
static void add_and_forget(drmaa2_string_list list, const char *text)
{
    char *own = strdup(text);
    CHECK_OK(drmaa2_list_add(list, own));
    memset(own, 'x', strlen(own));
    free(own);
}

/* A template in the client's own memory, with all that is empty set to something empty. */
static drmaa2_jtemplate own_template(void)
{
    drmaa2_jtemplate jt = calloc(1, sizeof *jt);
    jt->remoteCommand = strdup("/bin/sh");
    jt->jobCategory = strdup(image());
    jt->args = borrowed();
    jt->email = borrowed();
    jt->candidateMachines = borrowed();
    jt->jobEnvironment = drmaa2_dict_create(NULL);
    jt->stageInFiles = drmaa2_dict_create(NULL);
    jt->stageOutFiles = drmaa2_dict_create(NULL);
    jt->resourceLimits = drmaa2_dict_create(NULL);
    jt->queueName = strdup("");
    jt->minSlots = jt->maxSlots = jt->minPhysMemory = DRMAA2_UNSET_NUM;
    jt->priority = -99999;
    jt->machineOS = DRMAA2_UNSET_OS;
    jt->machineArch = DRMAA2_UNSET_CPU;
    jt->startTime = jt->deadlineTime = DRMAA2_UNSET_TIME;
    return jt;
}

static void handles(void)
{
    char stack_id[64];
    drmaa2_jtemplate jt = own_template();
    drmaa2_j_list jobs = drmaa2_list_create(DRMAA2_JOBLIST, NULL);
    drmaa2_j j, found;
    drmaa2_jinfo ji;
    short_handle *short_one = malloc(sizeof *short_one);
    long_handle *long_one = malloc(sizeof *long_one);
    char *id;
    add_and_forget(jt->args, "-c");
    add_and_forget(jt->args, "exit $STATUS");
    CHECK_OK(drmaa2_dict_set(jt->jobEnvironment, "STATUS", "5"));
    j = drmaa2_jsession_run_job(js, jt);
    if (j == NULL)
        give_up("run_job");
    drmaa2_jtemplate_free(&jt);

    /* The id is looked up in the handle, and copied; the handle goes. */
    id = drmaa2_j_get_id(j);
    snprintf(stack_id, sizeof stack_id, "%s", id);
    short_one->id = strdup(id);
    short_one->session_name = strdup(session_name);
    long_one->id = strdup(id);
    long_one->session_name = strdup(session_name);
    drmaa2_j_free(&j);
    free(id);

    CHECK_OK(drmaa2_j_wait_started((drmaa2_j)(void *)short_one, LONG));
    CHECK_OK(drmaa2_list_add(jobs, long_one));
    CHECK_OK(drmaa2_list_add(jobs, short_one));
    found = drmaa2_jsession_wait_any_terminated(js, jobs, LONG);
    CHECK(found != NULL && found != (drmaa2_j)(void *)long_one);
    drmaa2_j_free(&found);
    /* The handles are the client's: the list does not touch them. */
    drmaa2_list_free(&jobs);
    ji = drmaa2_j_get_info((drmaa2_j)(void *)long_one);
    CHECK_INT(ji->exitStatus, 5);
    drmaa2_jinfo_free(&ji);
    short_handle on_stack = {stack_id, (char *)session_name};
    CHECK_INT(drmaa2_j_get_state((drmaa2_j)(void *)&on_stack, NULL), DRMAA2_FAILED);
    CHECK_OK(drmaa2_j_reap((drmaa2_j)(void *)&on_stack));
    CHECK_NULL(drmaa2_j_get_info((drmaa2_j)(void *)short_one), DRMAA2_INVALID_ARGUMENT);

    j = (drmaa2_j)(void *)short_one;
    drmaa2_j_free(&j);
    j = (drmaa2_j)(void *)long_one;
    drmaa2_j_free(&j);
    CHECK(j == NULL);
}

static void arrays(void)
{
    drmaa2_jtemplate jt = own_template();
    drmaa2_jarray made, own = malloc(sizeof *own);
    drmaa2_j_list jobs;
    char *id;
    add_and_forget(jt->args, "-c");
    add_and_forget(jt->args, "exit 0");
    made = drmaa2_jsession_run_bulk_jobs(js, jt, 1, 2, 1, 0);
    if (made == NULL)
        give_up("run_bulk_jobs");
    drmaa2_jtemplate_free(&jt);
    id = drmaa2_jarray_get_id(made);
    own->id = strdup(id);
    own->job_list = NULL;
    own->session_name = strdup(session_name);
    free(id);
    drmaa2_jarray_free(&made);
    jobs = drmaa2_jarray_get_jobs(own);
    CHECK_INT(drmaa2_list_size(jobs), 2);
    for (long i = 0; i < 2; i++)
        CHECK_OK(drmaa2_j_wait_terminated((drmaa2_j)drmaa2_list_get(jobs, i), LONG));
    drmaa2_list_free(&jobs);
    CHECK_OK(drmaa2_jarray_reap(own));
    drmaa2_jarray_free(&own);
    CHECK(own == NULL);
}

static void filters(void)
{
    drmaa2_jtemplate jt = command("true");
    drmaa2_j j = submit(js, jt);
    drmaa2_msession ms = drmaa2_open_msession(NULL);
    drmaa2_machineinfo_list machines;
    drmaa2_string_list names;
    drmaa2_jinfo filter = calloc(1, sizeof *filter);
    drmaa2_j_list jobs;
    const drmaa2_machineinfo_s *mi;
    CHECK_OK(drmaa2_j_wait_terminated(j, LONG));
    filter->exitStatus = DRMAA2_UNSET_NUM;
    filter->jobState = DRMAA2_UNSET_JSTATE;
    filter->slots = filter->cpuTime = DRMAA2_UNSET_NUM;
    filter->wallclockTime = filter->submissionTime = DRMAA2_UNSET_TIME;
    filter->dispatchTime = filter->finishTime = DRMAA2_UNSET_TIME;
    filter->allocatedMachines = drmaa2_list_create(DRMAA2_SLOTINFOLIST, NULL);
    filter->jobOwner = strdup("");
    jobs = drmaa2_jsession_get_jobs(js, filter);
    CHECK_INT(drmaa2_list_size(jobs), 1);
    drmaa2_list_free(&jobs);
    drmaa2_list_free(&filter->allocatedMachines);

    /* Names where the standard has slot infos, and gone when the library reads them. */
    machines = drmaa2_msession_get_all_machines(ms, NULL);
    mi = drmaa2_list_get(machines, 0);
    filter->allocatedMachines = borrowed();
    add_and_forget(filter->allocatedMachines, mi->name);
    jobs = drmaa2_msession_get_all_jobs(ms, filter);
    /* A cluster may have run it on another one of its machines. */
    CHECK(drmaa2_list_size(jobs) >= 1 || on_slurm());
    drmaa2_list_free(&jobs);
    names = borrowed();
    add_and_forget(names, mi->name);
    drmaa2_list_free(&machines);
    machines = drmaa2_msession_get_all_machines(ms, names);
    CHECK_INT(drmaa2_list_size(machines), 1);
    drmaa2_list_free(&machines);
    drmaa2_list_free(&names);
    drmaa2_jinfo_free(&filter);
    CHECK_OK(drmaa2_j_reap(j));
    drmaa2_j_free(&j);
    drmaa2_msession_free(&ms);
}

static void reservations(void)
{
    drmaa2_rsession rs = drmaa2_create_rsession(session_name, NULL);
    drmaa2_rtemplate rt = calloc(1, sizeof *rt);
    drmaa2_r made, own = malloc(sizeof *own);
    drmaa2_rinfo ri;
    char *id;
    rt->startTime = time(NULL) + 100000;
    rt->endTime = rt->startTime + 60;
    rt->duration = DRMAA2_UNSET_TIME;
    rt->minSlots = rt->maxSlots = rt->minPhysMemory = -99999;
    rt->machineOS = DRMAA2_UNSET_OS;
    rt->machineArch = DRMAA2_UNSET_CPU;
    rt->usersACL = borrowed();
    rt->candidateMachines = borrowed();
    made = drmaa2_rsession_request_reservation(rs, rt);
    if (made == NULL)
        give_up("request_reservation");
    drmaa2_rtemplate_free(&rt);
    id = drmaa2_r_get_id(made);
    own->id = strdup(id);
    own->session_name = strdup(session_name);
    free(id);
    drmaa2_r_free(&made);
    ri = drmaa2_r_get_info(own);
    CHECK(ri != NULL);
    CHECK_STR(ri->reservationId, own->id);
    drmaa2_rinfo_free(&ri);
    CHECK_OK(drmaa2_r_terminate(own));
    drmaa2_r_free(&own);
    CHECK_OK(drmaa2_close_rsession(rs));
    CHECK_OK(drmaa2_destroy_rsession(session_name));
    drmaa2_rsession_free(&rs);
}

/* A whole round of the API in which nothing is given back, in a process of its own. */
static void never_frees(const char *name)
{
    drmaa2_jsession left = drmaa2_open_jsession(name);
    for (int round = 0; round < 3; round++) {
        drmaa2_string substate = NULL;
        drmaa2_jtemplate jt = own_template();
        drmaa2_j j;
        add_and_forget(jt->args, "-c");
        add_and_forget(jt->args, "exit 0");
        j = drmaa2_jsession_run_job(left, jt);
        CHECK(j != NULL);
        CHECK_OK(drmaa2_j_wait_terminated(j, LONG));
        CHECK_INT(drmaa2_j_get_state(j, &substate), DRMAA2_DONE);
        CHECK(drmaa2_j_get_info(j) != NULL && drmaa2_j_get_jtemplate(j) != NULL);
        CHECK(drmaa2_jsession_get_jobs(left, drmaa2_jinfo_create()) != NULL);
        CHECK(drmaa2_open_jsession("no such session") == NULL && drmaa2_lasterror_text() != NULL);
        CHECK(drmaa2_msession_get_all_machines(drmaa2_open_msession(NULL), NULL) != NULL);
        CHECK_OK(drmaa2_j_reap(j));
    }
}

/* Every string that the library hands out is one for free(). */
static void plain_free(void)
{
    drmaa2_jtemplate jt = command("true");
    drmaa2_j j = submit(js, jt);
    drmaa2_string substate = NULL;
    drmaa2_string strings[] = {
        drmaa2_j_get_id(j),       drmaa2_j_get_session_name(j), drmaa2_jsession_get_session_name(js),
        drmaa2_get_drmaa_name(),  drmaa2_get_drms_name(),       NULL,
        drmaa2_lasterror_text(),
    };
    drmaa2_list_size(NULL);
    strings[5] = drmaa2_lasterror_text();
    CHECK(drmaa2_j_get_state(j, &substate) != DRMAA2_UNSET_JSTATE);
    free(substate);
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        free(strings[i]);
    CHECK_OK(drmaa2_j_wait_terminated(j, LONG));
    CHECK_OK(drmaa2_j_reap(j));
    drmaa2_j_free(&j);
}

int main(void)
{
    js = session(session_name);
    handles();
    arrays();
    filters();
    if (drmaa2_supports(DRMAA2_ADVANCE_RESERVATION))
        reservations();
    plain_free();
    in_child(never_frees, session_name);
    drmaa2_j_list jobs = drmaa2_jsession_get_jobs(js, NULL);
    CHECK_INT(drmaa2_list_size(jobs), 0);
    drmaa2_list_free(&jobs);
    done_with(&js);
    return check_result();
}
