/* The end of a job is told exactly: exit codes, signals, and commands that could not be started. */
#include "job.h"

static void exit_code(drmaa2_jsession js, int code)
{
    char script[32];
    drmaa2_j j;
    drmaa2_jinfo ji;
    snprintf(script, sizeof script, "exit %d", code);
    j = run(js, shell(script));
    ji = finish(j);
    CHECK_INT(ji->jobState, code == 0 ? DRMAA2_DONE : DRMAA2_FAILED);
    CHECK_INT(ji->exitStatus, code);
    CHECK(ji->terminatingSignal == NULL);
    CHECK(ji->annotation == NULL);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);
}

static void by_signal(drmaa2_jsession js, const char *name, int number)
{
    char script[32];
    drmaa2_j j;
    drmaa2_jinfo ji;
    snprintf(script, sizeof script, "kill -%d $$", number);
    j = run(js, shell(script));
    ji = finish(j);
    CHECK_INT(ji->jobState, DRMAA2_FAILED);
    CHECK_INT(ji->exitStatus, 128 + number);
    CHECK_STR(ji->terminatingSignal, name);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);
}

/* The call succeeds; the job fails and says why. */
static void not_started(drmaa2_jsession js, drmaa2_jtemplate jt, int code, const char *reason)
{
    drmaa2_j j = run(js, jt);
    drmaa2_jinfo ji = finish(j);
    CHECK_INT(ji->jobState, DRMAA2_FAILED);
    CHECK_INT(ji->exitStatus, code);
    CHECK(ji->terminatingSignal == NULL);
    CHECK(ji->annotation != NULL && strstr(ji->annotation, reason) != NULL);
    if (ji->annotation != NULL && strstr(ji->annotation, reason) == NULL)
        fprintf(stderr, "  annotation \"%s\"\n", ji->annotation);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);
}

int main(void)
{
    static const int codes[] = {0, 1, 77, 255};
    drmaa2_jsession js = session(NULL);
    drmaa2_jtemplate jt;
    size_t i;
    for (i = 0; i < sizeof codes / sizeof *codes; i++)
        exit_code(js, codes[i]);
    /* An exit code that looks like a signal is none. */
    exit_code(js, 137);
    by_signal(js, "SIGKILL", 9);
    by_signal(js, "SIGSEGV", 11);
    by_signal(js, "SIGTERM", 15);

    not_started(js, command("no-such-command"), 127, "no-such-command");
    not_started(js, command("/no/such/command"), 127, "/no/such/command");
    not_started(js, command("/etc/passwd"), 126, "/etc/passwd");
    jt = command("true");
    jt->workingDirectory = strdup("/no/such/directory");
    not_started(js, jt, 126, "/no/such/directory");
    jt = command("true");
    jt->outputPath = strdup("/no/such/directory/out");
    not_started(js, jt, -1, "/no/such/directory/out");
    jt = command("true");
    jt->inputPath = strdup("/no/such/input");
    not_started(js, jt, -1, "/no/such/input");
    done_with(&js);
    return check_result();
}
