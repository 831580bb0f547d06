/* Waits: timeouts, several jobs, a session that is closed meanwhile. */
#include "job.h"

#include <pthread.h>
#include <time.h>

static void timeouts(drmaa2_jsession js)
{
    drmaa2_j j = run(js, sleeper());
    time_t begin = time(NULL);
    CHECK_INT(drmaa2_j_wait_started(j, DRMAA2_ZERO_TIME), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_j_wait_terminated(j, DRMAA2_ZERO_TIME), DRMAA2_TIMEOUT);
    failed(DRMAA2_TIMEOUT, "time is over");
    CHECK_INT(drmaa2_j_wait_terminated(j, DRMAA2_NOW), DRMAA2_TIMEOUT);
    CHECK_INT(drmaa2_j_wait_terminated(j, DRMAA2_UNSET_TIME), DRMAA2_INVALID_ARGUMENT);
    CHECK_INT(drmaa2_j_wait_terminated(j, 2), DRMAA2_TIMEOUT);
    CHECK(time(NULL) - begin >= 1);
    end(&j);
}

static void any(drmaa2_jsession js)
{
    drmaa2_j slow = run(js, sleeper()), quick = run(js, shell("sleep 1; exit 3")), hit;
    drmaa2_j_list both = drmaa2_list_create(DRMAA2_JOBLIST, NULL);
    drmaa2_j_list none = drmaa2_list_create(DRMAA2_JOBLIST, NULL);
    drmaa2_string id, expected = drmaa2_j_get_id(quick);
    CHECK_INT(drmaa2_list_add(both, slow), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_list_add(both, quick), DRMAA2_SUCCESS);

    hit = drmaa2_jsession_wait_any_terminated(js, both, DRMAA2_INFINITE_TIME);
    id = drmaa2_j_get_id(hit);
    CHECK_STR(id, expected);
    CHECK(hit != quick);
    drmaa2_string_free(&id);
    drmaa2_string_free(&expected);
    drmaa2_j_free(&hit);
    CHECK_INT(drmaa2_j_wait_started(quick, DRMAA2_ZERO_TIME), DRMAA2_SUCCESS);

    CHECK(drmaa2_jsession_wait_any_started(js, none, DRMAA2_ZERO_TIME) == NULL);
    failed(DRMAA2_INVALID_ARGUMENT, "empty");
    CHECK(drmaa2_jsession_wait_any_started(js, NULL, DRMAA2_ZERO_TIME) == NULL);
    CHECK_INT(drmaa2_lasterror(), DRMAA2_INVALID_ARGUMENT);
    CHECK_INT(drmaa2_list_del(both, 1), DRMAA2_SUCCESS);
    CHECK(drmaa2_jsession_wait_any_terminated(js, both, DRMAA2_ZERO_TIME) == NULL);
    CHECK_INT(drmaa2_lasterror(), DRMAA2_TIMEOUT);
    drmaa2_list_free(&both);
    drmaa2_list_free(&none);
    drmaa2_j_free(&quick);
    end(&slow);
}

struct wait {
    drmaa2_j job;
    drmaa2_error result;
};

static void *wait_for_ever(void *arg)
{
    struct wait *wait = arg;
    wait->result = drmaa2_j_wait_terminated(wait->job, DRMAA2_INFINITE_TIME);
    return NULL;
}

static void threads_wait_for_one_job(drmaa2_jsession js)
{
    enum { WAITERS = 8 };
    pthread_t threads[WAITERS];
    struct wait waits[WAITERS];
    drmaa2_j j = run(js, shell("sleep 1"));
    int i;
    for (i = 0; i < WAITERS; i++) {
        waits[i].job = j;
        CHECK(pthread_create(&threads[i], NULL, wait_for_ever, &waits[i]) == 0);
    }
    for (i = 0; i < WAITERS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        CHECK_INT(waits[i].result, DRMAA2_SUCCESS);
    }
    drmaa2_j_free(&j);
}

static void closing_ends_a_wait(void)
{
    drmaa2_jsession js = session("closing");
    pthread_t thread;
    struct wait wait;
    wait.job = run(js, sleeper());
    CHECK(pthread_create(&thread, NULL, wait_for_ever, &wait) == 0);
    CHECK_INT(drmaa2_close_jsession(js), DRMAA2_SUCCESS);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_INT(wait.result, DRMAA2_INVALID_SESSION);
    drmaa2_jsession_free(&js);
    js = drmaa2_open_jsession("closing");
    CHECK(js != NULL);
    end(&wait.job);
    done_with(&js);
}

int main(void)
{
    drmaa2_jsession js = session(NULL);
    timeouts(js);
    any(js);
    threads_wait_for_one_job(js);
    done_with(&js);
    closing_ends_a_wait();
    return check_result();
}
