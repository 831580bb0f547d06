/* A program that is not linked with the library but loads it, and lets go of it while sessions are
   open and a thread waits inside. */
#include <drmaa2.h>

#include <pthread.h>
#include <string.h>

#include "loaded.h"

#define ROUNDS 20
#define LONG 120

static drmaa2_j submit(void *library, drmaa2_jsession js, const char *seconds)
{
    drmaa2_jtemplate jt = FUNCTION(library, drmaa2_jtemplate_create)();
    drmaa2_j j;
    jt->remoteCommand = strdup("sleep");
    jt->jobCategory = strdup(getenv("DRMAA2_TEST_IMAGE"));
    jt->args = FUNCTION(library, drmaa2_list_create)(DRMAA2_STRINGLIST, NULL);
    FUNCTION(library, drmaa2_list_add)(jt->args, seconds);
    j = FUNCTION(library, drmaa2_jsession_run_job)(js, jt);
    CHECK(j != NULL);
    FUNCTION(library, drmaa2_jtemplate_free)(&jt);
    return j;
}

struct waiter {
    drmaa2_j j;
    drmaa2_error (*wait)(drmaa2_j, time_t);
    long (*size)(drmaa2_list);
    drmaa2_error (*last)(void);
    pthread_barrier_t ready;
    drmaa2_error result, last_before, last_after;
};

/* Lives on when the library has been let go of, and ends with an error that is its own. */
static void *wait_for_the_end(void *argument)
{
    struct waiter *waiter = argument;
    waiter->size(NULL);
    waiter->last_before = waiter->last();
    pthread_barrier_wait(&waiter->ready);
    waiter->result = waiter->wait(waiter->j, LONG);
    waiter->size(NULL);
    waiter->last_after = waiter->last();
    return NULL;
}

int main(void)
{
    drmaa2_jsession js = NULL;
    drmaa2_string name = NULL;
    struct waiter waiter;
    pthread_t thread;
    void *library;
    if (getenv("DRMAA2_TEST_IMAGE") == NULL) {
        fprintf(stderr, "DRMAA2_TEST_IMAGE is not set; scripts/test sets it\n");
        return 1;
    }
    for (int round = 0; round < ROUNDS; round++) {
        library = load(DRMAA2_LIBRARY);
        if (js == NULL) {
            js = FUNCTION(library, drmaa2_create_jsession)(NULL, NULL);
            CHECK(js != NULL);
            name = FUNCTION(library, drmaa2_jsession_get_session_name)(js);
        } else {
            /* The handle of an earlier round. */
            drmaa2_string again = FUNCTION(library, drmaa2_jsession_get_session_name)(js);
            CHECK(again != NULL && strcmp(again, name) == 0);
            FUNCTION(library, drmaa2_string_free)(&again);
        }
        CHECK(dlclose(library) == 0);
    }

    library = load(DRMAA2_LIBRARY);
    waiter.j = submit(library, js, "1000");
    waiter.wait = FUNCTION(library, drmaa2_j_wait_terminated);
    waiter.size = FUNCTION(library, drmaa2_list_size);
    waiter.last = FUNCTION(library, drmaa2_lasterror);
    CHECK(pthread_barrier_init(&waiter.ready, NULL, 2) == 0);
    CHECK(pthread_create(&thread, NULL, wait_for_the_end, &waiter) == 0);
    pthread_barrier_wait(&waiter.ready);
    CHECK(FUNCTION(library, drmaa2_list_size)(NULL) == -1);
    CHECK(dlclose(library) == 0);

    library = load(DRMAA2_LIBRARY);
    /* The error from before is still known. */
    CHECK(FUNCTION(library, drmaa2_lasterror)() == DRMAA2_INVALID_ARGUMENT);
    CHECK(FUNCTION(library, drmaa2_j_terminate)(waiter.j) == DRMAA2_SUCCESS);
    CHECK(dlclose(library) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(waiter.result == DRMAA2_SUCCESS);
    CHECK(waiter.last_before == DRMAA2_INVALID_ARGUMENT && waiter.last_after == DRMAA2_INVALID_ARGUMENT);
    pthread_barrier_destroy(&waiter.ready);

    library = load(DRMAA2_LIBRARY);
    FUNCTION(library, drmaa2_j_free)(&waiter.j);
    CHECK(FUNCTION(library, drmaa2_close_jsession)(js) == DRMAA2_SUCCESS);
    CHECK(FUNCTION(library, drmaa2_destroy_jsession)(name) == DRMAA2_SUCCESS);
    FUNCTION(library, drmaa2_jsession_free)(&js);
    FUNCTION(library, drmaa2_string_free)(&name);
    CHECK(dlclose(library) == 0);
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
