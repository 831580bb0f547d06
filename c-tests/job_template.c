/* A job gets what its template asks for: command, arguments, environment, directory, files. What is not
   supported is refused by name. */
#include "job.h"

#include <pwd.h>
#include <sys/stat.h>

static char dir[] = "/tmp/drmaa2-template-XXXXXX";

static char *in_dir(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return strdup(path);
}

static void content_is(const char *name, const char *expected)
{
    char text[4096];
    size_t length = 0;
    char *path = in_dir(name);
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    if (file != NULL) {
        length = fread(text, 1, sizeof text - 1, file);
        fclose(file);
    }
    text[length] = '\0';
    CHECK_STR(text, expected);
    free(path);
}

static void put(const char *name, const char *text)
{
    char *path = in_dir(name);
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
    free(path);
}

static void set_env(drmaa2_jtemplate jt, const char *name, const char *value)
{
    if (jt->jobEnvironment == NULL)
        jt->jobEnvironment = drmaa2_dict_create(drmaa2_dict_default_callback);
    CHECK_INT(drmaa2_dict_set(jt->jobEnvironment, strdup(name), strdup(value)), DRMAA2_SUCCESS);
}

static void done(drmaa2_jsession js, drmaa2_jtemplate jt)
{
    drmaa2_j j = run(js, jt);
    drmaa2_jinfo ji = finish(j);
    CHECK_INT(ji->jobState, DRMAA2_DONE);
    if (ji->annotation != NULL)
        fprintf(stderr, "  annotation \"%s\"\n", ji->annotation);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);
}

static void arguments_and_environment(drmaa2_jsession js)
{
    drmaa2_jtemplate jt = command("printf");
    add_arg(jt, "[%s]");
    add_arg(jt, "a b");
    add_arg(jt, "");
    add_arg(jt, "$HOME \"quoted\"\n\xff");
    jt->outputPath = in_dir("args");
    done(js, jt);
    content_is("args", "[a b][][$HOME \"quoted\"\n\xff]");

    jt = shell("echo \"$A|$EMPTY|$PATH|${DRMAA2_JOB_ID:+id}|$DRMAA2_SESSION\"");
    set_env(jt, "A", "x=y z\xfe");
    set_env(jt, "EMPTY", "");
    set_env(jt, "PATH", "/bin");
    jt->outputPath = in_dir("env");
    done(js, jt);
    content_is("env", "x=y z\xfe||/bin|id|template\n");
}

static void directory(drmaa2_jsession js)
{
    drmaa2_jtemplate jt = command("pwd");
    jt->workingDirectory = strdup("/etc");
    jt->outputPath = in_dir("pwd");
    done(js, jt);
    content_is("pwd", "/etc\n");
    jt = command("pwd");
    jt->workingDirectory = strdup(DRMAA2_HOME_DIR);
    jt->outputPath = in_dir("pwd");
    done(js, jt);
    content_is("pwd", "/root\n");
}

static void files(drmaa2_jsession js)
{
    struct stat status;
    char *path;
    drmaa2_jtemplate jt = shell("cat; echo error >&2");
    put("in", "line 1\nline 2");
    put("out", "what an earlier job wrote, and longer than what this one does");
    jt->inputPath = in_dir("in");
    jt->outputPath = in_dir("out");
    jt->errorPath = in_dir("err");
    done(js, jt);
    content_is("out", "line 1\nline 2");
    content_is("err", "error\n");
    path = in_dir("err");
    CHECK(stat(path, &status) == 0 && status.st_uid == geteuid());
    free(path);

    jt = shell("echo 1; echo 2 >&2; echo 3; cat");
    jt->outputPath = in_dir("joined");
    jt->errorPath = strdup("relative, but ignored");
    jt->joinFiles = DRMAA2_TRUE;
    done(js, jt);
    content_is("joined", "1\n2\n3\n");

    /* The working directory stands for itself: a path of the host, like every path of a stream. */
    jt = shell("echo there");
    jt->workingDirectory = strdup("/tmp");
    path = in_dir("placed");
    jt->outputPath = malloc(strlen(DRMAA2_WORKING_DIR) + strlen(path) + 1);
    strcpy(jt->outputPath, DRMAA2_WORKING_DIR);
    strcat(jt->outputPath, path + strlen("/tmp"));
    free(path);
    done(js, jt);
    content_is("placed", "there\n");

    jt = shell("echo nowhere; echo nowhere >&2");
    jt->outputPath = strdup("/dev/null");
    done(js, jt);
}

