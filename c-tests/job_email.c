/* Mails about jobs, through a program that does with them what sendmail would, but to a directory. */
#include "job.h"

#include <sys/inotify.h>
#include <sys/stat.h>

/* The number of jobs that end at once. */
#define MANY 50

static char dir[] = "/tmp/drmaa2-email-XXXXXX";
static int watch;

static void path_of(char *path, size_t size, const char *name)
{
    snprintf(path, size, "%s/%s", dir, name);
}

/* Its arguments and the message, put in place as a whole. */
static void make_program(void)
{
    char path[64];
    FILE *file;
    path_of(path, sizeof path, "sendmail");
    file = fopen(path, "w");
    CHECK(file != NULL);
    fprintf(file, "#!/bin/sh\nfile=$(mktemp %s/.XXXXXX)\n", dir);
    fprintf(file, "[ -e %s/full ] && { echo 'spool is full' >&2; mv $file %s/refused; exit 75; }\n", dir, dir);
    fprintf(file, "{ echo \"args: $*\"; grep -E 'Sig(Blk|Ign)' /proc/self/status; cat; } > $file\n");
    fprintf(file, "echo noise; echo noise >&2; mv $file %s/mail.${file##*.}\n", dir);
    CHECK(fclose(file) == 0 && chmod(path, 0755) == 0);
    setenv("DRMAA2_SENDMAIL", path, 1);
}

/* The name of the next file that is put in place. The kernel may tell of several at once. */
static const char *next_name(void)
{
    static _Alignas(struct inotify_event) char events[4096];
    static ssize_t told, seen;
    const struct inotify_event *event;
    if (seen == told) {
        await_readable(watch, "the next mail");
        told = read(watch, events, sizeof events);
        seen = 0;
        CHECK(told > 0);
    }
    event = (const struct inotify_event *)(events + seen);
    seen += (ssize_t)(sizeof *event + event->len);
    return event->name;
}

/* The next mail, which has to have this part; gives its text. */
static void mail_has(char *text, size_t size, const char *part)
{
    char path[320];
    size_t length = 0;
    FILE *file;
    snprintf(path, sizeof path, "%s/%.255s", dir, next_name());
    file = fopen(path, "r");
    CHECK(file != NULL);
    if (file != NULL) {
        length = fread(text, 1, size - 1, file);
        fclose(file);
    }
    text[length] = '\0';
    CHECK(strstr(text, part) != NULL);
    if (strstr(text, part) == NULL)
        fprintf(stderr, "  \"%s\" lacks \"%s\"\n", text, part);
    CHECK(remove(path) == 0);
}

/* Is this the first mail about its task of an array? */
static int is_new(const char *text)
{
    static int seen[MANY + 1];
    const char *id = strstr(text, "Subject: Job ");
    const char *point = id == NULL ? NULL : strchr(id, '.');
    int task = point == NULL ? 0 : atoi(point + 1);
    CHECK(task >= 1 && task <= MANY);
    return task >= 1 && task <= MANY && !seen[task]++;
}

/* The signals that the program ignored. The C library has every program that it spawns ignore the two that it
   uses itself. */
static long long ignored_in(const char *text)
{
    const char *line = strstr(text, "SigIgn:\t");
    return line == NULL ? -1 : strtoll(line + 8, NULL, 16) & ~0x180000000LL;
}

static drmaa2_jtemplate mailing(drmaa2_jtemplate jt, const char *address, int started, int ended)
{
    jt->email = drmaa2_list_create(DRMAA2_STRINGLIST, drmaa2_string_list_default_callback);
    drmaa2_list_add(jt->email, strdup(address));
    drmaa2_list_add(jt->email, strdup("root"));
    jt->emailOnStarted = started ? DRMAA2_TRUE : DRMAA2_FALSE;
    jt->emailOnTerminated = ended ? DRMAA2_TRUE : DRMAA2_FALSE;
    return jt;
}

static void refused(drmaa2_jsession js, drmaa2_jtemplate jt, const char *part)
{
    CHECK(drmaa2_jsession_run_job(js, jt) == NULL);
    failed(DRMAA2_INVALID_ARGUMENT, part);
    drmaa2_jtemplate_free(&jt);
}

