/* A job ends with the last of its processes, not with its command. */
#include <drmaa2_ext.h>

#include "extension.h"

/* Passes when the command has ended; it has the number $command. */
#define OUTLIVE "while kill -0 $command; do :; done 2>/dev/null; "

static char dir[] = "/var/tmp/drmaa2-ending-XXXXXX";

/* Lines of a file of the host; -1 if there is none. */
static int lines(const char *path)
{
    FILE *file = fopen(path, "r");
    int count = 0, byte;
    if (file == NULL)
        return -1;
    while ((byte = getc(file)) != EOF)
        count += byte == '\n';
    fclose(file);
    return count;
}

/* The file of a writer that outlives the command is staged out, and so is what it wrote to the output. */
static void writers(drmaa2_jsession js)
{
    drmaa2_jtemplate jt = shell("command=$$; (" OUTLIVE "seq 1 20000 | tee /tmp/left) & exit 0");
    drmaa2_j j;
    drmaa2_jinfo ji;
    jt->stageOutFiles = drmaa2_dict_create(drmaa2_dict_default_callback);
    CHECK_OK(drmaa2_dict_set(jt->stageOutFiles, strdup("/tmp/left"), strdup(path_in(dir, "left"))));
    jt->outputPath = strdup(path_in(dir, "output"));
    j = submit(js, jt);
    ji = finish(j);
    CHECK_INT(ji->jobState, DRMAA2_DONE);
    CHECK(ji->annotation == NULL);
    CHECK_INT(lines(path_in(dir, "left")), 20000);
    CHECK_INT(lines(path_in(dir, "output")), 20000);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);
}

/* Something that outlives the command is asked to end after a while, and killed if it does not: the job is as its
   command has ended, and says so. */
static void outstayers(drmaa2_jsession js)
{
    static const struct {
        const char *script, *annotation;
        drmaa2_jstate state;
        int status;
    } cases[] = {
        {"sleep 1000 & exit 0", "processes that outlived the command were asked to end after 0.2 s", DRMAA2_DONE, 0},
        {"sleep 1000 & exit 3", "processes that outlived the command were asked to end after 0.2 s", DRMAA2_FAILED, 3},
        {"trap '' TERM; setsid sleep 1000 & exit 0",
         "processes that outlived the command were asked to end after 0.2 s; they did not end within 0.3 s of "
         "SIGTERM; killed",
         DRMAA2_DONE, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        drmaa2_jtemplate jt = shell(cases[i].script);
        drmaa2_j j;
        drmaa2_jinfo ji;
        set(jt, "linger", "0.2");
        set(jt, "grace", "0.3");
        j = submit(js, jt);
        ji = finish(j);
        CHECK_INT(ji->jobState, cases[i].state);
        CHECK_INT(ji->exitStatus, cases[i].status);
        CHECK_STR(ji->annotation, cases[i].annotation);
        drmaa2_jinfo_free(&ji);
        drmaa2_j_free(&j);
    }
}

/* A client that terminates a job does not wait for what outlives its command, by force not even for its grace. */
static void terminated(drmaa2_jsession js)
{
    static const struct {
        drmaa2_error (*end)(drmaa2_j);
        const char *annotation;
    } ways[] = {
        {drmaa2_j_terminate, "terminated on request"},
        {drmaa2_j_terminate_forced, "killed on request"},
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        int pipe;
        drmaa2_jtemplate jt = shell("exec >/shared/pipe; command=$$; (" OUTLIVE "echo ready; exec sleep 1000) & exit 0");
        drmaa2_j j;
        drmaa2_jinfo ji;
        set(jt, "linger", "1000");
        j = listening(js, jt, &pipe);
        close(pipe);
        CHECK_OK(ways[i].end(j));
        ji = finish(j);
        CHECK_INT(ji->jobState, DRMAA2_FAILED);
        CHECK(ji->annotation != NULL && strcmp(ji->annotation, ways[i].annotation) == 0);
        drmaa2_jinfo_free(&ji);
        drmaa2_j_free(&j);
    }
}

int main(void)
{
    drmaa2_jsession js = session("ending");
    CHECK(mkdtemp(dir) != NULL);
    writers(js);
    outstayers(js);
    terminated(js);
    CHECK_INT(unlink(path_in(dir, "left")), 0);
    CHECK_INT(unlink(path_in(dir, "output")), 0);
    CHECK_INT(rmdir(dir), 0);
    done_with(&js);
    return check_result();
}