/* Streams and copies below the home of the submitter, who has no other name for it. */
static void home(drmaa2_jsession js)
{
    char real[256], path[1024];
    drmaa2_jtemplate jt;
    snprintf(real, sizeof real, "%s/drmaa2-home-XXXXXX", getpwuid(geteuid())->pw_dir);
    CHECK(mkdtemp(real) != NULL);
    snprintf(path, sizeof path, "%s/in", real);
    {
        FILE *file = fopen(path, "w");
        CHECK(file != NULL && fputs("at home\n", file) >= 0 && fclose(file) == 0);
    }
#define AT_HOME(name)                                                                                  \
    (snprintf(path, sizeof path, "%s%s/%s", DRMAA2_HOME_DIR, strrchr(real, '/'), name), strdup(path))
    jt = shell("cat; cat /copy; echo error >&2; echo back >/back");
    jt->inputPath = AT_HOME("in");
    jt->outputPath = AT_HOME("out");
    jt->errorPath = AT_HOME("err");
    jt->stageInFiles = drmaa2_dict_create(drmaa2_dict_default_callback);
    drmaa2_dict_set(jt->stageInFiles, AT_HOME("in"), strdup("/copy"));
    jt->stageOutFiles = drmaa2_dict_create(drmaa2_dict_default_callback);
    drmaa2_dict_set(jt->stageOutFiles, strdup("/back"), AT_HOME("back"));
#undef AT_HOME
    done(js, jt);
    snprintf(path, sizeof path, "cd '%s' && cat in out err back && rm -r '%s'", real, real);
    {
        char text[256] = "";
        FILE *pipe = popen(path, "r");
        size_t length = fread(text, 1, sizeof text - 1, pipe);
        CHECK(pclose(pipe) == 0);
        text[length] = '\0';
        CHECK_STR(text, "at home\nat home\nat home\nerror\nback\n");
    }
}

static void refused(drmaa2_jsession js, drmaa2_jtemplate jt, drmaa2_error code, const char *part)
{
    drmaa2_j_list jobs;
    CHECK(drmaa2_jsession_run_job(js, jt) == NULL);
    failed(code, part);
    drmaa2_jtemplate_free(&jt);
    jobs = drmaa2_jsession_get_jobs(js, NULL);
    CHECK_INT(drmaa2_list_size(jobs), 0);
    drmaa2_list_free(&jobs);
}

static void limit_refused(drmaa2_jsession js, const char *key, const char *value)
{
    drmaa2_jtemplate jt = command("true");
    jt->resourceLimits = drmaa2_dict_create(drmaa2_dict_default_callback);
    drmaa2_dict_set(jt->resourceLimits, strdup(key), strdup(value));
    refused(js, jt, DRMAA2_INVALID_ARGUMENT, key);
}

