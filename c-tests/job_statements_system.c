/* The behaviour that the standard lets a client see, statement by statement: filters, job arrays, the
   machine, reservations and notifications. */
#include "job.h"
#include "statement.h"

#include <pthread.h>

static drmaa2_jsession js;

static long matching(drmaa2_jinfo filter)
{
    drmaa2_j_list jobs = drmaa2_jsession_get_jobs(js, filter);
    long size = drmaa2_list_size(jobs);
    CHECK(jobs != NULL);
    drmaa2_list_free(&jobs);
    return size;
}

static void no_match_is_an_empty_list(void)
{
    drmaa2_jinfo filter = drmaa2_jinfo_create();
    filter->jobName = strdup("no such name");
    CHECK_INT(matching(filter), 0);
    drmaa2_jinfo_free(&filter);
}

static void a_new_info_matches_every_job(void)
{
    drmaa2_jinfo filter = drmaa2_jinfo_create();
    CHECK(matching(NULL) > 0);
    CHECK_INT(matching(filter), matching(NULL));
    drmaa2_jinfo_free(&filter);
}

static void machines_are_a_subset_and_times_are_lower_bounds(void)
{
    drmaa2_j j = submit(js, command("true"));
    drmaa2_jinfo ji = finish(j), filter = drmaa2_jinfo_create();
    drmaa2_slotinfo wanted = calloc(1, sizeof *wanted);
    const drmaa2_slotinfo_s *used = drmaa2_list_get(ji->allocatedMachines, 0);
    CHECK(used != NULL && used->machineName != NULL);
    filter->jobId = strdup(ji->jobId);
    CHECK_INT(matching(filter), 1);
    filter->allocatedMachines =
        drmaa2_list_create(DRMAA2_SLOTINFOLIST, drmaa2_slotinfo_list_default_callback);
    CHECK_INT(matching(filter), 1);
    wanted->machineName = strdup(used->machineName);
    CHECK_OK(drmaa2_list_add(filter->allocatedMachines, wanted));
    CHECK_INT(matching(filter), 1);
    wanted = calloc(1, sizeof *wanted);
    wanted->machineName = strdup("no-such-machine");
    CHECK_OK(drmaa2_list_add(filter->allocatedMachines, wanted));
    CHECK_INT(matching(filter), 0);
    CHECK_OK(drmaa2_list_del(filter->allocatedMachines, 1));

#define IS_LOWER_BOUND(member)                                                                         \
    do {                                                                                               \
        filter->member = ji->member;                                                                   \
        CHECK_INT(matching(filter), 1);                                                                \
        filter->member = ji->member + 1;                                                               \
        CHECK_INT(matching(filter), 0);                                                                \
        filter->member = 0;                                                                            \
    } while (0)
    IS_LOWER_BOUND(wallclockTime);
    IS_LOWER_BOUND(cpuTime);
    IS_LOWER_BOUND(submissionTime);
    IS_LOWER_BOUND(dispatchTime);
    IS_LOWER_BOUND(finishTime);
#undef IS_LOWER_BOUND
    drmaa2_jinfo_free(&filter);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);
}

static drmaa2_jarray bulk(drmaa2_jtemplate jt, long long begin, long long end, long long step)
{
    drmaa2_jarray ja = drmaa2_jsession_run_bulk_jobs(js, jt, begin, end, step, DRMAA2_UNSET_NUM);
    if (ja == NULL)
        give_up("run_bulk_jobs");
    drmaa2_jtemplate_free(&jt);
    return ja;
}

static void all_end(drmaa2_jarray ja)
{
    drmaa2_j_list jobs = drmaa2_jarray_get_jobs(ja);
    for (long i = 0; i < drmaa2_list_size(jobs); i++)
        CHECK_OK(drmaa2_j_wait_terminated((drmaa2_j)drmaa2_list_get(jobs, i), LONG));
    drmaa2_list_free(&jobs);
}

static char dir[] = "/tmp/drmaa2-statements-XXXXXX";

/* The number that the task with this index wrote. */
static int written(int index)
{
    char path[64];
    int number = 0;
    FILE *file;
    snprintf(path, sizeof path, "%s/%d", dir, index);
    file = fopen(path, "r");
    if (file == NULL)
        return 0;
    CHECK_INT(fscanf(file, "%d", &number), 1);
    fclose(file);
    CHECK(remove(path) == 0);
    return number;
}