/* A mail that is refused stays and is reported, and goes out when it is tried again. */
static void refusals(drmaa2_jsession js)
{
    char path[64], text[8192];
    FILE *full;
    drmaa2_jinfo ji;
    drmaa2_j j;
    path_of(path, sizeof path, "full");
    full = fopen(path, "w");
    CHECK(full != NULL && fclose(full) == 0);
    j = run(js, mailing(command("true"), "a@b", 0, 1));
    CHECK_STR(next_name(), "refused");
    /* The result of the first try is stored before the second one. */
    CHECK_STR(next_name(), "refused");
    ji = drmaa2_j_get_info(j);
    CHECK_INT(ji->jobState, DRMAA2_DONE);
    CHECK(ji->annotation != NULL && strstr(ji->annotation, "no mail can be sent to a@b, root with /") != NULL);
    CHECK(ji->annotation != NULL && strstr(ji->annotation, "exit status: 75: spool is full") != NULL);
    drmaa2_jinfo_free(&ji);
    CHECK(remove(path) == 0);
    path_of(path, sizeof path, "refused");
    CHECK(remove(path) == 0);
    mail_has(text, sizeof text, "is DONE");
    CHECK(strstr(text, "spool") == NULL);
    drmaa2_j_free(&j);
}

/* A process that has many mails to send, and does not stay for them. */
static void many(const char *name)
{
    drmaa2_jsession js = drmaa2_open_jsession(name);
    drmaa2_jtemplate jt = mailing(command("true"), "a@b", 0, 1);
    drmaa2_jarray array;
    CHECK(js != NULL);
    jt->submitAsHold = DRMAA2_TRUE;
    array = drmaa2_jsession_run_bulk_jobs(js, jt, 1, MANY, 1, 0);
    CHECK(array != NULL && drmaa2_jarray_terminate(array) == DRMAA2_SUCCESS);
}

int main(void)
{
    char text[8192], path[64];
    int i;
    drmaa2_jsession js;
    drmaa2_jtemplate jt;
    drmaa2_j j;
    drmaa2_string id;
    /* The program waits for children of its own, which it could not if it ignored their end as well. */
    CHECK(signal(SIGCHLD, SIG_IGN) != SIG_ERR && signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    CHECK(mkdtemp(dir) != NULL);
    CHECK_INT(drmaa2_supports(DRMAA2_JT_EMAIL), DRMAA2_FALSE);
    make_program();
    CHECK_INT(drmaa2_supports(DRMAA2_JT_EMAIL), DRMAA2_TRUE);
    watch = inotify_init1(IN_CLOEXEC);
    CHECK(watch >= 0 && inotify_add_watch(watch, dir, IN_MOVED_TO | IN_MASK_CREATE) >= 0);
    js = session(NULL);

    jt = mailing(shell("echo begun; exec sleep 1000"), "user@example.org", 1, 1);
    jt->jobName = strdup("mailer");
    j = run_begun(js, jt);
    id = drmaa2_j_get_id(j);
    mail_has(text, sizeof text, "has started");
    CHECK(strstr(text, "args: -i -- user@example.org root\n") != NULL);
    CHECK(strstr(text, "SigBlk:\t0000000000000000\n") != NULL);
    CHECK_INT(ignored_in(text), 0);
    CHECK(strstr(text, "To: user@example.org, root\nSubject: Job ") != NULL);
    CHECK(strstr(text, id) != NULL && strstr(text, "(mailer)") != NULL);
    end(&j);
    mail_has(text, sizeof text, "is FAILED");
    CHECK(strstr(text, "Signal: SIGTERM\n") != NULL && strstr(text, id) != NULL);
    drmaa2_string_free(&id);
    CHECK(signal(SIGCHLD, SIG_DFL) == SIG_IGN);

    /* Each only if it is asked for, and also of a job that never ran. */
    j = run(js, mailing(command("true"), "a@b", 0, 1));
    mail_has(text, sizeof text, "is DONE");
    drmaa2_j_free(&j);
    jt = mailing(command("true"), "a@b", 1, 1);
    jt->submitAsHold = DRMAA2_TRUE;
    j = submit(js, jt);
    end(&j);
    mail_has(text, sizeof text, "Reason: terminated before it started\n");

    refusals(js);
    refused(js, mailing(command("true"), "-oQ/tmp", 1, 0), "-oQ/tmp");
    refused(js, mailing(command("true"), "a@b\nBcc: c@d", 1, 0), "email");
    jt = command("true");
    jt->emailOnStarted = DRMAA2_TRUE;
    refused(js, jt, "emailOnStarted");
    id = drmaa2_jsession_get_session_name(js);
    in_child(many, id);
    drmaa2_string_free(&id);
    /* None is lost. */
    for (i = 0; i < MANY;) {
        mail_has(text, sizeof text, "is FAILED");
        i += is_new(text);
    }

    /* No child is left to the host, of which it would have to know. */
    CHECK(waitpid(-1, NULL, WNOHANG) == -1);
    done_with(&js);
    snprintf(path, sizeof path, "rm -rf '%s'", dir);
    CHECK_INT(system(path), 0);
    close(watch);
    return check_result();
}
