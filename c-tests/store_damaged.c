/*
 * A database that is damaged is set aside by the call that finds it, which says so, and the next one works. While another
 * process uses the state directory, nothing is moved away below it. Needs no containerd.
 */
#include "check.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[] = "/tmp/drmaa2-damaged-XXXXXX";

static const char *at(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void damage(void)
{
    FILE *file = fopen(at("drmaa2.db"), "w");
    /* The content of the journal would do without the file. */
    unlink(at("drmaa2.db-wal"));
    unlink(at("drmaa2.db-shm"));
    CHECK(file != NULL);
    for (int i = 0; i < 1000; i++)
        fputs("no database ", file);
    CHECK_INT(fclose(file), 0);
}

static void refused(const char *part)
{
    char *text;
    CHECK_NULL(drmaa2_create_jsession("s", NULL), DRMAA2_SESSION_MANAGEMENT);
    text = drmaa2_lasterror_text();
    CHECK(text != NULL && strstr(text, part) != NULL && strstr(text, "damaged") != NULL);
    if (text != NULL && strstr(text, part) == NULL)
        fprintf(stderr, "  the text is \"%s\"\n", text);
    free(text);
}

static void succeeds(void)
{
    drmaa2_jsession js = drmaa2_create_jsession("s", NULL);
    CHECK(js != NULL);
    CHECK_OK(drmaa2_close_jsession(js));
    drmaa2_jsession_free(&js);
}

/* A process that has a session until it may end. */
static pid_t user(int may_end)
{
    drmaa2_jsession js;
    int ready[2];
    char byte;
    pid_t child;
    CHECK_INT(pipe(ready), 0);
    child = fork();
    if (child == 0) {
        close(ready[0]);
        js = drmaa2_create_jsession("u", NULL);
        CHECK(js != NULL);
        CHECK_INT(write(ready[1], "r", 1), 1);
        CHECK_INT(read(may_end, &byte, 1), 1);
        _exit(check_result());
    }
    close(ready[1]);
    CHECK_INT(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return child;
}

int main(void)
{
    char command[64];
    struct stat found;
    int status, may_end[2];
    pid_t other;
    CHECK(mkdtemp(dir) != NULL);
    setenv("DRMAA2_STATE_DIR", dir, 1);
    CHECK_INT(pipe(may_end), 0);
    other = user(may_end[0]);
    damage();
    refused("once no other process uses it");
    CHECK(stat(at("drmaa2.db.damaged-1"), &found) == -1);
    CHECK_INT(write(may_end[1], "e", 1), 1);
    CHECK_INT(waitpid(other, &status, 0), other);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    damage();
    refused(at("drmaa2.db.damaged-1"));
    CHECK(stat(at("drmaa2.db.damaged-1"), &found) == 0 && found.st_size == 12000);
    succeeds();
    snprintf(command, sizeof command, "rm -rf %s", dir);
    CHECK_INT(system(command), 0);
    return check_result();
}