static void an_array_has_the_indices_that_were_asked_for(void)
{
    char path[64];
    drmaa2_jtemplate jt = shell("eval echo \\$$DRMAA_INDEX_VAR");
    drmaa2_jarray ja;
    drmaa2_j_list jobs;
    snprintf(path, sizeof path, "%s/%s", dir, DRMAA2_INDEX);
    jt->outputPath = strdup(path);
    ja = bulk(jt, 1, 10, 3);
    jobs = drmaa2_jarray_get_jobs(ja);
    CHECK_INT(drmaa2_list_size(jobs), 4);
    drmaa2_list_free(&jobs);
    all_end(ja);
    CHECK_OK(drmaa2_jarray_reap(ja));
    drmaa2_jarray_free(&ja);
}

/* The files are those of the array before: their names are by path, what is in them by variable. */
static void a_task_knows_its_index(void)
{
    for (int index = 1; index <= 10; index++)
        CHECK_INT(written(index), index % 3 == 1 ? index : 0);
}

static void indices_have_to_make_sense(void)
{
    drmaa2_jtemplate jt = command("true");
    CHECK_NULL(drmaa2_jsession_run_bulk_jobs(js, jt, 0, 5, 1, -1), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_jsession_run_bulk_jobs(js, jt, 5, 4, 1, -1), DRMAA2_INVALID_ARGUMENT);
    drmaa2_jtemplate_free(&jt);
}

static void an_unknown_array_is_told(void)
{
    char unknown[] = "no-such-array";
    drmaa2_jarray ja = bulk(command("true"), 1, 1, 1), same;
    drmaa2_string id = drmaa2_jarray_get_id(ja);
    CHECK_NULL(drmaa2_jsession_get_job_array(js, unknown), DRMAA2_INVALID_ARGUMENT);
    same = drmaa2_jsession_get_job_array(js, id);
    CHECK(same != NULL);
    all_end(same);
    drmaa2_jarray_free(&same);
    drmaa2_jarray_free(&ja);
    drmaa2_string_free(&id);
}

static void machines_are_listed_by_name(void)
{
    drmaa2_msession ms = drmaa2_open_msession(NULL);
    drmaa2_machineinfo_list all = drmaa2_msession_get_all_machines(ms, NULL), some;
    drmaa2_string_list names = drmaa2_list_create(DRMAA2_STRINGLIST, drmaa2_string_list_default_callback);
    CHECK(drmaa2_list_size(all) >= 1);
    CHECK_OK(drmaa2_list_add(names, strdup("no-such-machine")));
    some = drmaa2_msession_get_all_machines(ms, names);
    CHECK_INT(drmaa2_list_size(some), 0);
    drmaa2_list_free(&some);
    CHECK_OK(drmaa2_list_add(names, strdup(((const drmaa2_machineinfo_s *)drmaa2_list_get(all, 0))->name)));
    some = drmaa2_msession_get_all_machines(ms, names);
    CHECK_INT(drmaa2_list_size(some), 1);
    drmaa2_list_free(&some);
    drmaa2_list_free(&names);
    drmaa2_list_free(&all);
    CHECK_OK(drmaa2_close_msession(ms));
    drmaa2_msession_free(&ms);
}

static void memory_is_in_kilobytes(void)
{
    drmaa2_msession ms = drmaa2_open_msession("any name");
    drmaa2_machineinfo_list machines = drmaa2_msession_get_all_machines(ms, NULL);
    const drmaa2_machineinfo_s *mi = drmaa2_list_get(machines, 0);
    long long kilobytes = (long long)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE) / 1024;
    /* A node of scripts/cluster has what its configuration says: 8000 MiB. */
    if (on_slurm())
        kilobytes = 8000 * 1024;
    CHECK(mi->physMemory > kilobytes / 10 * 9 && mi->physMemory < kilobytes / 10 * 11);
    CHECK(mi->virtMemory >= mi->physMemory);
    drmaa2_list_free(&machines);
    CHECK_OK(drmaa2_close_msession(ms));
    drmaa2_msession_free(&ms);
}

