/* The answers of drmaa2_supports are true: each capability has a probe that tries it on real jobs and
   reservations. */
#include "job.h"

#include <pthread.h>
#include <sys/stat.h>
#include <time.h>

#define SLOTS "4"

static char dir[] = "/var/tmp/drmaa2-supports.XXXXXX";
static drmaa2_jsession js;
static drmaa2_rsession rs;

static char *in_dir(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void put(const char *name, const char *text)
{
    FILE *file = fopen(in_dir(name), "w");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

/* Does the file begin with this text? Waits for a writer if it is a pipe. It is removed. */
static int begins_with(const char *name, const char *expected)
{
    char text[64] = "";
    FILE *file = fopen(in_dir(name), "r");
    if (file == NULL)
        return 0;
    text[fread(text, 1, strlen(expected), file)] = '\0';
    /* To the end, or who writes would be ended by a signal. */
    while (fgetc(file) != EOF)
        ;
    fclose(file);
    CHECK(remove(in_dir(name)) == 0);
    return strcmp(text, expected) == 0;
}

/* Submit it and give the account of its end; NULL if it is refused. */
static drmaa2_jinfo account(drmaa2_jtemplate jt)
{
    drmaa2_j j = drmaa2_jsession_run_job(js, jt);
    drmaa2_jinfo ji = j == NULL ? NULL : finish(j);
    drmaa2_j_free(&j);
    drmaa2_jtemplate_free(&jt);
    return ji;
}

static drmaa2_rtemplate window(time_t start, time_t end, time_t duration)
{
    drmaa2_rtemplate rt = drmaa2_rtemplate_create();
    rt->startTime = start;
    rt->endTime = end;
    rt->duration = duration;
    return rt;
}

/* Ask for a reservation and give its info; NULL if it is refused. It is given up again. */
static drmaa2_rinfo reserved(drmaa2_rtemplate rt)
{
    drmaa2_rinfo ri = NULL;
    drmaa2_r r = drmaa2_rsession_request_reservation(rs, rt);
    if (r != NULL) {
        ri = drmaa2_r_get_info(r);
        CHECK_OK(drmaa2_r_terminate(r));
        drmaa2_r_free(&r);
    }
    drmaa2_rtemplate_free(&rt);
    return ri;
}

static int is_reserved(drmaa2_rtemplate rt)
{
    drmaa2_rinfo ri = reserved(rt);
    int is = ri != NULL;
    drmaa2_rinfo_free(&ri);
    return is;
}

static time_t later(void)
{
    return time(NULL) + 100000;
}

static int advance_reservation(void)
{
    time_t start = later();
    drmaa2_rinfo ri = reserved(window(start, start + 60, DRMAA2_UNSET_TIME));
    int works = ri != NULL && ri->reservedStartTime == start && ri->reservedEndTime == start + 60;
    drmaa2_rinfo_free(&ri);
    return works;
}

static int reserve_slots(void)
{
    time_t start = later();
    drmaa2_rtemplate rt = window(start, start + 60, DRMAA2_UNSET_TIME);
    drmaa2_rinfo ri;
    int works;
    rt->minSlots = 2;
    ri = reserved(rt);
    works = ri != NULL && ri->reservedSlots == 2;
    drmaa2_rinfo_free(&ri);
    return works;
}

static pthread_mutex_t news = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t arrived = PTHREAD_COND_INITIALIZER;
static int notified;

static void take(drmaa2_notification *notification)
{
    pthread_mutex_lock(&news);
    notified = 1;
    pthread_cond_signal(&arrived);
    pthread_mutex_unlock(&news);
    drmaa2_notification_free(notification);
}

static int callback(void)
{
    drmaa2_jinfo ji;
    if (drmaa2_register_event_notification(take) != DRMAA2_SUCCESS)
        return 0;
    ji = account(command("true"));
    drmaa2_jinfo_free(&ji);
    pthread_mutex_lock(&news);
    while (!notified)
        pthread_cond_wait(&arrived, &news);
    pthread_mutex_unlock(&news);
    CHECK_OK(drmaa2_register_event_notification(NULL));
    return notified;
}

static int bulk_jobs_maxparallel(void)
{
    drmaa2_jtemplate jt = sleeper();
    drmaa2_jarray ja = drmaa2_jsession_run_bulk_jobs(js, jt, 1, 3, 1, 1);
    drmaa2_j_list jobs = drmaa2_jarray_get_jobs(ja);
    drmaa2_j first = drmaa2_jsession_wait_any_started(js, jobs, LONG);
    int started = 0;
    /* A job that was submitted later is through: what may start has started. */
    drmaa2_jinfo ji = account(command("true"));
    drmaa2_jinfo_free(&ji);
    for (long i = 0; i < drmaa2_list_size(jobs); i++)
        started += drmaa2_j_get_state((drmaa2_j)drmaa2_list_get(jobs, i), NULL) == DRMAA2_RUNNING;
    CHECK_OK(drmaa2_jarray_terminate(ja));
    for (long i = 0; i < drmaa2_list_size(jobs); i++)
        CHECK_OK(drmaa2_j_wait_terminated((drmaa2_j)drmaa2_list_get(jobs, i), LONG));
    drmaa2_j_free(&first);
    drmaa2_list_free(&jobs);
    drmaa2_jarray_free(&ja);
    drmaa2_jtemplate_free(&jt);
    return started == 1;
}

static int jt_email(void)
{
    drmaa2_jtemplate jt = command("true");
    drmaa2_jinfo ji;
    int sent;
    jt->email = drmaa2_list_create(DRMAA2_STRINGLIST, NULL);
    CHECK_OK(drmaa2_list_add(jt->email, "user@example.org"));
    jt->emailOnTerminated = DRMAA2_TRUE;
    ji = account(jt);
    if (ji == NULL) {
        CHECK_INT(drmaa2_lasterror(), DRMAA2_UNSUPPORTED_ATTRIBUTE);
        return 0;
    }
    sent = begins_with("mail", "To: user@example.org\n");
    drmaa2_jinfo_free(&ji);
    return sent;
}

static int jt_staging(void)
{
    drmaa2_jtemplate jt = shell("cp /in /out");
    drmaa2_jinfo ji;
    int works;
    put("in", "staged");
    jt->stageInFiles = drmaa2_dict_create(drmaa2_dict_default_callback);
    jt->stageOutFiles = drmaa2_dict_create(drmaa2_dict_default_callback);
    CHECK_OK(drmaa2_dict_set(jt->stageInFiles, strdup(in_dir("in")), strdup("/in")));
    CHECK_OK(drmaa2_dict_set(jt->stageOutFiles, strdup("/out"), strdup(in_dir("out"))));
    ji = account(jt);
    works = ji != NULL && ji->jobState == DRMAA2_DONE && begins_with("out", "staged");
    CHECK(remove(in_dir("in")) == 0);
    drmaa2_jinfo_free(&ji);
    return works;
}

static int jt_deadline(void)
{
    drmaa2_jtemplate jt = sleeper();
    time_t deadline = time(NULL) + 2;
    drmaa2_jinfo ji;
    int works;
    jt->deadlineTime = deadline;
    ji = account(jt);
    works = ji != NULL && ji->jobState == DRMAA2_FAILED && ji->finishTime >= deadline;
    drmaa2_jinfo_free(&ji);
    return works;
}

static int jt_maxslots(void)
{
    drmaa2_jtemplate jt = command("true");
    drmaa2_jinfo ji;
    int works;
    jt->minSlots = 1;
    jt->maxSlots = 3;
    ji = account(jt);
    works = ji != NULL && ji->slots == 3;
    drmaa2_jinfo_free(&ji);
    return works;
}

static int jt_accountingid(void)
{
    drmaa2_jtemplate jt = command("true"), copy;
    drmaa2_j j;
    int works;
    jt->accountingId = strdup("project");
    j = drmaa2_jsession_run_job(js, jt);
    drmaa2_jtemplate_free(&jt);
    if (j == NULL)
        return 0;
    CHECK_OK(drmaa2_j_wait_terminated(j, LONG));
    copy = drmaa2_j_get_jtemplate(j);
    works = copy->accountingId != NULL && strcmp(copy->accountingId, "project") == 0;
    drmaa2_jtemplate_free(&copy);
    drmaa2_j_free(&j);
    return works;
}

static int rt_startnow(void)
{
    time_t before = time(NULL);
    drmaa2_rinfo ri = reserved(window(DRMAA2_NOW, before + 100000, DRMAA2_UNSET_TIME));
    int works = ri != NULL && ri->reservedStartTime >= before && ri->reservedStartTime <= time(NULL);
    drmaa2_rinfo_free(&ri);
    return works;
}

static int rt_duration(void)
{
    time_t start = later();
    drmaa2_rinfo ri = reserved(window(start, DRMAA2_UNSET_TIME, 60));
    int works = ri != NULL && ri->reservedEndTime == start + 60;
    drmaa2_rinfo_free(&ri);
    return works;
}

/* Does it take what the machine has, and refuse what it has not? */
static int asks_for(drmaa2_os os, drmaa2_cpu cpu, drmaa2_os other_os, drmaa2_cpu other_cpu)
{
    time_t start = later();
    drmaa2_rtemplate rt = window(start, start + 60, DRMAA2_UNSET_TIME);
    int takes, refuses;
    rt->machineOS = os;
    rt->machineArch = cpu;
    takes = is_reserved(rt);
    rt = window(start, start + 60, DRMAA2_UNSET_TIME);
    rt->machineOS = other_os;
    rt->machineArch = other_cpu;
    refuses = !is_reserved(rt);
    return takes && refuses;
}

static drmaa2_machineinfo_s machine(void)
{
    drmaa2_msession ms = drmaa2_open_msession(NULL);
    drmaa2_machineinfo_list machines = drmaa2_msession_get_all_machines(ms, NULL);
    drmaa2_machineinfo_s copy = *(const drmaa2_machineinfo_s *)drmaa2_list_get(machines, 0);
    drmaa2_list_free(&machines);
    drmaa2_msession_free(&ms);
    return copy;
}

static int rt_machineos(void)
{
    return asks_for(machine().machineOS, DRMAA2_UNSET_CPU, DRMAA2_WINNT, DRMAA2_UNSET_CPU);
}

static int rt_machinearch(void)
{
    return asks_for(DRMAA2_UNSET_OS, machine().machineArch, DRMAA2_UNSET_OS, DRMAA2_ALPHA);
}

static const struct {
    drmaa2_capability capability;
    const char *name;
    int (*works)(void);
} table[] = {
    {DRMAA2_ADVANCE_RESERVATION, "ADVANCE_RESERVATION", advance_reservation},
    {DRMAA2_RESERVE_SLOTS, "RESERVE_SLOTS", reserve_slots},
    {DRMAA2_CALLBACK, "CALLBACK", callback},
    {DRMAA2_BULK_JOBS_MAXPARALLEL, "BULK_JOBS_MAXPARALLEL", bulk_jobs_maxparallel},
    {DRMAA2_JT_EMAIL, "JT_EMAIL", jt_email},
    {DRMAA2_JT_STAGING, "JT_STAGING", jt_staging},
    {DRMAA2_JT_DEADLINE, "JT_DEADLINE", jt_deadline},
    {DRMAA2_JT_MAXSLOTS, "JT_MAXSLOTS", jt_maxslots},
    {DRMAA2_JT_ACCOUNTINGID, "JT_ACCOUNTINGID", jt_accountingid},
    {DRMAA2_RT_STARTNOW, "RT_STARTNOW", rt_startnow},
    {DRMAA2_RT_DURATION, "RT_DURATION", rt_duration},
    {DRMAA2_RT_MACHINEOS, "RT_MACHINEOS", rt_machineos},
    {DRMAA2_RT_MACHINEARCH, "RT_MACHINEARCH", rt_machinearch},
};

#define ROWS ((int)(sizeof table / sizeof *table))

static void compare(const drmaa2_capability only)
{
    /* Slurm has slots enough. */
    const char *contact = on_slurm() ? NULL : "containerd://?slots=" SLOTS;
    js = drmaa2_create_jsession(NULL, contact);
    rs = drmaa2_create_rsession(NULL, contact);
    if (js == NULL || (rs == NULL && drmaa2_lasterror() != DRMAA2_UNSUPPORTED_OPERATION))
        give_up("create sessions");
    for (int row = 0; row < ROWS; row++) {
        if (only != DRMAA2_UNSET_CAPABILITY && only != table[row].capability)
            continue;
        int says = drmaa2_supports(table[row].capability) == DRMAA2_TRUE, works = table[row].works();
        printf("%s: %s\n", table[row].name, works ? "works" : "does not work");
        if (says != works)
            check_failed(__FILE__, __LINE__, table[row].name, works ? "TRUE" : "FALSE",
                         says ? "TRUE" : "FALSE");
    }
    if (rs != NULL) {
        drmaa2_string name = drmaa2_rsession_get_session_name(rs);
        CHECK_OK(drmaa2_close_rsession(rs));
        CHECK_OK(drmaa2_destroy_rsession(name));
        drmaa2_string_free(&name);
        drmaa2_rsession_free(&rs);
    }
    done_with(&js);
}

/* A process whose mails go by this program. */
static void with_mail(const char *program)
{
    setenv("DRMAA2_SENDMAIL", program, 1);
    CHECK_INT(drmaa2_supports(DRMAA2_JT_EMAIL), DRMAA2_TRUE);
    compare(DRMAA2_UNSET_CAPABILITY);
}

static void without_mail(const char *nothing)
{
    (void)nothing;
    unsetenv("DRMAA2_SENDMAIL");
    CHECK_INT(drmaa2_supports(DRMAA2_JT_EMAIL), DRMAA2_FALSE);
    compare(DRMAA2_JT_EMAIL);
}

int main(void)
{
    int none[] = {DRMAA2_UNSET_CAPABILITY, -2, ROWS, 99, 1 << 30};
    char script[160];
    CHECK(mkdtemp(dir) != NULL);
    /* Every capability has its row. */
    for (int row = 0; row < ROWS; row++)
        CHECK_INT(table[row].capability, row);
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        CHECK_INT(drmaa2_supports((drmaa2_capability)none[i]), DRMAA2_FALSE);

    CHECK(mkfifo(in_dir("mail"), 0600) == 0);
    snprintf(script, sizeof script, "#!/bin/sh\nexec cat > %s\n", in_dir("mail"));
    put("sendmail", script);
    CHECK(chmod(in_dir("sendmail"), 0755) == 0);
    in_child(with_mail, in_dir("sendmail"));
    in_child(without_mail, NULL);
    CHECK(remove(in_dir("sendmail")) == 0 && rmdir(dir) == 0);
    return check_result();
}
