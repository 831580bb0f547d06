/* Wrong use of every kind that C lets a library notice: the call fails with a code and a text that
   names what is wrong, nothing is submitted, and the library goes on. */
#include "job.h"

#include <limits.h>
#include <time.h>

static drmaa2_jsession js;
static drmaa2_rsession rs;
static drmaa2_msession ms;

static const drmaa2_listtype no_strings[] = {DRMAA2_JOBLIST, DRMAA2_QUEUEINFOLIST,
                                             DRMAA2_MACHINEINFOLIST, DRMAA2_SLOTINFOLIST,
                                             DRMAA2_RESERVATIONLIST};

#define KINDS(kinds) ((int)(sizeof(kinds) / sizeof *(kinds)))

/* A list of strings that holds this one. */
static drmaa2_string_list strings(const char *text)
{
    drmaa2_string_list list = drmaa2_list_create(DRMAA2_STRINGLIST, NULL);
    CHECK_OK(drmaa2_list_add(list, text));
    return list;
}

static drmaa2_dict entry(const char *key, const char *value)
{
    drmaa2_dict dict = drmaa2_dict_create(NULL);
    CHECK_OK(drmaa2_dict_set(dict, key, value));
    return dict;
}

static void job_refused(drmaa2_jtemplate jt, const char *part)
{
    CHECK(drmaa2_jsession_run_job(js, jt) == NULL);
    failed(DRMAA2_INVALID_ARGUMENT, part);
    CHECK(drmaa2_jsession_run_bulk_jobs(js, jt, 1, 2, 1, 0) == NULL);
    failed(DRMAA2_INVALID_ARGUMENT, part);
    drmaa2_jtemplate_free(&jt);
}

/* Nothing is told of what is wrong with a reservation where there are none. */
static void reservation_refused(drmaa2_rtemplate rt, const char *part)
{
    if (!drmaa2_supports(DRMAA2_ADVANCE_RESERVATION)) {
        drmaa2_rtemplate_free(&rt);
        return;
    }
    CHECK(drmaa2_rsession_request_reservation(rs, rt) == NULL);
    failed(DRMAA2_INVALID_ARGUMENT, part);
    drmaa2_rtemplate_free(&rt);
}

static void filter_refused(drmaa2_jinfo filter, const char *part)
{
    CHECK(drmaa2_jsession_get_jobs(js, filter) == NULL);
    failed(DRMAA2_INVALID_ARGUMENT, part);
    CHECK(drmaa2_msession_get_all_jobs(ms, filter) == NULL);
    failed(DRMAA2_INVALID_ARGUMENT, part);
    drmaa2_jinfo_free(&filter);
}

#define JOB(member, value, part)                                                                       \
    do {                                                                                               \
        drmaa2_jtemplate jt = command("true");                                                         \
        jt->member = value;                                                                            \
        job_refused(jt, part);                                                                         \
    } while (0)

#define RESERVATION(member, value, part)                                                               \
    do {                                                                                               \
        drmaa2_rtemplate rt = drmaa2_rtemplate_create();                                               \
        rt->startTime = time(NULL) + 100000;                                                           \
        rt->endTime = rt->startTime + 60;                                                              \
        rt->member = value;                                                                            \
        reservation_refused(rt, part);                                                                 \
    } while (0)

