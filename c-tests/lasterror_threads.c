/*
 * The last error belongs to the thread that made it.
 */
#include "check.h"

#include <pthread.h>

enum { THREADS = 8, ROUNDS = 1000 };

/* Threads with an odd number fail, the others succeed. */
static void *thread(void *number) {
    long failures = 0;
    int fails = *(int *) number % 2;
    for (int round = 0; round < ROUNDS; round++) {
        drmaa2_list list = drmaa2_list_create(DRMAA2_STRINGLIST, NULL);
        drmaa2_list_size(fails ? NULL : list);
        drmaa2_list_free(&list);
        failures += drmaa2_lasterror() != (fails ? DRMAA2_INVALID_ARGUMENT : DRMAA2_SUCCESS);
        char *text = drmaa2_lasterror_text();
        failures += (text != NULL) != fails;
        free(text);
    }
    /* An error that is left when the thread ends is freed with it. */
    return (void *) failures;
}

int main(void) {
    pthread_t threads[THREADS];
    int numbers[THREADS];
    CHECK_INT(drmaa2_list_size(NULL), -1);
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        CHECK_INT(pthread_create(&threads[i], NULL, thread, &numbers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *failures;
        CHECK_INT(pthread_join(threads[i], &failures), 0);
        CHECK_INT((long) failures, 0);
    }
    CHECK_INT(drmaa2_lasterror(), DRMAA2_INVALID_ARGUMENT);
    return check_result();
}
