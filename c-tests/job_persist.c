/* Jobs and results outlive the process that submitted them. */
#include "job.h"

#include <signal.h>

static char pipe_path[64];

/* Submits a job that waits for a line on its input, and exits without closing anything. */
static void submit_and_exit(const char *name)
{
    drmaa2_jsession js = session(name);
    drmaa2_jtemplate jt = shell("read line; exit $line");
    drmaa2_j j;
    jt->inputPath = strdup(pipe_path);
    jt->jobName = strdup("left_behind");
    j = run(js, jt);
    CHECK(j != NULL);
    leave_child();
}

/* The same, but it is killed. */
static void submit_and_die(const char *name)
{
    drmaa2_jsession js = session(name);
    drmaa2_j j = run(js, shell("sleep 1; exit 42"));
    CHECK(j != NULL);
    raise(SIGKILL);
}

static drmaa2_j the_only_job(drmaa2_jsession js)
{
    drmaa2_j_list jobs = drmaa2_jsession_get_jobs(js, NULL);
    drmaa2_j listed, own;
    CHECK_INT(drmaa2_list_size(jobs), 1);
    listed = (drmaa2_j)drmaa2_list_get(jobs, 0);
    own = drmaa2_jsession_wait_any_started(js, jobs, LONG);
    CHECK(own != NULL && own != listed);
    CHECK_INT(drmaa2_list_size(jobs), 1);
    drmaa2_list_free(&jobs);
    return own;
}

int main(void)
{
    static const char exited[] = "persist-exited", killed[] = "persist-killed";
    drmaa2_jsession js;
    drmaa2_jtemplate jt;
    drmaa2_jinfo ji;
    drmaa2_j j;
    FILE *input;
    int status = 0;
    pid_t pid;

    snprintf(pipe_path, sizeof pipe_path, "/tmp/drmaa2-persist-%ld", (long)getpid());
    input = fopen(pipe_path, "w");
    CHECK(input != NULL && fputs("77\n", input) >= 0 && fclose(input) == 0);
    in_child(submit_and_exit, exited);

    js = drmaa2_open_jsession(exited);
    CHECK(js != NULL);
    j = the_only_job(js);
    ji = finish(j);
    CHECK_INT(ji->exitStatus, 77);
    CHECK_INT(ji->jobState, DRMAA2_FAILED);
    CHECK_STR(ji->jobName, "left_behind");
    jt = drmaa2_j_get_jtemplate(j);
    CHECK_STR(jt->remoteCommand, "/bin/sh");
    CHECK_INT(drmaa2_list_size(jt->args), 2);
    CHECK_STR(drmaa2_list_get(jt->args, 1), "read line; exit $line");
    CHECK_STR(jt->inputPath, pipe_path);
    CHECK_STR(jt->jobCategory, image());
    CHECK(jt->outputPath == NULL && jt->jobEnvironment == NULL);
    drmaa2_jtemplate_free(&jt);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);
    done_with(&js);
    remove(pipe_path);

    pid = fork();
    if (pid == 0)
        submit_and_die(killed);
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    js = drmaa2_open_jsession(killed);
    CHECK(js != NULL);
    j = the_only_job(js);
    ji = finish(j);
    CHECK_INT(ji->exitStatus, 42);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);
    done_with(&js);
    return check_result();
}
