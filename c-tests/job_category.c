/* The settings that a configured category gives its jobs, which keep them; the slots of a job as processors. */
#include "extension.h"

static char config[] = "/tmp/drmaa2-category-XXXXXX";

static void configure_image(const char *name, const char *keys)
{
    FILE *file = fopen(config, "w");
    CHECK(file != NULL);
    fprintf(file, "[categories.small]\nimage = \"%s\"\n%s", name, keys);
    CHECK(fclose(file) == 0);
}

static void configure(const char *keys)
{
    configure_image(image(), keys);
}

static drmaa2_jtemplate small(const char *script)
{
    drmaa2_jtemplate jt = shell(script);
    free(jt->jobCategory);
    jt->jobCategory = strdup("small");
    return jt;
}

static void given(const char *unused)
{
    drmaa2_jsession js = session("category");
    drmaa2_jtemplate jt;
    (void)unused;
    writes(js, small("hostname; id -u"), "from-category\n1000\n");
    jt = small("hostname; id -u");
    set(jt, "hostname", "own");
    writes(js, jt, "own\n1000\n");
    /* It is the image's name that counts here. */
    writes(js, shell("id -u"), "0\n");
    done_with(&js);
}

/* Where the job writes that one process holds and another releases, both of them children of this one. */
static char written[64];

static void hold(const char *unused)
{
    drmaa2_jsession js = session("kept");
    drmaa2_jtemplate jt = small("hostname"), back;
    drmaa2_j j;
    (void)unused;
    jt->submitAsHold = DRMAA2_TRUE;
    jt->outputPath = strdup(written);
    j = submit(js, jt);
    /* The template is the one that was submitted. */
    back = drmaa2_j_get_jtemplate(j);
    CHECK_NULL(drmaa2_get_instance_value(back, "containerd_jt_hostname"), DRMAA2_SUCCESS);
    CHECK(back->implementationSpecific == NULL);
    drmaa2_jtemplate_free(&back);
    CHECK_OK(drmaa2_close_jsession(js));
    drmaa2_jsession_free(&js);
    drmaa2_j_free(&j);
}

/* Another process, in which the category gives something else. */
static void release(const char *unused)
{
    char text[64];
    FILE *file;
    drmaa2_jsession js = drmaa2_open_jsession("kept");
    drmaa2_j_list jobs = drmaa2_jsession_get_jobs(js, NULL);
    drmaa2_j j = (drmaa2_j)drmaa2_list_get(jobs, 0);
    drmaa2_jinfo ji;
    (void)unused;
    CHECK_OK(drmaa2_j_release(j));
    ji = finish(j);
    CHECK_INT(ji->jobState, DRMAA2_DONE);
    drmaa2_jinfo_free(&ji);
    file = fopen(written, "r");
    CHECK(file != NULL && fgets(text, sizeof text, file) != NULL && fclose(file) == 0);
    CHECK_STR(text, "from-category\n");
    unlink(written);
    drmaa2_list_free(&jobs);
    done_with(&js);
}

/* The policy of a category counts for its jobs, unless they have their own. */
static void pulled(const char *unused)
{
    drmaa2_jsession js = session("pulled");
    drmaa2_jtemplate jt = small("true");
    (void)unused;
    refused(js, jt, DRMAA2_INVALID_ARGUMENT, "127.0.0.1:1/absent");
    jt = small("true");
    set(jt, "pull", "missing");
    jt->submitAsHold = DRMAA2_TRUE;
    {
        drmaa2_j j = submit(js, jt);
        end(&j);
    }
    done_with(&js);
}

static void mistake(const char *part)
{
    CHECK(drmaa2_create_jsession("x", NULL) == NULL);
    failed(DRMAA2_SESSION_MANAGEMENT, part);
    failed(DRMAA2_SESSION_MANAGEMENT, config);
}

/* Slots that are counted are processors: so many the job gets, and no more. */
static void slots(const char *count)
{
    drmaa2_jsession js;
    drmaa2_jtemplate jt;
    if (count != NULL)
        setenv("DRMAA2_SLOTS", count, 1);
    js = session("slots");
    jt = shell("echo $NSLOTS $DRMAA2_JOB_SLOTS ${OMP_NUM_THREADS-all}");
    jt->minSlots = 2;
    writes(js, jt, count != NULL ? "2 2 2\n" : "2 2 all\n");
    jt = in_group(CPU_LIMIT);
    jt->minSlots = 2;
    writes(js, jt, count != NULL ? "200\n" : "0\n");
    if (count != NULL) {
        jt = in_group(CPU_LIMIT);
        jt->maxSlots = 3;
        writes(js, jt, "300\n");
        jt = in_group(CPU_LIMIT);
        jt->minSlots = 2;
        set(jt, "cpus", "0.5");
        writes(js, jt, "50\n");
        jt = shell("unset OMP_NUM_THREADS; nproc");
        set(jt, "cpuset", "slots");
        writes(js, jt, "1\n");
    }
    done_with(&js);
}

int main(void)
{
    int fd = mkstemp(config);
    CHECK(fd >= 0 && close(fd) == 0);
    snprintf(written, sizeof written, "/tmp/drmaa2-category-%ld", (long)getpid());
    in_child(slots, NULL);
    in_child(slots, "3");
    setenv("DRMAA2_CONFIG", config, 1);
    configure("hostname = \"from-category\"\nuser = \"user\"\npids = 50\npull = \"never\"\n");
    in_child(given, "");
    in_child(hold, "");
    configure("hostname = \"changed\"\n");
    in_child(release, "");
    configure_image("127.0.0.1:1/absent", "pull = \"never\"\n");
    in_child(pulled, "");
    configure("hostname = \"-\"\n");
    in_child(mistake, "hostname");
    configure("hostnam = \"a\"\n");
    in_child(mistake, "hostnam");
    unlink(config);
    return check_result();
}