static void reservations_are_there_if_they_are_supported(void)
{
    drmaa2_bool are_supported = drmaa2_supports(DRMAA2_ADVANCE_RESERVATION);
    drmaa2_rsession rs = drmaa2_create_rsession("statement-48", NULL);
    if (!are_supported) {
        CHECK_NULL(rs, DRMAA2_UNSUPPORTED_OPERATION);
        return;
    }
    CHECK(rs != NULL);
    CHECK_OWN(drmaa2_rsession_get_session_name(rs), "statement-48");
    CHECK_OK(drmaa2_close_rsession(rs));
    CHECK_OK(drmaa2_destroy_rsession("statement-48"));
    drmaa2_rsession_free(&rs);
}

static pthread_mutex_t news = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t arrived = PTHREAD_COND_INITIALIZER;
static const char *awaited;
/* The number of notifications of each state of the job, and of all that came after no more was wanted. */
static int told[DRMAA2_FAILED + 1], too_late, wanted;

static void take(drmaa2_notification *notification)
{
    pthread_mutex_lock(&news);
    too_late += !wanted;
    if (awaited != NULL && strcmp((*notification)->jobId, awaited) == 0 &&
        (*notification)->event == DRMAA2_NEW_STATE) {
        CHECK_STR((*notification)->sessionName, "statements-system");
        told[(*notification)->jobState]++;
        pthread_cond_signal(&arrived);
    }
    pthread_mutex_unlock(&news);
    drmaa2_notification_free(notification);
}

static void changes_are_told_to_the_callback(void)
{
    drmaa2_string id;
    drmaa2_jtemplate jt = command("true");
    drmaa2_j j;
    if (!drmaa2_supports(DRMAA2_CALLBACK)) {
        CHECK_ERROR(drmaa2_register_event_notification(take), DRMAA2_UNSUPPORTED_OPERATION);
        CHECK_ERROR(drmaa2_register_event_notification(NULL), DRMAA2_UNSUPPORTED_OPERATION);
        drmaa2_jtemplate_free(&jt);
        return;
    }
    wanted = 1;
    CHECK_OK(drmaa2_register_event_notification(take));
    jt->submitAsHold = DRMAA2_TRUE;
    j = submit(js, jt);
    id = drmaa2_j_get_id(j);
    pthread_mutex_lock(&news);
    awaited = id;
    pthread_mutex_unlock(&news);
    CHECK_OK(drmaa2_j_release(j));
    pthread_mutex_lock(&news);
    while (told[DRMAA2_DONE] == 0)
        pthread_cond_wait(&arrived, &news);
    for (int state = 0; state <= DRMAA2_FAILED; state++)
        CHECK(told[state] <= 1);
    CHECK_INT(told[DRMAA2_RUNNING], 1);
    CHECK_INT(told[DRMAA2_FAILED], 0);
    pthread_mutex_unlock(&news);
    drmaa2_j_free(&j);

    CHECK_OK(drmaa2_register_event_notification(NULL));
    pthread_mutex_lock(&news);
    awaited = NULL;
    wanted = 0;
    pthread_mutex_unlock(&news);
    j = submit(js, command("true"));
    CHECK_OK(drmaa2_j_wait_terminated(j, LONG));
    drmaa2_j_free(&j);
    pthread_mutex_lock(&news);
    CHECK_INT(too_late, 0);
    pthread_mutex_unlock(&news);
    drmaa2_string_free(&id);
}

int main(void)
{
    drmaa2_j j;
    CHECK(mkdtemp(dir) != NULL);
    js = session("statements-system");
    j = submit(js, command("true"));
    CHECK_OK(drmaa2_j_wait_terminated(j, LONG));
    drmaa2_j_free(&j);
    STATEMENT(35, no_match_is_an_empty_list);
    STATEMENT(36, a_new_info_matches_every_job);
    STATEMENT(37, machines_are_a_subset_and_times_are_lower_bounds);
    STATEMENT(38, an_array_has_the_indices_that_were_asked_for);
    STATEMENT(39, indices_have_to_make_sense);
    STATEMENT(40, a_task_knows_its_index);
    STATEMENT(41, an_unknown_array_is_told);
    STATEMENT(44, machines_are_listed_by_name);
    STATEMENT(45, memory_is_in_kilobytes);
    STATEMENT(48, reservations_are_there_if_they_are_supported);
    STATEMENT(49, changes_are_told_to_the_callback);
    CHECK(rmdir(dir) == 0);
    done_with(&js);
    return check_result();
}
