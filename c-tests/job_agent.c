/* The agent: it goes on with the jobs of a process that was killed, there is one of it, and it
   leaves when there is nothing to do. */
#include "job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>

static char dir[] = "/var/tmp/drmaa2-agent.XXXXXX";
static char starts[64], lock[64];
static int containers, snapshots;

/* The agent under test; it adds a line to a file first. */
static void make_agent(void)
{
    char path[64];
    FILE *script;
    CHECK(mkdtemp(dir) != NULL);
    snprintf(starts, sizeof starts, "%s/starts", dir);
    snprintf(lock, sizeof lock, "%s/drmaa2d.lock", dir);
    snprintf(path, sizeof path, "%s/agent", dir);
    script = fopen(path, "w");
    CHECK(script != NULL);
    fprintf(script, "#!/bin/sh\necho $$ >>'%s'\nexec '%s' \"$@\"\n", starts, needed("DRMAA2_TEST_AGENT"));
    CHECK(fchmod(fileno(script), 0700) == 0 && fclose(script) == 0);
    CHECK(setenv("DRMAA2_STATE_DIR", dir, 1) == 0);
    CHECK(setenv("DRMAA2_AGENT", path, 1) == 0);
}

/* The number of agents that have been started so far. */
static int started(void)
{
    int lines = 0, c;
    FILE *file = fopen(starts, "r");
    while (file != NULL && (c = getc(file)) != EOF)
        lines += c == '\n';
    if (file != NULL)
        fclose(file);
    return lines;
}

/* Is there no agent now? */
static int agent_is_away(void)
{
    int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int away = flock(fd, LOCK_EX | LOCK_NB) == 0;
    CHECK(fd >= 0 && close(fd) == 0);
    return away;
}

static void wait_until_agent_leaves(void)
{
    int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && flock(fd, LOCK_EX) == 0 && close(fd) == 0);
}

/* In a child: submit a job and be killed. */
static pid_t submit_and_die(const char *name, const char *script)
{
    pid_t pid = fork();
    if (pid == 0) {
        drmaa2_jsession js = session(name);
        CHECK(run(js, shell(script)) != NULL);
        raise(check_failures == 0 ? SIGKILL : SIGABRT);
    }
    return pid;
}

static void is_dead(pid_t pid)
{
    int status = 0;
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Of a session whose job has started. */
static drmaa2_j the_only_job(drmaa2_jsession js)
{
    drmaa2_j_list jobs = drmaa2_jsession_get_jobs(js, NULL);
    drmaa2_j j;
    CHECK_INT(drmaa2_list_size(jobs), 1);
    j = drmaa2_jsession_wait_any_started(js, jobs, LONG);
    CHECK(j != NULL);
    drmaa2_list_free(&jobs);
    return j;
}

/* Nothing of any job is in containerd. */
static void is_clean(void)
{
    CHECK_INT(ctr_lines("tasks ls -q", ""), 0);
    CHECK_INT(ctr_lines("containers ls -q", ""), containers);
    CHECK_INT(ctr_lines("snapshots ls", "Active"), snapshots);
}

static void finishes_and_cleans(void)
{
    drmaa2_jsession js;
    drmaa2_jinfo ji;
    drmaa2_j j;
    is_dead(submit_and_die("killed", "sleep 1; exit 42"));
    CHECK(!agent_is_away());
    wait_until_agent_leaves();
    CHECK_INT(started(), 1);
    /* No process of the library was there to do this. */
    is_clean();
    js = drmaa2_open_jsession("killed");
    CHECK(js != NULL);
    j = the_only_job(js);
    ji = drmaa2_j_get_info(j);
    CHECK_INT(ji->jobState, DRMAA2_FAILED);
    CHECK_INT(ji->exitStatus, 42);
    CHECK(ji->finishTime > 0 && ji->finishTime >= ji->dispatchTime);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);
    done_with(&js);
}

static void terminate(const char *name)
{
    drmaa2_jsession js = drmaa2_open_jsession(name);
    drmaa2_j j = the_only_job(js);
    end(&j);
    done_with(&js);
}

static void there_is_one(void)
{
    int before = started();
    pid_t one = submit_and_die("one", "sleep 1000"), other = submit_and_die("other", "sleep 1000");
    is_dead(one);
    is_dead(other);
    CHECK(!agent_is_away());
    /* It serves both, and is still the only one when they have ended. */
    terminate("one");
    terminate("other");
    wait_until_agent_leaves();
    CHECK_INT(started(), before + 1);
    is_clean();
}

/* A process that starts an agent has no child from that. */
static void is_nobodys_child(const char *arg)
{
    drmaa2_jsession js = session("parent");
    drmaa2_j j = run(js, sleeper());
    (void)arg;
    CHECK(!agent_is_away());
    errno = 0;
    CHECK(waitpid(-1, NULL, WNOHANG | __WALL) == -1 && errno == ECHILD);
    end(&j);
    done_with(&js);
}

/* systemd kills the agents in a unit or a login session that it ends. This does the same to the agent that was
   started last, after so many others. */
