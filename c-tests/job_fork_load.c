/* fork() at any moment: while other threads of the parent are inside of the library, in a loop, from
   one child into the next. Each child goes on with the library and ends like any process. */
#include "job.h"

#include <pthread.h>
#include <stdatomic.h>

#define THREADS 3
/* Valgrind runs one thread at a time, and so does what it can in the same time. */
#define FORKS (RUNNING_ON_VALGRIND ? 6 : 24)

static drmaa2_jsession js;
static drmaa2_j running;
static atomic_int over;

/* Calls of every kind: store, runtime, waits, session handles, and none of these. */
static void *work(void *nothing)
{
    while (!over) {
        drmaa2_j_list jobs = drmaa2_jsession_get_jobs(js, NULL);
        drmaa2_jsession own = drmaa2_create_jsession(NULL, NULL);
        drmaa2_string name = drmaa2_jsession_get_session_name(own);
        drmaa2_jinfo ji = drmaa2_j_get_info(running);
        CHECK(drmaa2_list_size(jobs) >= 1 && ji != NULL);
        drmaa2_j_wait_terminated(running, DRMAA2_ZERO_TIME);
        CHECK_INT(drmaa2_j_hold(running), DRMAA2_INVALID_STATE);
        CHECK_INT(drmaa2_destroy_jsession(name), DRMAA2_SUCCESS);
        drmaa2_jinfo_free(&ji);
        drmaa2_jsession_free(&own);
        drmaa2_string_free(&name);
        drmaa2_list_free(&jobs);
    }
    return nothing;
}

static void *wait_for_the_end(void *nothing)
{
    CHECK_INT(drmaa2_j_wait_terminated(running, DRMAA2_INFINITE_TIME), DRMAA2_SUCCESS);
    return nothing;
}

/* Threads of the child's own, which fight for the child's own locks. */
static void use_from_threads(void)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, wait_for_the_end, NULL), 0);
    drmaa2_j_list jobs = drmaa2_jsession_get_jobs(js, NULL);
    CHECK(drmaa2_list_size(jobs) >= 1);
    drmaa2_list_free(&jobs);
    CHECK_INT(drmaa2_j_terminate(running), DRMAA2_SUCCESS);
    for (int i = 0; i < THREADS; i++)
        CHECK_INT(pthread_join(threads[i], NULL), 0);
}

/* End a child like any process; under valgrind as its leaks allow. */
static void leave(void)
{
    if (RUNNING_ON_VALGRIND)
        leave_child();
    exit(check_result());
}

static void child(int generation)
{
    drmaa2_j own;
    /* A hang is the end of it, and is seen. */
    alarm(LONG);
    CHECK_INT(drmaa2_j_get_state(running, NULL), DRMAA2_RUNNING);
    own = submit(js, command("true"));
    running = submit(js, sleeper());
    use_from_threads();
    CHECK_INT(drmaa2_j_wait_terminated(own, LONG), DRMAA2_SUCCESS);
    drmaa2_j_free(&own);
    if (generation > 0) {
        /* The next generation: the library has been used in this process by now. */
        int status = 0;
        pid_t pid;
        drmaa2_j_free(&running);
        running = run(js, sleeper());
        pid = fork();
        if (pid == 0) {
            child(generation - 1);
            leave();
        }
        CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
        CHECK_INT(status, 0);
        CHECK_INT(drmaa2_j_terminate(running), DRMAA2_SUCCESS);
        CHECK_INT(drmaa2_j_wait_terminated(running, LONG), DRMAA2_SUCCESS);
    }
    drmaa2_j_free(&running);
}

static void look(void)
{
    drmaa2_j_list jobs;
    alarm(LONG);
    jobs = drmaa2_jsession_get_jobs(js, NULL);
    CHECK(drmaa2_list_size(jobs) >= 1);
    drmaa2_list_free(&jobs);
    CHECK_INT(drmaa2_j_wait_terminated(running, DRMAA2_ZERO_TIME), DRMAA2_TIMEOUT);
}

int main(void)
{
    pthread_t threads[THREADS], waiter;
    drmaa2_j_list jobs;
    js = session(NULL);
    running = run(js, sleeper());
    CHECK_INT(pthread_create(&waiter, NULL, wait_for_the_end, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, work, NULL), 0);
    for (int i = 0; i < FORKS; i++) {
        int status = 0;
        pid_t pid = fork();
        if (pid == 0) {
            if (i == 0)
                child(1);
            else if (i % 4 == 1)
                execl("/bin/true", "true", (char *)NULL);
            else
                look();
            leave();
        }
        CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
        CHECK_INT(status, 0);
    }
    over = 1;
    for (int i = 0; i < THREADS; i++)
        CHECK_INT(pthread_join(threads[i], NULL), 0);
    CHECK_INT(drmaa2_j_terminate(running), DRMAA2_SUCCESS);
    CHECK_INT(pthread_join(waiter, NULL), 0);
    jobs = drmaa2_jsession_get_jobs(js, NULL);
    /* One here; of the child two of its own and one for the next; of that one two. */
    CHECK_INT(drmaa2_list_size(jobs), 6);
    drmaa2_list_free(&jobs);
    drmaa2_j_free(&running);
    done_with(&js);
    return check_result();
}