#define FILTER(member, value)                                                                          \
    do {                                                                                               \
        drmaa2_jinfo filter = drmaa2_jinfo_create();                                                   \
        filter->member = value;                                                                        \
        filter_refused(filter, #member);                                                               \
    } while (0)

static void lists_of_the_wrong_type(void)
{
    for (int i = 0; i < KINDS(no_strings); i++) {
        drmaa2_list list = drmaa2_list_create(no_strings[i], NULL);
        CHECK(drmaa2_msession_get_all_machines(ms, list) == NULL);
        failed(DRMAA2_INVALID_ARGUMENT, "list of machines");
        CHECK(drmaa2_msession_get_all_queues(ms, list) == NULL);
        failed(DRMAA2_INVALID_ARGUMENT, "list of queues");
        drmaa2_list_free(&list);
        JOB(args, drmaa2_list_create(no_strings[i], NULL), "args");
        JOB(email, drmaa2_list_create(no_strings[i], NULL), "email");
        JOB(candidateMachines, drmaa2_list_create(no_strings[i], NULL), "candidateMachines");
        RESERVATION(usersACL, drmaa2_list_create(no_strings[i], NULL), "usersACL");
        RESERVATION(candidateMachines, drmaa2_list_create(no_strings[i], NULL), "candidateMachines");
        if (no_strings[i] != DRMAA2_SLOTINFOLIST)
            FILTER(allocatedMachines, drmaa2_list_create(no_strings[i], NULL));
        if (no_strings[i] != DRMAA2_JOBLIST) {
            list = drmaa2_list_create(no_strings[i], NULL);
            CHECK(drmaa2_jsession_wait_any_started(js, list, DRMAA2_INFINITE_TIME) == NULL);
            failed(DRMAA2_INVALID_ARGUMENT, "list");
            CHECK(drmaa2_jsession_wait_any_terminated(js, list, DRMAA2_INFINITE_TIME) == NULL);
            failed(DRMAA2_INVALID_ARGUMENT, "list");
            drmaa2_list_free(&list);
        }
    }
    drmaa2_list list = strings("no job");
    CHECK(drmaa2_jsession_wait_any_started(js, list, DRMAA2_INFINITE_TIME) == NULL);
    failed(DRMAA2_INVALID_ARGUMENT, "list");
    drmaa2_list_free(&list);
}

static void numbers_that_are_no_enumerators(void)
{
    static const int numbers[] = {-2, 12, 77, INT_MAX, INT_MIN};
    for (int i = 0; i < KINDS(numbers); i++) {
        JOB(machineOS, (drmaa2_os)numbers[i], "machineOS");
        JOB(machineArch, (drmaa2_cpu)(numbers[i] == 12 ? 17 : numbers[i]), "machineArch");
        RESERVATION(machineOS, (drmaa2_os)numbers[i], "machineOS");
        RESERVATION(machineArch, (drmaa2_cpu)(numbers[i] == 12 ? 17 : numbers[i]), "machineArch");
        FILTER(jobState, (drmaa2_jstate)numbers[i]);
        CHECK_INT(drmaa2_supports((drmaa2_capability)numbers[i]), i == 1 ? DRMAA2_TRUE : DRMAA2_FALSE);
        CHECK_NULL(drmaa2_list_create((drmaa2_listtype)numbers[i], NULL), DRMAA2_INVALID_ARGUMENT);
    }
}

static void text_that_is_not_utf8(void)
{
    static char bad[] = "bad \xff\xfe";
    drmaa2_j_s job = {bad, NULL, NULL}, of_bad_session = {"1", bad, NULL};
    drmaa2_jarray_s array = {bad, NULL, NULL};
    drmaa2_r_s reservation = {bad, NULL};
    drmaa2_string_list names = strings(bad);

    JOB(jobName, strdup(bad), "jobName");
    JOB(queueName, strdup(bad), "queue");
    JOB(reservationId, strdup(bad), "reservationId");
    JOB(accountingId, strdup(bad), "accountingId");
    JOB(candidateMachines, strings(bad), "candidateMachines");
    JOB(resourceLimits, entry(bad, "1"), "resourceLimits");
    JOB(resourceLimits, entry(DRMAA2_CPU_TIME, bad), "CPU_TIME");
    drmaa2_jtemplate jt = drmaa2_jtemplate_create();
    jt->remoteCommand = strdup("true");
    jt->jobCategory = strdup(bad);
    job_refused(jt, "jobCategory");
    RESERVATION(reservationName, strdup(bad), "reservationName");
    RESERVATION(jobCategory, strdup(bad), "jobCategory");
    RESERVATION(usersACL, strings(bad), "usersACL");
    RESERVATION(candidateMachines, strings(bad), "candidateMachines");
    FILTER(jobId, strdup(bad));
    FILTER(jobName, strdup(bad));
    FILTER(terminatingSignal, strdup(bad));
    FILTER(jobSubState, strdup(bad));
    FILTER(submissionMachine, strdup(bad));
    FILTER(jobOwner, strdup(bad));
    FILTER(queueName, strdup(bad));
    FILTER(allocatedMachines, strings(bad));

#define NAMED(call, code, part)                                                                        \
    CHECK(!(call));                                                                                    \
    failed(code, part)
    NAMED(drmaa2_create_jsession(bad, NULL), DRMAA2_INVALID_ARGUMENT, "session name");
    NAMED(drmaa2_create_jsession(NULL, bad), DRMAA2_INVALID_ARGUMENT, "contact");
    NAMED(drmaa2_create_rsession(bad, NULL), DRMAA2_INVALID_ARGUMENT, "session name");
    NAMED(drmaa2_create_rsession(NULL, bad), DRMAA2_INVALID_ARGUMENT, "contact");
    NAMED(drmaa2_open_jsession(bad), DRMAA2_INVALID_ARGUMENT, "session name");
    NAMED(drmaa2_open_rsession(bad), DRMAA2_INVALID_ARGUMENT, "session name");
    NAMED(drmaa2_destroy_jsession(bad) == DRMAA2_SUCCESS, DRMAA2_INVALID_ARGUMENT, "session name");
    NAMED(drmaa2_destroy_rsession(bad) == DRMAA2_SUCCESS, DRMAA2_INVALID_ARGUMENT, "session name");
    NAMED(drmaa2_jsession_get_job_array(js, bad), DRMAA2_INVALID_ARGUMENT, "job array");
    if (rs != NULL) {
        NAMED(drmaa2_rsession_get_reservation(rs, bad), DRMAA2_INVALID_ARGUMENT, "reservation");
    }
    NAMED(drmaa2_msession_get_all_machines(ms, names), DRMAA2_INVALID_ARGUMENT, "list of machines");
    NAMED(drmaa2_msession_get_all_queues(ms, names), DRMAA2_INVALID_ARGUMENT, "list of queues");
    NAMED(drmaa2_j_get_info(&job), DRMAA2_INVALID_ARGUMENT, "id of the job");
    NAMED(drmaa2_j_get_info(&of_bad_session), DRMAA2_INVALID_ARGUMENT, "session of the job");
    NAMED(drmaa2_jarray_get_jobs(&array), DRMAA2_INVALID_ARGUMENT, "id of the job array");
    NAMED(drmaa2_r_get_info(&reservation), DRMAA2_INVALID_ARGUMENT, "id of the reservation");
    NAMED(drmaa2_describe_attribute(NULL, bad), DRMAA2_INVALID_ARGUMENT, "attribute name");
    drmaa2_list_free(&names);
}

static void numbers_and_times_without_measure(void)
{
    static const long long huge[] = {LLONG_MAX, LLONG_MAX / 1000 + 1, LLONG_MAX / 1000};
    drmaa2_jtemplate jt = command("true");
    for (int i = 0; i < KINDS(huge); i++) {
        JOB(minSlots, huge[i], "minSlots");
        JOB(minSlots, -huge[i], "minSlots");
        JOB(maxSlots, -huge[i], "maxSlots");
        JOB(minPhysMemory, huge[i], "minPhysMemory");
        JOB(minPhysMemory, -huge[i], "minPhysMemory");
        JOB(startTime, -huge[i], "startTime");
        JOB(deadlineTime, -huge[i], "deadlineTime");
        RESERVATION(minSlots, huge[i], "minSlots");
        if (!on_slurm()) /* which reserves no memory */
            RESERVATION(minPhysMemory, huge[i], "minPhysMemory");
        RESERVATION(startTime, -huge[i], "startTime");
        RESERVATION(endTime, -huge[i], "endTime");
        RESERVATION(duration, huge[i], "duration");
        CHECK_NULL(drmaa2_jsession_run_bulk_jobs(js, jt, 1, huge[i], 1, 0), DRMAA2_INVALID_ARGUMENT);
        CHECK_NULL(drmaa2_jsession_run_bulk_jobs(js, jt, -huge[i], huge[i], 1, 0),
                   DRMAA2_INVALID_ARGUMENT);
        CHECK_NULL(drmaa2_jsession_run_bulk_jobs(js, jt, 1, 2, -huge[i], 0), DRMAA2_INVALID_ARGUMENT);
    }
    for (int i = 0; i < 2; i++) {
        JOB(startTime, huge[i], "startTime");
        JOB(deadlineTime, huge[i], "deadlineTime");
        JOB(resourceLimits, entry(DRMAA2_WALLCLOCK_TIME, "9223372036854775807"), "WALLCLOCK_TIME");
        JOB(resourceLimits, entry(DRMAA2_FILE_SIZE, "99999999999999999999"), "FILE_SIZE");
        RESERVATION(endTime, huge[i], "endTime");
        drmaa2_rtemplate rt = drmaa2_rtemplate_create();
        rt->startTime = huge[i];
        rt->duration = huge[i];
        reservation_refused(rt, "startTime");
        rt = drmaa2_rtemplate_create();
        rt->startTime = time(NULL) + 1000;
        rt->duration = huge[i];
        reservation_refused(rt, "duration");
        rt = drmaa2_rtemplate_create();
        rt->duration = huge[i];
        reservation_refused(rt, "duration");
    }
    drmaa2_jtemplate_free(&jt);

    /* A filter may ask for as much as it likes: nothing is so long. */
    drmaa2_jinfo filter = drmaa2_jinfo_create();
    filter->wallclockTime = filter->submissionTime = filter->finishTime = LLONG_MAX;
    filter->cpuTime = filter->slots = LLONG_MAX;
    drmaa2_j_list jobs = drmaa2_jsession_get_jobs(js, filter);
    CHECK_INT(drmaa2_list_size(jobs), 0);
    drmaa2_list_free(&jobs);
    drmaa2_jinfo_free(&filter);
}

/* Uses that are out of the ordinary, and work. */
static void much_that_makes_sense(void)
{
    drmaa2_jtemplate jt = command("true");
    drmaa2_jinfo ji;
    drmaa2_j j;
    if (!is_guest())
        jt->priority = LLONG_MAX;
    if (drmaa2_supports(DRMAA2_JT_MAXSLOTS))
        jt->maxSlots = LLONG_MAX;
    jt->submitAsHold = (drmaa2_bool)2;
    j = submit(js, jt);
    CHECK_INT(drmaa2_j_get_state(j, NULL), DRMAA2_QUEUED_HELD);
    CHECK_OK(drmaa2_j_release(j));
    CHECK_OK(drmaa2_j_wait_terminated(j, LLONG_MAX));
    ji = finish(j);
    CHECK_INT(ji->jobState, DRMAA2_DONE);
    drmaa2_jinfo_free(&ji);
    CHECK_OK(drmaa2_j_reap(j));
    drmaa2_j_free(&j);
}

static void empty_strings(void)
{
    static char empty[] = "";
    drmaa2_j_s job = {empty, empty, NULL};
    NAMED(drmaa2_create_jsession("", NULL), DRMAA2_INVALID_ARGUMENT, "is empty");
    NAMED(drmaa2_create_rsession("", NULL), DRMAA2_INVALID_ARGUMENT, "is empty");
    NAMED(drmaa2_open_jsession(""), DRMAA2_INVALID_ARGUMENT, "is empty");
    NAMED(drmaa2_destroy_jsession("") == DRMAA2_SUCCESS, DRMAA2_INVALID_ARGUMENT, "session");
    NAMED(drmaa2_jsession_get_job_array(js, empty), DRMAA2_INVALID_ARGUMENT, "job array");
    if (rs != NULL) {
        NAMED(drmaa2_rsession_get_reservation(rs, empty), DRMAA2_INVALID_ARGUMENT, "reservation");
    }
    NAMED(drmaa2_j_get_info(&job), DRMAA2_INVALID_ARGUMENT, "job");
    NAMED(drmaa2_describe_attribute(NULL, ""), DRMAA2_INVALID_ARGUMENT, "attribute");
    JOB(jobEnvironment, entry("", "value"), "jobEnvironment");
    JOB(resourceLimits, entry("", "1"), "resourceLimits");
    JOB(resourceLimits, entry(DRMAA2_CPU_TIME, ""), "CPU_TIME");
}

/* The library knows which attributes a struct has that it has made. */
static void attributes_of_another_struct(void)
{
    drmaa2_jtemplate jt = drmaa2_jtemplate_create(), own = calloc(1, sizeof *own);
    drmaa2_jinfo ji = drmaa2_jinfo_create();
    drmaa2_rtemplate rt = drmaa2_rtemplate_create();
    drmaa2_version version = drmaa2_get_drmaa_version();
    drmaa2_string_list lists[] = {drmaa2_jtemplate_impl_spec(), drmaa2_jinfo_impl_spec()};
    void *instances[] = {jt, ji, rt, version, js};
    for (int kind = 0; kind < 2; kind++)
        for (int i = 0; i < KINDS(instances); i++) {
            const char *name = drmaa2_list_get(lists[kind], 0);
            if (i == kind)
                continue;
            NAMED(drmaa2_get_instance_value(instances[i], name), DRMAA2_INVALID_ARGUMENT, name);
            NAMED(drmaa2_set_instance_value(instances[i], name, "value") == DRMAA2_SUCCESS,
                  DRMAA2_INVALID_ARGUMENT, name);
        }
    /* One of the client's is what he says; the place of one that was freed is his, too. */
    const char *name = drmaa2_list_get(lists[0], 0);
    CHECK_OK(drmaa2_set_instance_value(own, name, "value"));
    CHECK_OWN(drmaa2_get_instance_value(own, name), "value");
    drmaa2_jtemplate_free(&own);
    drmaa2_jinfo_free(&ji);
    own = calloc(1, sizeof *own);
    CHECK_OK(drmaa2_set_instance_value(own, name, "value"));
    drmaa2_jtemplate_free(&own);
    drmaa2_jtemplate_free(&jt);
    drmaa2_rtemplate_free(&rt);
    drmaa2_version_free(&version);
    drmaa2_list_free(&lists[0]);
    drmaa2_list_free(&lists[1]);
}

/* A handle of a job array holds its jobs for people to look at; the library does not. */
static void rubbish_where_nothing_is_read(void)
{
    drmaa2_jtemplate jt = command("true");
    drmaa2_jarray ja = drmaa2_jsession_run_bulk_jobs(js, jt, 1, 1, 1, 0);
    drmaa2_jarray_s own = {ja->id, (drmaa2_j_list)1, ja->session_name};
    drmaa2_j_list jobs = drmaa2_jarray_get_jobs(&own);
    CHECK_INT(drmaa2_list_size(jobs), 1);
    CHECK_OK(drmaa2_j_wait_terminated((drmaa2_j)drmaa2_list_get(jobs, 0), LONG));
    CHECK_OK(drmaa2_jarray_reap(&own));
    drmaa2_list_free(&jobs);
    drmaa2_jarray_free(&ja);
    drmaa2_jtemplate_free(&jt);
}

int main(void)
{
    drmaa2_j_list jobs;
    js = session("wrong-use");
    rs = drmaa2_create_rsession("wrong-use", NULL);
    ms = drmaa2_open_msession(NULL);
    CHECK((rs != NULL) == drmaa2_supports(DRMAA2_ADVANCE_RESERVATION) && ms != NULL);
    lists_of_the_wrong_type();
    numbers_that_are_no_enumerators();
    text_that_is_not_utf8();
    numbers_and_times_without_measure();
    empty_strings();
    much_that_makes_sense();
    attributes_of_another_struct();
    rubbish_where_nothing_is_read();
    jobs = drmaa2_jsession_get_jobs(js, NULL);
    CHECK_INT(drmaa2_list_size(jobs), 0);
    drmaa2_list_free(&jobs);
    if (rs != NULL) {
        CHECK_OK(drmaa2_close_rsession(rs));
        CHECK_OK(drmaa2_destroy_rsession("wrong-use"));
        drmaa2_rsession_free(&rs);
    }
    drmaa2_msession_free(&ms);
    done_with(&js);
    return check_result();
}
