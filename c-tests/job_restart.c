/* containerd dies and comes back: running jobs go on, and what ended meanwhile is known exactly. */
#include "job.h"

#include <libgen.h>
#include <pthread.h>
#include <sys/inotify.h>

/* Let scripts/private-containerd do something to the containerd under test. */
static void daemon_does(const char *what)
{
    char command[1024];
    char *socket = strdup(needed("CONTAINERD_ADDRESS"));
    snprintf(command, sizeof command, "'%s' %s '%s'", needed("DRMAA2_TEST_CONTAINERD"), what, dirname(socket));
    CHECK_INT(system(command), 0);
    free(socket);
}

/* Wait for the record that a job's init writes; the library is not asked. */
static void wait_for_record(const char *job)
{
    char dir[1024], record[1100], events[4096];
    int watch = inotify_init1(IN_CLOEXEC);
    snprintf(dir, sizeof dir, "%s/jobs/%s/shared", needed("DRMAA2_STATE_DIR"), job);
    snprintf(record, sizeof record, "%s/record", dir);
    CHECK(watch >= 0 && inotify_add_watch(watch, dir, IN_MOVED_TO) >= 0);
    while (access(record, F_OK) != 0) {
        await_readable(watch, "the record");
        CHECK(read(watch, events, sizeof events) > 0);
    }
    CHECK(access(record, F_OK) == 0);
    close(watch);
}

static void *wait_for_end(void *job)
{
    CHECK_INT(drmaa2_j_wait_terminated(job, LONG), DRMAA2_SUCCESS);
    return NULL;
}

static void exit_status_is(drmaa2_j j, int code)
{
    drmaa2_jinfo ji = finish(j);
    CHECK_INT(ji->exitStatus, code);
    CHECK(ji->terminatingSignal == NULL);
    drmaa2_jinfo_free(&ji);
}

int main(void)
{
    char path[64];
    FILE *gate;
    pthread_t waiter;
    drmaa2_jtemplate jt;
    drmaa2_string id;
    drmaa2_jsession js = session(NULL);
    drmaa2_j running, ending;

    /* This job ends when its input has a line, which it gets while the daemon is down. */
    snprintf(path, sizeof path, "/tmp/drmaa2-restart-%ld", (long)getpid());
    gate = fopen(path, "w");
    CHECK(gate != NULL);
    jt = shell("until read line; do usleep 10000; done; exit 7");
    jt->inputPath = strdup(path);
    ending = run(js, jt);
    running = run(js, sleeper());
    CHECK(pthread_create(&waiter, NULL, wait_for_end, ending) == 0);

    daemon_does("kill");
    CHECK(fputs("go\n", gate) >= 0 && fclose(gate) == 0);
    id = drmaa2_j_get_id(ending);
    wait_for_record(id);
    drmaa2_string_free(&id);
    /* Known without the daemon, which the other job's state is not. */
    exit_status_is(ending, 7);
    CHECK_INT(drmaa2_j_get_state(running, NULL), DRMAA2_UNSET_JSTATE);
    failed(DRMAA2_DRM_COMMUNICATION, needed("CONTAINERD_ADDRESS"));
    daemon_does("start");

    CHECK(pthread_join(waiter, NULL) == 0);
    CHECK_INT(drmaa2_j_wait_started(running, LONG), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_j_suspend(running), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_j_resume(running), DRMAA2_SUCCESS);
    end(&running);

    /* And new ones can be started. */
    drmaa2_j_free(&ending);
    ending = run(js, shell("exit 3"));
    exit_status_is(ending, 3);
    drmaa2_j_free(&ending);
    CHECK(remove(path) == 0);
    done_with(&js);
    return check_result();
}
