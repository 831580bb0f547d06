/* Files are copied into the container before the command, and out of it afterwards. */
#include "job.h"

#include <fcntl.h>
#include <sys/stat.h>

static char dir[] = "/var/tmp/drmaa2-staging.XXXXXX";

static const char *at(const char *name)
{
    return path_in(dir, name);
}

static void put(const char *name, const char *text)
{
    FILE *file = fopen(at(name), "w");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void holds(const char *name, const char *expected)
{
    char text[256] = "";
    FILE *file = fopen(at(name), "r");
    CHECK(file != NULL);
    if (file == NULL)
        return;
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    CHECK_STR(text, expected);
}

static void add(drmaa2_dict *dict, const char *from, const char *to)
{
    if (*dict == NULL)
        *dict = drmaa2_dict_create(drmaa2_dict_default_callback);
    CHECK_INT(drmaa2_dict_set(*dict, strdup(from), strdup(to)), DRMAA2_SUCCESS);
}

/* The job ends with this state and status; its annotation holds this part. */
static void ends(drmaa2_jsession js, drmaa2_jtemplate jt, drmaa2_jstate state, int status, const char *part)
{
    drmaa2_j j = submit(js, jt);
    drmaa2_jinfo ji = finish(j);
    CHECK_INT(ji->jobState, state);
    CHECK_INT(ji->exitStatus, status);
    CHECK(part == NULL || (ji->annotation != NULL && strstr(ji->annotation, part) != NULL));
    if (ji->annotation != NULL && (part == NULL || strstr(ji->annotation, part) == NULL))
        fprintf(stderr, "  the annotation is \"%s\"\n", ji->annotation);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);
}

static void files_and_directories(drmaa2_jsession js)
{
    drmaa2_jtemplate jt;
    struct stat stat_of;
    put("in", "text\n");
    CHECK(mkdir(at("tree"), 0755) == 0 && symlink("leaf", at("tree/link")) == 0);
    put("tree/leaf", "leaf\n");
    /* In a directory where an ordinary user may write as well. */
    jt = shell("cat new/place/in tree/link >results; mkdir made; mv results made; chmod 640 made/results");
    jt->workingDirectory = strdup("/tmp");
    add(&jt->stageInFiles, at("in"), "/tmp/new/place/in");
    add(&jt->stageInFiles, at("tree"), "$DRMAA2_WORKING_DIR$/tree");
    add(&jt->stageOutFiles, "/tmp/made", at("made"));
    add(&jt->stageOutFiles, "tree/link", at("link"));
    ends(js, jt, DRMAA2_DONE, 0, NULL);
    holds("made/results", "text\nleaf\n");
    CHECK(stat(at("made/results"), &stat_of) == 0 && (stat_of.st_mode & 0777) == 0640);
    CHECK(lstat(at("link"), &stat_of) == 0 && S_ISLNK(stat_of.st_mode));
}

static void failures(drmaa2_jsession js)
{
    drmaa2_jtemplate jt = shell("exit 0");
    add(&jt->stageInFiles, at("missing"), "/tmp/in");
    ends(js, jt, DRMAA2_FAILED, -1, at("missing"));

    /* The job's own status stays. */
    jt = shell("exit 3");
    add(&jt->stageOutFiles, "/missing", at("out"));
    ends(js, jt, DRMAA2_FAILED, 3, "stageOutFiles /missing");

    /* The files of a command are staged out even if it failed. */
    jt = shell("echo left >/tmp/left; exit 4");
    add(&jt->stageOutFiles, "/tmp/left", at("left"));
    ends(js, jt, DRMAA2_FAILED, 4, NULL);
    holds("left", "left\n");

    jt = shell("echo left >/tmp/left");
    add(&jt->stageOutFiles, "/tmp/left", at("no/such/directory"));
    ends(js, jt, DRMAA2_FAILED, -1, at("no/such"));
}

/* Between submission and start, a file becomes another one. */
static void replaced(drmaa2_jsession js)
{
    drmaa2_jtemplate jt = shell("cat /tmp/in");
    drmaa2_j j;
    drmaa2_jinfo ji;
    put("mine", "mine");
    put("secret", "secret");
    add(&jt->stageInFiles, at("mine"), "/tmp/in");
    jt->outputPath = strdup(at("output"));
    jt->submitAsHold = DRMAA2_TRUE;
    j = submit(js, jt);
    CHECK(unlink(at("mine")) == 0 && symlink(at("secret"), at("mine")) == 0);
    CHECK_INT(drmaa2_j_release(j), DRMAA2_SUCCESS);
    ji = finish(j);
    CHECK_INT(ji->jobState, DRMAA2_FAILED);
    CHECK(ji->annotation != NULL && strstr(ji->annotation, "was replaced after the job was submitted"));
    holds("output", "");
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);
}

static void arrays(drmaa2_jsession js)
{
    drmaa2_jtemplate jt = shell("cat in >>out");
    drmaa2_jarray ja;
    drmaa2_j_list jobs;
    put("in.1", "one");
    put("in.2", "two");
    jt->workingDirectory = strdup("/tmp");
    add(&jt->stageInFiles, at("in.$DRMAA2_INDEX$"), "in");
    add(&jt->stageOutFiles, "out", at("out.$DRMAA2_INDEX$"));
    ja = drmaa2_jsession_run_bulk_jobs(js, jt, 1, 2, 1, DRMAA2_UNSET_NUM);
    CHECK(ja != NULL);
    if (ja == NULL)
        give_up("run_bulk_jobs");
    jobs = drmaa2_jarray_get_jobs(ja);
    for (long i = 0; i < drmaa2_list_size(jobs); i++)
        CHECK_INT(drmaa2_j_wait_terminated((drmaa2_j)drmaa2_list_get(jobs, i), LONG), DRMAA2_SUCCESS);
    holds("out.1", "one");
    holds("out.2", "two");
    drmaa2_list_free(&jobs);
    drmaa2_jarray_free(&ja);
    drmaa2_jtemplate_free(&jt);
}

/* A path of a mount has to be there when the job is submitted. */
static void mounts(drmaa2_jsession js)
{
    drmaa2_jtemplate jt = shell("cat /data/in");
    char value[256];
    snprintf(value, sizeof value, "%s:/data:ro", at("nowhere"));
    CHECK_INT(drmaa2_set_instance_value(jt, "containerd_jt_mounts", value), DRMAA2_SUCCESS);
    CHECK_NULL(drmaa2_jsession_run_job(js, jt), DRMAA2_INVALID_ARGUMENT);
    failed(DRMAA2_INVALID_ARGUMENT, at("nowhere"));
    snprintf(value, sizeof value, "%s:/data:ro", dir);
    CHECK_INT(drmaa2_set_instance_value(jt, "containerd_jt_mounts", value), DRMAA2_SUCCESS);
    jt->outputPath = strdup(at("output"));
    ends(js, jt, DRMAA2_DONE, 0, NULL);
    holds("output", "text\n");
}

int main(void)
{
    drmaa2_jsession js;
    char remove[64];
    CHECK(mkdtemp(dir) != NULL);
    js = session("staging");
    files_and_directories(js);
    failures(js);
    /* Nodes know a file system by other numbers than the machine that submits. */
    if (!on_slurm())
        replaced(js);
    arrays(js);
    mounts(js);
    done_with(&js);
    snprintf(remove, sizeof remove, "rm -r '%s'", dir);
    CHECK_INT(system(remove), 0);
    return check_result();
}
