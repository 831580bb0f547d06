/* The reach of a job, and the parts that run it, as a program asks for them. */
#include "extension.h"

#include <sys/stat.h>

static drmaa2_jtemplate with(const char *name, const char *value)
{
    drmaa2_jtemplate jt = shell("exit 0");
    set(jt, name, value);
    return jt;
}

static void system_calls(drmaa2_jsession js)
{
    const char *script = "sed -n 's/^Seccomp:\t//p' /proc/self/status";
    sees(js, "seccomp", "default", script, "2\n");
    sees(js, "seccomp", "unconfined", script, "0\n");
    refused(js, with("seccomp", "/no/such/profile"), DRMAA2_INVALID_ARGUMENT, "/no/such/profile");
}

static void devices(drmaa2_jsession js)
{
    sees(js, "devices", "/dev/full:/dev/my:w", "echo x 2>&1 >/dev/my | grep -o 'No space'", "No space\n");
    refused(js, with("devices", "/dev/no-such"), DRMAA2_INVALID_ARGUMENT, "/dev/no-such");
    refused(js, with("devices", "example.com/none=0"), DRMAA2_INVALID_ARGUMENT, "example.com/none=0");
}

static void without_init(drmaa2_jsession js)
{
    drmaa2_jtemplate jt;
    drmaa2_j j;
    sees(js, "init", "off", "echo $$", "1\n");

    jt = with("init", "off");
    jt->resourceLimits = drmaa2_dict_create(drmaa2_dict_default_callback);
    CHECK_OK(drmaa2_dict_set(jt->resourceLimits, strdup(DRMAA2_WALLCLOCK_TIME), strdup("60")));
    refused(js, jt, DRMAA2_UNSUPPORTED_ATTRIBUTE, "WALLCLOCK_TIME");
    /* Names are in files of the image, and a spec holds UTF-8 only. */
    jt = with("init", "off");
    set(jt, "user", "user");
    refused(js, jt, DRMAA2_INVALID_ARGUMENT, "containerd_jt_user: \"user\"");
    jt = with("init", "off");
    add_arg(jt, "\xff");
    refused(js, jt, DRMAA2_INVALID_ARGUMENT, "args");

    jt = shell("while :; do sleep 0.1; done");
    set(jt, "init", "off");
    set(jt, "grace", "0.1");
    j = run(js, jt);
    CHECK_OK(drmaa2_j_terminate(j));
    CHECK_OK(drmaa2_j_wait_terminated(j, LONG));
    CHECK_OK(drmaa2_j_reap(j));
    drmaa2_j_free(&j);
}

static char dir[] = "/tmp/drmaa2-sandbox-XXXXXX";

static const char *in_dir(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void put(const char *name, const char *text)
{
    FILE *file = fopen(in_dir(name), "w");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

/* A site with a device of its own. */
static void configure(void)
{
    char text[512];
    CHECK(mkdtemp(dir) != NULL && chmod(dir, 0755) == 0);
    put("gpu.yaml", "cdiVersion: 0.6.0\nkind: example.com/gpu\ndevices:\n- name: one\n  containerEdits:\n"
                    "    env: [VENDOR=example]\n    deviceNodes: [{path: /dev/gpu, hostPath: /dev/full}]\n");
    snprintf(text, sizeof text, "cdi_dirs = [\"%s\"]\n", dir);
    put("config.toml", text);
    setenv("DRMAA2_CONFIG", in_dir("config.toml"), 1);
}

/* The parts of containerd that run a job. */
static void parts(drmaa2_jsession js)
{
    const char *usual = getenv("CONTAINERD_SNAPSHOTTER");
    const int native = usual != NULL && strcmp(usual, "native") == 0;
    char text[512];
    drmaa2_jtemplate jt;
    sees(js, "devices", "example.com/gpu=one", "echo $VENDOR; echo x 2>&1 >/dev/gpu | grep -o 'No space'",
         "example\nNo space\n");
    sees(js, "snapshotter", native ? "overlayfs" : "native", "grep -c '^overlay / ' /proc/mounts; true",
         native ? "1\n" : "0\n");

    snprintf(text, sizeof text, "#!/bin/sh\ntouch %s/ran\nexec runc \"$@\"\n", dir);
    put("my-runc", text);
    CHECK(chmod(in_dir("my-runc"), 0755) == 0);
    jt = shell("echo run");
    set(jt, "runtime", "io.containerd.runc.v2");
    set(jt, "runtime_binary", in_dir("my-runc"));
    writes(js, jt, "run\n");
    CHECK(access(in_dir("ran"), F_OK) == 0);
    {
        drmaa2_jinfo ji = outcome(js, with("runtime_binary", "/no/such/runc"), text, sizeof text);
        CHECK_INT(ji->jobState, DRMAA2_FAILED);
        CHECK(ji->annotation != NULL && strstr(ji->annotation, "/no/such/runc") != NULL);
        drmaa2_jinfo_free(&ji);
    }
}

static void clear(void)
{
    static const char *const made[] = {"gpu.yaml", "config.toml", "my-runc", "ran"};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        CHECK(unlink(in_dir(made[i])) == 0);
    CHECK(rmdir(dir) == 0);
}

static void kept(void)
{
    char command[1024];
    drmaa2_jsession js = session("kept");
    drmaa2_string id;
    drmaa2_jtemplate jt = with("keep", "on");
    drmaa2_j j = submit(js, jt);
    drmaa2_jinfo ji = finish(j);
    CHECK_INT(ji->jobState, DRMAA2_DONE);
    drmaa2_jinfo_free(&ji);
    id = drmaa2_j_get_id(j);
    CHECK_OK(drmaa2_j_reap(j));
    drmaa2_j_free(&j);
    /* Waits until the job's task is gone, without which its container can be removed. */
    done_with(&js);
    CHECK_INT(ctr_lines("containers ls", id), 1);
    snprintf(command, sizeof command, "containers rm %s", id);
    CHECK_INT(ctr_lines(command, id), 0);
    CHECK_INT(ctr_lines("containers ls", id), 0);
    drmaa2_string_free(&id);
}

int main(void)
{
    drmaa2_jsession js;
    configure();
    js = session(NULL);
    system_calls(js);
    devices(js);
    without_init(js);
    refused(js, with("runtime", "rubbish"), DRMAA2_INVALID_ARGUMENT, "rubbish");
    refused(js, with("snapshotter", "none-such"), DRMAA2_INVALID_ARGUMENT, "none-such");
    parts(js);
    done_with(&js);
    kept();
    clear();
    return check_result();
}
