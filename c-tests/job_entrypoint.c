/* The command of a job, of what its image and its template say: as Docker puts it together. And an image
   that holds one program and nothing else. */
#include "extension.h"

#define ENTRY "localhost/drmaa2/entrypoint:1"
#define BARE "localhost/drmaa2/bare:1"
#define SCRATCH "localhost/drmaa2/scratch:1"

/* Make and import an image with this configuration. */
static void make(const char *name, const char *config, const char *kind)
{
    char line[2048], archive[] = "/tmp/drmaa2-image-XXXXXX";
    int fd = mkstemp(archive);
    CHECK(fd >= 0 && close(fd) == 0);
    snprintf(line, sizeof line,
             "exec >/dev/null && \"$(dirname \"$DRMAA2_TEST_CONTAINERD\")\"/make-image %s %s '%s' %s && "
             "ctr -a \"$CONTAINERD_ADDRESS\" -n \"$CONTAINERD_NAMESPACE\" images import "
             "--snapshotter \"$CONTAINERD_SNAPSHOTTER\" %s && rm %s",
             archive, name, config, kind, archive, archive);
    needed("DRMAA2_TEST_CONTAINERD");
    CHECK_INT(system(line), 0);
}

static drmaa2_jtemplate of(const char *name, const char *command)
{
    drmaa2_jtemplate jt = drmaa2_jtemplate_create();
    jt->jobCategory = strdup(name);
    if (command != NULL)
        jt->remoteCommand = strdup(command);
    return jt;
}

static void entrypoint(drmaa2_jsession js)
{
    drmaa2_jtemplate jt;
    writes(js, of(ENTRY, NULL), "entry: default argument\n");
    writes(js, of(ENTRY, ""), "entry: default argument\n");
    jt = of(ENTRY, "own");
    add_arg(jt, "a b");
    writes(js, jt, "entry: own a b\n");
    jt = of(ENTRY, NULL);
    add_arg(jt, "alone");
    writes(js, jt, "entry: alone\n");

    /* The image's command belongs to the image's entrypoint. */
    jt = of(ENTRY, NULL);
    set(jt, "entrypoint", "[\"echo\", \"another\"]");
    writes(js, jt, "another\n");
    jt = of(ENTRY, "own");
    set(jt, "entrypoint", "echo");
    writes(js, jt, "own\n");
    jt = of(ENTRY, "echo");
    add_arg(jt, "no entry");
    set(jt, "entrypoint", "[]");
    writes(js, jt, "no entry\n");

    /* Directory and user of the image. */
    jt = of(ENTRY, "-");
    set(jt, "entrypoint", "[\"/bin/sh\", \"-c\", \"pwd; id -u; echo $WHERE\"]");
    writes(js, jt, "/made/for/it\n1000\nimage\n");
}

static void nothing_to_run(drmaa2_jsession js, const char *name, const char *override)
{
    char text[64];
    drmaa2_jinfo ji;
    drmaa2_jtemplate jt = of(name, NULL);
    set(jt, "entrypoint", override);
    ji = outcome(js, jt, text, sizeof text);
    CHECK_INT(ji->jobState, DRMAA2_FAILED);
    CHECK(ji->annotation != NULL && strstr(ji->annotation, "no remoteCommand") != NULL);
    drmaa2_jinfo_free(&ji);
}

static void one_program(drmaa2_jsession js)
{
    drmaa2_jtemplate jt = of(SCRATCH, "/busybox");
    add_arg(jt, "id");
    add_arg(jt, "-u");
    writes(js, jt, "0\n");
    /* The places for mounts are made before the root file system becomes read-only. */
    jt = of(SCRATCH, "/busybox");
    add_arg(jt, "sh");
    add_arg(jt, "-c");
    add_arg(jt, "/busybox touch /f 2>/dev/null || echo read-only; /busybox cat /deep/er/hosts >/t/copy && "
                "/busybox cmp /t/copy /deep/er/hosts && echo same");
    set(jt, "read_only", "on");
    set(jt, "mounts", "/etc/passwd:/deep/er/hosts:ro");
    set(jt, "tmpfs", "/t");
    writes(js, jt, "read-only\nsame\n");
}

int main(void)
{
    drmaa2_jsession js;
    make(ENTRY,
         "{\"Env\":[\"PATH=/bin\",\"WHERE=image\"],\"Entrypoint\":[\"echo\",\"entry:\"],"
         "\"Cmd\":[\"default\",\"argument\"],\"WorkingDir\":\"/made/for/it\",\"User\":\"user\"}",
         "");
    make(BARE, "{}", "");
    make(SCRATCH, "{}", "scratch");
    js = session("entrypoint");
    entrypoint(js);
    nothing_to_run(js, BARE, "");
    nothing_to_run(js, ENTRY, "[]");
    one_program(js);
    done_with(&js);
    /* Without an image there is nothing that could say what to run. */
    js = session("no-image");
    refused(js, drmaa2_jtemplate_create(), DRMAA2_INVALID_ARGUMENT, "neither remoteCommand nor jobCategory");
    done_with(&js);
    CHECK_INT(ctr_lines("images rm " ENTRY " " BARE " " SCRATCH, "localhost"), 3);
    return check_result();
}