static void refusals(void)
{
    drmaa2_jsession js = session("refusals");
    drmaa2_jtemplate jt;

#define REFUSED(member, value, code, part)                                                             \
    jt = command("true");                                                                              \
    jt->member = value;                                                                                \
    refused(js, jt, code, part)
    REFUSED(emailOnStarted, DRMAA2_TRUE, DRMAA2_UNSUPPORTED_ATTRIBUTE, "emailOnStarted");
    REFUSED(emailOnTerminated, DRMAA2_TRUE, DRMAA2_UNSUPPORTED_ATTRIBUTE, "emailOnTerminated");
    REFUSED(accountingId, strdup("\xff"), DRMAA2_INVALID_ARGUMENT, "accountingId \"\xef\xbf\xbd\"");
    REFUSED(jobName, strdup("\xff"), DRMAA2_INVALID_ARGUMENT, "jobName \"\xef\xbf\xbd\"");
    REFUSED(reservationId, strdup("no-such-reservation"), DRMAA2_INVALID_ARGUMENT, "no-such-reservation");
    REFUSED(queueName, strdup("no-such-queue"), DRMAA2_INVALID_ARGUMENT, "queueName \"no-such-queue\"");
    REFUSED(minSlots, 0, DRMAA2_INVALID_ARGUMENT, "minSlots");
    REFUSED(minSlots, -2, DRMAA2_INVALID_ARGUMENT, "minSlots");
    REFUSED(maxSlots, 0, DRMAA2_INVALID_ARGUMENT, "maxSlots");
    jt = command("true");
    jt->minSlots = 2;
    jt->maxSlots = 1;
    refused(js, jt, DRMAA2_INVALID_ARGUMENT, "maxSlots");
    REFUSED(minPhysMemory, -5, DRMAA2_INVALID_ARGUMENT, "minPhysMemory");
    REFUSED(startTime, DRMAA2_INFINITE_TIME, DRMAA2_INVALID_ARGUMENT, "startTime");
    REFUSED(outputPath, strdup("relative"), DRMAA2_INVALID_ARGUMENT, "relative");
    REFUSED(inputPath, strdup("/a/$DRMAA2_HOME_DIR$"), DRMAA2_INVALID_ARGUMENT, "inputPath");
    REFUSED(errorPath, strdup("/a/$DRMAA2_INDEX$"), DRMAA2_INVALID_ARGUMENT, "errorPath");
    REFUSED(outputPath, strdup("$DRMAA2_WORKING_DIR$/x"), DRMAA2_INVALID_ARGUMENT, "workingDirectory");
    REFUSED(workingDirectory, strdup("$DRMAA2_WORKING_DIR$"), DRMAA2_INVALID_ARGUMENT, "workingDirectory");
    REFUSED(workingDirectory, strdup("relative"), DRMAA2_INVALID_ARGUMENT, "workingDirectory");
#undef REFUSED
    jt = command("true");
    jt->email = drmaa2_list_create(DRMAA2_STRINGLIST, drmaa2_string_list_default_callback);
    drmaa2_list_add(jt->email, strdup("user@example.org"));
    refused(js, jt, DRMAA2_UNSUPPORTED_ATTRIBUTE, "email");
    jt = command("true");
    jt->jobEnvironment = drmaa2_dict_create(drmaa2_dict_default_callback);
    drmaa2_dict_set(jt->jobEnvironment, strdup("A=B"), strdup("1"));
    refused(js, jt, DRMAA2_INVALID_ARGUMENT, "jobEnvironment: \"A=B\"");
    jt = command("true");
    jt->stageOutFiles = drmaa2_dict_create(drmaa2_dict_default_callback);
    drmaa2_dict_set(jt->stageOutFiles, strdup("/a"), strdup("relative"));
    refused(js, jt, DRMAA2_INVALID_ARGUMENT, "stageOutFiles");
    jt = command("true");
    jt->stageInFiles = drmaa2_dict_create(drmaa2_dict_default_callback);
    drmaa2_dict_set(jt->stageInFiles, strdup("/a"), strdup("/"));
    refused(js, jt, DRMAA2_INVALID_ARGUMENT, "stageInFiles");
    limit_refused(js, DRMAA2_WALLCLOCK_TIME, "0");
    limit_refused(js, DRMAA2_WALLCLOCK_TIME, "soon");
    limit_refused(js, DRMAA2_WALLCLOCK_TIME, "99999999999999999999");
    limit_refused(js, "PATIENCE", "1");
    jt = drmaa2_jtemplate_create();
    jt->remoteCommand = strdup("true");
    jt->jobCategory = strdup("localhost/drmaa2/Absent:7");
    refused(js, jt, DRMAA2_INVALID_ARGUMENT, "jobCategory \"localhost/drmaa2/Absent:7\"");

    /* Empty is not set. */
    jt = command("true");
    jt->email = drmaa2_list_create(DRMAA2_STRINGLIST, NULL);
    jt->candidateMachines = drmaa2_list_create(DRMAA2_STRINGLIST, NULL);
    jt->resourceLimits = drmaa2_dict_create(NULL);
    jt->queueName = strdup("");
    jt->priority = -99999;
    done(js, jt);
    done_with(&js);
}

int main(void)
{
    static const char *const made[] = {"args", "env", "pwd", "in", "out", "err", "joined", "placed"};
    drmaa2_jsession js;
    size_t i;
    CHECK(mkdtemp(dir) != NULL);
    js = session("template");
    arguments_and_environment(js);
    directory(js);
    files(js);
    home(js);
    done_with(&js);
    refusals();
    for (i = 0; i < sizeof made / sizeof *made; i++) {
        char *path = in_dir(made[i]);
        CHECK(remove(path) == 0);
        free(path);
    }
    CHECK(rmdir(dir) == 0);
    return check_result();
}
