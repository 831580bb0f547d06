/* Notifications: every state of every job is told, once and in order, whoever brings it about; and the
   callback may use the library. */
#include "job.h"

#include <pthread.h>
#include <time.h>

enum { ARRAY = 100, PLAIN = 60, HELD = 25, PAUSED = 15, JOBS = ARRAY + PLAIN + HELD + PAUSED };

/* The notifications of a job: a letter for each state. */
struct record {
    char id[64];
    char name[16];
    char states[16];
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t news = PTHREAD_COND_INITIALIZER;
static struct record records[2 * JOBS];
static int jobs, ended, once_calls;
static const char session_name[] = "notify";
static drmaa2_jsession js;

static struct record *record(const char *id)
{
    int i;
    for (i = 0; i < jobs; i++)
        if (strcmp(records[i].id, id) == 0)
            return &records[i];
    return NULL;
}

static void told(drmaa2_notification *notification)
{
    static const char letters[] = "?qhrsQHdf";
    drmaa2_notification n = *notification;
    drmaa2_j_s j = {n->jobId, n->sessionName, NULL};
    /* The job is there, though the call that submits it may not have returned. */
    drmaa2_jinfo ji = drmaa2_j_get_info(&j);
    struct record *r;
    char *end, last;
    int stopped_before;
    CHECK_INT(n->event, DRMAA2_NEW_STATE);
    CHECK_STR(n->sessionName, session_name);
    CHECK(n->implementationSpecific == NULL);
    CHECK(ji != NULL);

    pthread_mutex_lock(&mutex);
    r = record(n->jobId);
    if (r == NULL) {
        r = &records[jobs++];
        memset(r, 0, sizeof *r);
        snprintf(r->id, sizeof r->id, "%s", n->jobId);
        snprintf(r->name, sizeof r->name, "%s", ji->jobName);
    }
    stopped_before = strchr(r->states, 's') != NULL;
    last = letters[n->jobState];
    end = r->states + strlen(r->states);
    CHECK(end + 1 < r->states + sizeof r->states);
    end[0] = last;
    ended += last == 'd' || last == 'f';
    pthread_cond_broadcast(&news);
    pthread_mutex_unlock(&mutex);

    if (strcmp(ji->jobName, "held") == 0 && last == 'h')
        CHECK_OK(drmaa2_j_release(&j));
    if (strcmp(ji->jobName, "paused") == 0) {
        if (last == 'r' && stopped_before)
            CHECK_OK(drmaa2_j_terminate(&j));
        else if (last == 'r')
            CHECK_OK(drmaa2_j_suspend(&j));
        else if (last == 's')
            CHECK_OK(drmaa2_j_resume(&j));
    }
    drmaa2_jinfo_free(&ji);
    drmaa2_notification_free(notification);
    CHECK(*notification == NULL);
}

/* Wait until another callback has run. The mutex is held. */
static void wait_for_news(void)
{
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += LONG;
    if (pthread_cond_timedwait(&news, &mutex, &limit) != 0)
        give_up("nothing is told any more");
}

/* Of this job exactly these states are told. */
static void expect(const char *id, const char *states)
{
    struct record *r;
    pthread_mutex_lock(&mutex);
    while ((r = record(id)) == NULL || strpbrk(r->states, "df") == NULL)
        wait_for_news();
    CHECK_STR(r->states, states);
    pthread_mutex_unlock(&mutex);
}

static drmaa2_jtemplate named(drmaa2_jtemplate jt, const char *name)
{
    jt->jobName = strdup(name);
    return jt;
}

/* A job that is told of from its beginning to its end. */
static void all_is_told(void)
{
    drmaa2_j j = submit(js, named(shell("exit 0"), "plain"));
    expect(j->id, "qrd");
    drmaa2_j_free(&j);
}

static void many(void)
{
    static const struct { const char *name, *states; int jobs; } kinds[] = {
        {"array", "qrf", ARRAY}, {"plain", "qrd", PLAIN}, {"held", "hqrd", HELD}, {"paused", "qrsrf", PAUSED}};
    drmaa2_jtemplate jt = named(shell("exit 3"), "array");
    drmaa2_jarray ja = drmaa2_jsession_run_bulk_jobs(js, jt, 1, ARRAY, 1, DRMAA2_UNSET_NUM);
    drmaa2_j j;
    int i, kind;
    if (ja == NULL)
        give_up("run_bulk_jobs");
    drmaa2_jarray_free(&ja);
    drmaa2_jtemplate_free(&jt);
    for (i = 0; i < PLAIN + HELD + PAUSED; i++) {
        jt = i < PLAIN ? named(shell("exit 0"), "plain")
             : i < PLAIN + HELD ? named(shell("exit 0"), "held") : named(sleeper(), "paused");
        jt->submitAsHold = strcmp(jt->jobName, "held") == 0 ? DRMAA2_TRUE : DRMAA2_FALSE;
        j = submit(js, jt);
        drmaa2_j_free(&j);
    }
    pthread_mutex_lock(&mutex);
    while (ended < JOBS)
        wait_for_news();
    CHECK_INT(jobs, JOBS);
    for (kind = 0; kind < 4; kind++) {
        int found = 0;
        for (i = 0; i < jobs; i++) {
            if (strcmp(records[i].name, kinds[kind].name) != 0)
                continue;
            CHECK_STR(records[i].states, kinds[kind].states);
            found++;
        }
        CHECK_INT(found, kinds[kind].jobs);
    }
    pthread_mutex_unlock(&mutex);
}

/* In another process: control a job of the parent, and listen. */
static void other_process(const char *id)
{
    drmaa2_j_s j = {(char *)id, (char *)session_name, NULL};
    int before = jobs;
    /* The parent's callback may have held it. */
    pthread_mutex_init(&mutex, NULL);
    CHECK_OK(drmaa2_j_suspend(&j));
    CHECK_OK(drmaa2_j_resume(&j));
    CHECK_OK(drmaa2_j_terminate(&j));
    CHECK_OK(drmaa2_j_wait_terminated(&j, LONG));
    /* There is no callback here until there is one. */
    CHECK_INT(jobs, before);
    CHECK_OK(drmaa2_register_event_notification(NULL));
    CHECK_OK(drmaa2_register_event_notification(told));
    all_is_told();
    CHECK_INT(jobs, before + 1);
}

static void what_others_do(void)
{
    int before = jobs;
    drmaa2_j j = run(js, named(sleeper(), "remote"));
    in_child(other_process, j->id);
    expect(j->id, "qrsrf");
    drmaa2_j_free(&j);
    /* The child's own job is one of this session. */
    pthread_mutex_lock(&mutex);
    while (jobs < before + 2)
        wait_for_news();
    pthread_mutex_unlock(&mutex);
    expect(records[before + 1].id, "qrd");
}

static void once(drmaa2_notification *notification)
{
    CHECK_OK(drmaa2_register_event_notification(NULL));
    drmaa2_notification_free(notification);
    pthread_mutex_lock(&mutex);
    once_calls++;
    pthread_cond_broadcast(&news);
    pthread_mutex_unlock(&mutex);
}

static void unregister(void)
{
    drmaa2_j j;
    int before = jobs;
    CHECK_OK(drmaa2_register_event_notification(NULL));
    j = submit(js, shell("exit 0"));
    CHECK_OK(drmaa2_j_wait_terminated(j, LONG));
    drmaa2_j_free(&j);

    CHECK_OK(drmaa2_register_event_notification(once));
    j = submit(js, shell("exit 0"));
    CHECK_OK(drmaa2_j_wait_terminated(j, LONG));
    drmaa2_j_free(&j);
    pthread_mutex_lock(&mutex);
    while (once_calls == 0)
        wait_for_news();
    pthread_mutex_unlock(&mutex);

    /* The next event is the first that is told, and nobody else is told of it. */
    CHECK_OK(drmaa2_register_event_notification(told));
    all_is_told();
    CHECK_INT(jobs, before + 1);
    CHECK_INT(once_calls, 1);
}

/* The address of a variable that holds a function, as one binding passes it, or NULL. */
static void no_function(void)
{
    static drmaa2_callback cell = told, empty;
    drmaa2_callback on_stack = told;
    void *cells[] = {&cell, &empty, &on_stack};
    size_t i;
    for (i = 0; i < sizeof cells / sizeof *cells; i++) {
        drmaa2_callback callback;
        memcpy(&callback, &cells[i], sizeof callback);
        CHECK_INT(drmaa2_register_event_notification(callback), DRMAA2_INVALID_ARGUMENT);
        failed(DRMAA2_INVALID_ARGUMENT, "not the address of code");
    }
    all_is_told();
}

/* Keeps nothing, and leaves a child behind that comes back from the callback. */
static void forking(drmaa2_notification *notification)
{
    int status = -1;
    pid_t pid;
    free((*notification)->jobId);
    free((*notification)->sessionName);
    free(*notification);
    *notification = NULL;
    pid = fork();
    if (pid == 0)
        return;
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    CHECK_INT(status, 0);
    pthread_mutex_lock(&mutex);
    once_calls++;
    pthread_cond_broadcast(&news);
    pthread_mutex_unlock(&mutex);
}

static void fork_inside(void)
{
    drmaa2_j j;
    once_calls = 0;
    CHECK_OK(drmaa2_register_event_notification(forking));
    j = submit(js, shell("exit 0"));
    pthread_mutex_lock(&mutex);
    while (once_calls < 3)
        wait_for_news();
    pthread_mutex_unlock(&mutex);
    drmaa2_j_free(&j);
}

int main(void)
{
    js = session(session_name);
    CHECK_OK(drmaa2_register_event_notification(told));
    many();
    what_others_do();
    unregister();
    no_function();
    /* The child would count as leaked what the other threads of its parent had. */
    if (!RUNNING_ON_VALGRIND)
        fork_inside();
    done_with(&js);
    /* The process ends with a callback registered. */
    return check_result();
}
