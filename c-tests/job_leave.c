/* A process may end in any way, whatever it has open: it neither hangs nor crashes, and its jobs are
   not touched. */
#include "job.h"

#include <fcntl.h>
#include <pthread.h>

#define STATUS 7

static char name[32];
static drmaa2_jsession js;
static drmaa2_j running;
static pthread_barrier_t waiting;

static void *wait_for_ever(void *nothing)
{
    pthread_barrier_wait(&waiting);
    drmaa2_j_wait_terminated(running, DRMAA2_INFINITE_TIME);
    return nothing;
}

/* All that a process may have open: sessions, jobs that run and wait, threads inside of the library. */
static void open_all(void)
{
    drmaa2_jtemplate jt = sleeper();
    pthread_t threads[2];
    js = drmaa2_open_jsession(name);
    CHECK(js != NULL && drmaa2_open_msession(NULL) != NULL);
    running = run(js, sleeper());
    jt->submitAsHold = DRMAA2_TRUE;
    CHECK(submit(js, jt) != NULL);
    CHECK_INT(pthread_barrier_init(&waiting, NULL, 3), 0);
    for (int i = 0; i < 2; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, wait_for_ever, NULL), 0);
    pthread_barrier_wait(&waiting);
    if (check_failures != 0)
        _exit(1);
}

static void by_exit(void)
{
    open_all();
    exit(STATUS);
}

static void by_underscore_exit(void)
{
    open_all();
    _exit(STATUS);
}

static void by_quick_exit(void)
{
    open_all();
    quick_exit(STATUS);
}

static void *leave(void *nothing)
{
    (void)nothing;
    exit(STATUS);
}

/* Another thread ends the process while this one is inside of the library. */
static void by_exit_of_a_thread(void)
{
    pthread_t thread;
    open_all();
    CHECK_INT(pthread_create(&thread, NULL, leave, NULL), 0);
    drmaa2_j_wait_terminated(running, DRMAA2_INFINITE_TIME);
    _exit(1);
}

/* Main is over while other threads go on; the last of them ends the process. */
static void by_the_end_of_its_threads(void)
{
    pthread_t thread;
    open_all();
    CHECK_INT(pthread_create(&thread, NULL, leave, NULL), 0);
    pthread_exit(NULL);
}

/* The thread is past its thread-local storage here, but not past the library. */
static void last_calls(void)
{
    drmaa2_string text;
    drmaa2_j last;
    CHECK_INT(drmaa2_j_get_state(running, NULL), DRMAA2_RUNNING);
    CHECK_NULL(drmaa2_open_jsession("no such session"), DRMAA2_INVALID_ARGUMENT);
    text = drmaa2_lasterror_text();
    CHECK(text != NULL && strstr(text, "no such session") != NULL);
    drmaa2_string_free(&text);
    last = run(js, shell("exit 0"));
    CHECK_OK(drmaa2_j_wait_terminated(last, LONG));
    drmaa2_j_free(&last);
    CHECK_OK(drmaa2_close_jsession(js));
    CHECK_NULL(drmaa2_jsession_get_jobs(js, NULL), DRMAA2_INVALID_SESSION);
    drmaa2_jsession_free(&js);
    if (check_failures != 0)
        _exit(1);
}

static void with_an_exit_handler(void)
{
    open_all();
    CHECK_INT(atexit(last_calls), 0);
    exit(STATUS);
}

/* The exit handler forks, and the child goes on with the library. */
static void fork_at_last(void)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        CHECK_INT(drmaa2_j_get_state(running, NULL), DRMAA2_RUNNING);
        leave_child();
    }
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    CHECK_INT(status, 0);
    if (check_failures != 0)
        _exit(1);
}

static void with_an_exit_handler_that_forks(void)
{
    open_all();
    CHECK_INT(atexit(fork_at_last), 0);
    exit(STATUS);
}

static const char *program;

/* The number of open descriptors; valgrind has its own far above. */
static int descriptors(void)
{
    int open = 0;
    for (int fd = 0; fd < 256; fd++)
        open += fcntl(fd, F_GETFD) != -1;
    return open;
}

/* The program that follows is this one again, and finds open what was open before the library was. */
static void by_exec(void)
{
    char before[16];
    snprintf(before, sizeof before, "%d", descriptors());
    open_all();
    execl(program, program, before, (char *)NULL);
    _exit(1);
}

static const struct {
    void (*leave)(void);
    /* Whether it is worth the time that it takes there. */
    int under_valgrind;
} ways[] = {
    {by_exit, 0},
    {by_underscore_exit, 0},
    {by_quick_exit, 0},
    {by_exit_of_a_thread, 0},
    {by_the_end_of_its_threads, 0},
    {with_an_exit_handler, 1},
    {with_an_exit_handler_that_forks, 1},
    {by_exec, 0},
};

#define WAYS ((int)(sizeof ways / sizeof *ways))

static void make_session(const char *new_name)
{
    js = session(new_name);
    CHECK_OK(drmaa2_close_jsession(js));
    drmaa2_jsession_free(&js);
}

int main(int argc, char **argv)
{
    drmaa2_j_list jobs;
    int left = 0;
    program = argv[0];
    if (argc == 2)
        return descriptors() == atoi(argv[1]) ? STATUS : 1;
    /* Each is a process that has not seen the library before. */
    snprintf(name, sizeof name, "leave-%ld", (long)getpid());
    in_child(make_session, name);
    for (int way = 0; way < WAYS; way++) {
        int status = 0;
        pid_t pid;
        if (RUNNING_ON_VALGRIND && !ways[way].under_valgrind)
            continue;
        left++;
        fflush(NULL);
        pid = fork();
        if (pid == 0) {
            ways[way].leave();
            _exit(1);
        }
        CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != STATUS) {
            fprintf(stderr, "way %d: wait status %x\n", way, status);
            check_failures++;
        }
    }
    js = drmaa2_open_jsession(name);
    jobs = drmaa2_jsession_get_jobs(js, NULL);
    /* Of each process one that runs and one that is held; one ran to its end at exit. */
    CHECK_INT(drmaa2_list_size(jobs), 2 * left + 1);
    for (long i = 0; i < drmaa2_list_size(jobs); i++) {
        drmaa2_j j = (drmaa2_j)drmaa2_list_get(jobs, i);
        drmaa2_jstate state = drmaa2_j_get_state(j, NULL);
        CHECK(state == DRMAA2_RUNNING || state == DRMAA2_QUEUED_HELD || state == DRMAA2_DONE);
        if (state != DRMAA2_DONE)
            CHECK_OK(drmaa2_j_terminate(j));
        CHECK_OK(drmaa2_j_wait_terminated(j, LONG));
    }
    drmaa2_list_free(&jobs);
    done_with(&js);
    return check_result();
}
