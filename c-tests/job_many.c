/* A hundred jobs, eight at a time: all accounts stay readable, nothing stays in containerd. */
#include "job.h"

#include <pthread.h>

enum { THREADS = 8, JOBS = 100 };

static drmaa2_jsession js;
static drmaa2_j jobs[JOBS];

static void *submitter(void *arg)
{
    int i;
    for (i = (int)(size_t)arg; i < JOBS; i += THREADS) {
        char script[32];
        snprintf(script, sizeof script, "exit %d", i);
        jobs[i] = run(js, shell(script));
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    drmaa2_j_list all;
    size_t i;
    int containers = ctr_lines("containers ls -q", ""), snapshots = ctr_lines("snapshots ls", "Active");

    js = session("many");
    for (i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, submitter, (void *)i) == 0);
    for (i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    for (i = 0; i < JOBS; i++)
        CHECK_INT(drmaa2_j_wait_terminated(jobs[i], LONG), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_close_jsession(js), DRMAA2_SUCCESS);
    drmaa2_jsession_free(&js);
    /* That waits for the clean-up, but no more than 20 seconds. */
    for (int more = 1; more < slowness() && ctr_lines("tasks ls -q", "") > 0; more++) {
        js = drmaa2_open_jsession("many");
        CHECK_INT(drmaa2_close_jsession(js), DRMAA2_SUCCESS);
        drmaa2_jsession_free(&js);
    }

    CHECK_INT(ctr_lines("tasks ls -q", ""), 0);
    CHECK_INT(ctr_lines("containers ls -q", ""), containers);
    CHECK_INT(ctr_lines("snapshots ls", "Active"), snapshots);
    for (i = 0; i < JOBS; i++) {
        char pattern[128];
        FILE *shims;
        /* A shim has its job's id among its arguments; the brackets keep the shell out of it. */
        snprintf(pattern, sizeof pattern, "pgrep -f '[c]ontainerd-shim.*%s'", *(char **)jobs[i]);
        shims = popen(pattern, "r");
        CHECK(shims != NULL && fgetc(shims) == EOF);
        pclose(shims);
    }

    js = drmaa2_open_jsession("many");
    all = drmaa2_jsession_get_jobs(js, NULL);
    CHECK_INT(drmaa2_list_size(all), JOBS);
    drmaa2_list_free(&all);
    for (i = 0; i < JOBS; i++) {
        drmaa2_jinfo ji = drmaa2_j_get_info(jobs[i]);
        CHECK_INT(ji->exitStatus, (int)i);
        CHECK(ji->finishTime >= ji->dispatchTime);
        drmaa2_jinfo_free(&ji);
        drmaa2_j_free(&jobs[i]);
    }
    done_with(&js);
    return check_result();
}