static void kill_agent(int others)
{
    char events[4096];
    long pid = 0;
    FILE *file;
    int watch = inotify_init1(IN_CLOEXEC);
    CHECK(watch >= 0 && inotify_add_watch(watch, starts, IN_MODIFY) >= 0);
    while (started() <= others) {
        await_readable(watch, "the next agent");
        CHECK(read(watch, events, sizeof events) > 0);
    }
    close(watch);
    file = fopen(starts, "r");
    CHECK(file != NULL);
    while (fscanf(file, "%ld", &pid) == 1)
        ;
    fclose(file);
    CHECK(pid > 1 && kill((pid_t)pid, SIGKILL) == 0);
    wait_until_agent_leaves();
}

static void open_job_session(const char *arg)
{
    drmaa2_jsession js = drmaa2_open_jsession(arg);
    CHECK(js != NULL && !agent_is_away());
    CHECK_INT(drmaa2_close_jsession(js), DRMAA2_SUCCESS);
    drmaa2_jsession_free(&js);
}

static void close_job_session(const char *arg)
{
    int before = started();
    drmaa2_jsession js = drmaa2_open_jsession(arg);
    CHECK(js != NULL);
    kill_agent(before);
    CHECK_INT(drmaa2_close_jsession(js), DRMAA2_SUCCESS);
    CHECK(!agent_is_away());
    drmaa2_jsession_free(&js);
}

static void create_job_session(const char *arg)
{
    drmaa2_jsession js = session(arg);
    CHECK(!agent_is_away());
    done_with(&js);
}

static void open_monitoring_session(const char *arg)
{
    drmaa2_msession ms = drmaa2_open_msession(arg);
    CHECK(ms != NULL && !agent_is_away());
    CHECK_INT(drmaa2_close_msession(ms), DRMAA2_SUCCESS);
    drmaa2_msession_free(&ms);
}

static void create_reservation_session(const char *arg)
{
    drmaa2_rsession rs = drmaa2_create_rsession(arg, NULL);
    CHECK(rs != NULL && !agent_is_away());
    CHECK_INT(drmaa2_close_rsession(rs), DRMAA2_SUCCESS);
    drmaa2_rsession_free(&rs);
}

static void open_reservation_session(const char *arg)
{
    drmaa2_rsession rs = drmaa2_open_rsession(arg);
    CHECK(rs != NULL && !agent_is_away());
    CHECK_INT(drmaa2_close_rsession(rs), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_destroy_rsession(arg), DRMAA2_SUCCESS);
    drmaa2_rsession_free(&rs);
}

static void open_without_work(const char *arg)
{
    drmaa2_jsession js = session(arg);
    CHECK(agent_is_away());
    done_with(&js);
}

/* An agent that was killed has a successor as soon as a process opens a session, of whatever kind. */
static void is_replaced(void)
{
    static void (*const opened[])(const char *) = {
        open_job_session, close_job_session, create_job_session, open_monitoring_session,
        create_reservation_session, open_reservation_session};
    static const char *const names[] = {"left", "left", "new", NULL, "reserved", "reserved"};
    int agents = started(), i;
    is_dead(submit_and_die("left", "sleep 1000"));
    for (i = 0; i < 6; i++) {
        kill_agent(agents++);
        in_child(opened[i], names[i]);
        /* It has killed one by itself. */
        agents += opened[i] == close_job_session;
    }
    terminate("left");
    wait_until_agent_leaves();
    CHECK_INT(started(), agents + 1);
    /* Without work there is no need of one. */
    in_child(open_without_work, "idle");
    CHECK_INT(started(), agents + 1);
    is_clean();
}

static void switched_off(const char *arg)
{
    drmaa2_jsession js;
    drmaa2_j j;
    int before = started();
    CHECK(setenv("DRMAA2_AGENT", "off", 1) == 0);
    js = session(arg);
    j = run(js, sleeper());
    CHECK(agent_is_away());
    CHECK_INT(started(), before);
    end(&j);
    done_with(&js);
}

/* The job is refused, and nothing of it is stored. */
static void missing(const char *arg)
{
    drmaa2_jsession js;
    drmaa2_jtemplate jt = sleeper();
    drmaa2_j_list jobs;
    CHECK(setenv("DRMAA2_AGENT", "/no/such/drmaa2d", 1) == 0);
    js = session(arg);
    CHECK(drmaa2_jsession_run_job(js, jt) == NULL);
    failed(DRMAA2_INTERNAL, "/no/such/drmaa2d");
    drmaa2_jtemplate_free(&jt);
    jobs = drmaa2_jsession_get_jobs(js, NULL);
    CHECK_INT(drmaa2_list_size(jobs), 0);
    drmaa2_list_free(&jobs);
    done_with(&js);
}

int main(void)
{
    drmaa2_jsession js;
    char remove[64];
    containers = ctr_lines("containers ls -q", "");
    snapshots = ctr_lines("snapshots ls", "Active");
    make_agent();
    /* Each in a process that has its own environment, and forks before it uses the library. */
    finishes_and_cleans();
    there_is_one();
    is_replaced();
    in_child(is_nobodys_child, NULL);
    wait_until_agent_leaves();
    in_child(switched_off, "off");
    in_child(missing, "missing");
    /* This process may have seen the end of their jobs first: closing a session waits for its clean-up. */
    js = session("last");
    done_with(&js);
    wait_until_agent_leaves();
    is_clean();
    snprintf(remove, sizeof remove, "rm -rf '%s'", dir);
    CHECK_INT(system(remove), 0);
    return check_result();
}
