/*
 * Being told of every state of a job, without waiting for any.
 *
 *     notify IMAGE
 */
#include "example.h"

#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t news = PTHREAD_COND_INITIALIZER;
static drmaa2_jstate last = DRMAA2_UNSET_JSTATE;

static const char *name_of(drmaa2_jstate state)
{
    switch (state) {
    case DRMAA2_QUEUED:
        return "queued";
    case DRMAA2_RUNNING:
        return "running";
    case DRMAA2_DONE:
        return "done";
    case DRMAA2_FAILED:
        return "failed";
    default:
        return "in another state";
    }
}

/* Called on a thread of the library. The notification is ours. */
static void told(drmaa2_notification *notification)
{
    pthread_mutex_lock(&lock);
    last = (*notification)->jobState;
    printf("job %s is %s\n", (*notification)->jobId, name_of(last));
    pthread_cond_signal(&news);
    pthread_mutex_unlock(&lock);
    drmaa2_notification_free(notification);
}

int main(int argc, char **argv)
{
    drmaa2_jsession session;
    drmaa2_jtemplate jt;
    drmaa2_j job;

    if (argc < 2) {
        fprintf(stderr, "usage: %s IMAGE\n", argv[0]);
        return 2;
    }
    session = new_session();
    if (drmaa2_register_event_notification(told) != DRMAA2_SUCCESS)
        fail("drmaa2_register_event_notification");
    jt = shell(argv[1], "true");
    job = drmaa2_jsession_run_job(session, jt);
    if (job == NULL)
        fail("drmaa2_jsession_run_job");
    drmaa2_jtemplate_free(&jt);

    pthread_mutex_lock(&lock);
    while (last != DRMAA2_DONE && last != DRMAA2_FAILED)
        pthread_cond_wait(&news, &lock);
    pthread_mutex_unlock(&lock);

    if (drmaa2_register_event_notification(NULL) != DRMAA2_SUCCESS)
        fail("drmaa2_register_event_notification");
    drmaa2_j_free(&job);
    remove_session(session);
    return last == DRMAA2_DONE ? EXIT_SUCCESS : EXIT_FAILURE;
}
