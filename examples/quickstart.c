/*
 * A first job: run a command in a container, wait for it, and print how it ended.
 *
 *     quickstart IMAGE OUTPUT_FILE
 *
 * IMAGE is a job category: an image that containerd has, or a category of the configuration.
 * OUTPUT_FILE is an absolute path on this machine; the job's standard output goes there.
 */
#include <drmaa2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const SESSION = "quickstart";
static const char *const SCRIPT =
    "echo \"hello from job $DRMAA2_JOB_ID\"; uname -s -m; echo \"$GREETING\"";

/* Says which call failed and why; the library keeps the last error of each thread. */
static void complain(const char *what)
{
    drmaa2_error error = drmaa2_lasterror();
    drmaa2_string text = drmaa2_lasterror_text();
    fprintf(stderr, "%s: error %d: %s\n", what, (int)error, text != NULL ? text : "no text");
    drmaa2_string_free(&text);
}

/* Everything that a template holds is freed with the template, so it gets copies. */
static char *copy(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copied = malloc(size);
    if (copied == NULL) {
        fputs("out of memory\n", stderr);
        exit(EXIT_FAILURE);
    }
    return memcpy(copied, text, size);
}

static int add(drmaa2_list list, const char *text)
{
    char *copied = copy(text);
    if (drmaa2_list_add(list, copied) == DRMAA2_SUCCESS)
        return 1;
    complain("drmaa2_list_add");
    free(copied);
    return 0;
}

static int set(drmaa2_dict dict, const char *key, const char *value)
{
    char *copied_key = copy(key);
    char *copied_value = copy(value);
    if (drmaa2_dict_set(dict, copied_key, copied_value) == DRMAA2_SUCCESS)
        return 1;
    complain("drmaa2_dict_set");
    free(copied_key);
    free(copied_value);
    return 0;
}

/* The description of the job: its command and image, its files and variables. */
static drmaa2_jtemplate describe(const char *image, const char *output)
{
    drmaa2_jtemplate jt = drmaa2_jtemplate_create();
    if (jt == NULL) {
        complain("drmaa2_jtemplate_create");
        return NULL;
    }
    jt->jobCategory = copy(image);
    jt->jobName = copy("quickstart");
    jt->remoteCommand = copy("/bin/sh");
    jt->outputPath = copy(output);
    jt->joinFiles = DRMAA2_TRUE;
    jt->args = drmaa2_list_create(DRMAA2_STRINGLIST, drmaa2_string_list_default_callback);
    jt->jobEnvironment = drmaa2_dict_create(drmaa2_dict_default_callback);
    if (jt->args == NULL || jt->jobEnvironment == NULL)
        complain("drmaa2_list_create, drmaa2_dict_create");
    else if (add(jt->args, "-c") && add(jt->args, SCRIPT) &&
             set(jt->jobEnvironment, "GREETING", "this text came through the environment"))
        return jt;
    drmaa2_jtemplate_free(&jt);
    return NULL;
}

static void print_time(const char *what, time_t when)
{
    char text[32];
    struct tm *local = when >= 0 ? localtime(&when) : NULL;
    if (local != NULL && strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", local) > 0)
        printf("%-14s %s\n", what, text);
    else
        printf("%-14s unknown\n", what);
}

static int print_file(const char *path)
{
    char line[256];
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        perror(path);
        return 0;
    }
    printf("output         %s\n", path);
    while (fgets(line, sizeof line, file) != NULL)
        printf("    %s", line);
    fclose(file);
    return 1;
}

static int print_account(drmaa2_j job, const char *output)
{
    int done;
    drmaa2_jinfo info = drmaa2_j_get_info(job);
    if (info == NULL) {
        complain("drmaa2_j_get_info");
        return 0;
    }
    printf("job            %s\n", info->jobId != NULL ? info->jobId : "?");
    print_time("submitted", info->submissionTime);
    print_time("started", info->dispatchTime);
    print_time("finished", info->finishTime);
    printf("wall clock     %lld s\n", (long long)info->wallclockTime);
    printf("CPU time       %lld s\n", (long long)info->cpuTime);
    if (info->terminatingSignal != NULL)
        printf("signal         %s\n", info->terminatingSignal);
    if (info->annotation != NULL)
        printf("reason         %s\n", info->annotation);
    done = info->jobState == DRMAA2_DONE && print_file(output);
    printf("%s, exit status %d\n", info->jobState == DRMAA2_DONE ? "DONE" : "FAILED", info->exitStatus);
    drmaa2_jinfo_free(&info);
    return done;
}

/* Submit, wait, print, and forget the job. */
static int run(drmaa2_jsession session, drmaa2_jtemplate jt)
{
    int done = 0;
    drmaa2_j job = drmaa2_jsession_run_job(session, jt);
    if (job == NULL) {
        complain("drmaa2_jsession_run_job");
        return 0;
    }
    if (drmaa2_j_wait_terminated(job, 60) != DRMAA2_SUCCESS) {
        complain("drmaa2_j_wait_terminated");
        drmaa2_j_terminate(job);
    } else {
        done = print_account(job, jt->outputPath);
        if (drmaa2_j_reap(job) != DRMAA2_SUCCESS)
            complain("drmaa2_j_reap");
    }
    drmaa2_j_free(&job);
    return done;
}

int main(int argc, char **argv)
{
    int done = 0;
    drmaa2_jsession session;
    drmaa2_jtemplate jt;

    if (argc != 3) {
        fprintf(stderr, "usage: %s IMAGE OUTPUT_FILE\n", argv[0]);
        return 2;
    }
    session = drmaa2_create_jsession(SESSION, NULL);
    if (session == NULL) {
        complain("drmaa2_create_jsession");
        return EXIT_FAILURE;
    }
    jt = describe(argv[1], argv[2]);
    if (jt != NULL)
        done = run(session, jt);

    drmaa2_jtemplate_free(&jt);
    if (drmaa2_close_jsession(session) != DRMAA2_SUCCESS)
        complain("drmaa2_close_jsession");
    drmaa2_jsession_free(&session);
    if (drmaa2_destroy_jsession(SESSION) != DRMAA2_SUCCESS)
        complain("drmaa2_destroy_jsession");
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
