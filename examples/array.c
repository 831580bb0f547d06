/*
 * A job array: the same command for many indices, a few at a time, each with an output file of its own.
 *
 *     array IMAGE OUTPUT_FILE
 *
 * IMAGE is a job category. OUTPUT_FILE is an absolute path, to which each task adds its index.
 */
#include "example.h"

enum { TASKS = 6, AT_A_TIME = 2 };

/* The end of a task, which is a job like any other. */
static int print_task(drmaa2_j task)
{
    int done;
    drmaa2_jinfo info;
    if (drmaa2_j_wait_terminated(task, DRMAA2_INFINITE_TIME) != DRMAA2_SUCCESS)
        fail("drmaa2_j_wait_terminated");
    info = drmaa2_j_get_info(task);
    if (info == NULL)
        fail("drmaa2_j_get_info");
    done = info->jobState == DRMAA2_DONE;
    printf("%s %s, exit status %d\n", info->jobId, done ? "DONE" : "FAILED", info->exitStatus);
    drmaa2_jinfo_free(&info);
    return done;
}

int main(int argc, char **argv)
{
    drmaa2_jsession session;
    drmaa2_jtemplate jt;
    drmaa2_jarray array;
    drmaa2_j_list tasks;
    long task, done = 0;

    if (argc != 3) {
        fprintf(stderr, "usage: %s IMAGE OUTPUT_FILE\n", argv[0]);
        return 2;
    }
    session = new_session();
    jt = shell(argv[1], "echo \"the square of $TASK_ID is $((TASK_ID * TASK_ID))\"");
    jt->outputPath = malloc(strlen(argv[2]) + sizeof "." DRMAA2_INDEX);
    if (jt->outputPath == NULL)
        return EXIT_FAILURE;
    sprintf(jt->outputPath, "%s.%s", argv[2], DRMAA2_INDEX);

    array = drmaa2_jsession_run_bulk_jobs(session, jt, 1, TASKS, 1, AT_A_TIME);
    if (array == NULL)
        fail("drmaa2_jsession_run_bulk_jobs");
    tasks = drmaa2_jarray_get_jobs(array);
    if (tasks == NULL)
        fail("drmaa2_jarray_get_jobs");
    for (task = 0; task < drmaa2_list_size(tasks); task++)
        /* The list keeps its jobs; a job from it is not to be freed. */
        done += print_task((drmaa2_j)drmaa2_list_get(tasks, task));
    printf("%ld of %d are done; their output is in %s.1 and so on\n", done, TASKS, argv[2]);

    drmaa2_list_free(&tasks);
    drmaa2_jarray_free(&array);
    drmaa2_jtemplate_free(&jt);
    remove_session(session);
    return done == TASKS ? EXIT_SUCCESS : EXIT_FAILURE;
}
