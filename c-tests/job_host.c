/* Jobs without an image, in the root file system of the machine: theirs is what their user's is, and no more. */
#include "as.h"

/* A user who is not root, with no home. */
#define OTHER 65534

static char dir[] = "/var/tmp/drmaa2-host.XXXXXX";

static const char *at(const char *name)
{
    return path_in(dir, name);
}

static drmaa2_jtemplate on_host(const char *script)
{
    drmaa2_jtemplate jt = shell(script);
    free(jt->jobCategory);
    jt->jobCategory = strdup("host");
    jt->workingDirectory = strdup(dir);
    return jt;
}

static void is_the_machines(drmaa2_jsession js)
{
    char expected[256], host[65] = "";
    drmaa2_jtemplate jt = on_host("bash -c 'echo bash $((6 * 7))'; python3 -c 'print(\"python\", 6 * 7)';"
                                  "getent passwd root | cut -d: -f1; uname -n; pwd; echo new >made && cat made");
    CHECK_INT(gethostname(host, sizeof host - 1), 0);
    snprintf(expected, sizeof expected, "bash 42\npython 42\nroot\n%s\n%s\nnew\n", host, dir);
    writes(js, jt, expected);
    CHECK(access(at("made"), R_OK) == 0);

    jt = on_host("pwd; echo $HOME $USER");
    drmaa2_string_free(&jt->workingDirectory);
    writes(js, jt, "/root\n/root root\n");
}

/* Processes, shared memory and control group are its own; and so is the root itself, where nothing can be made. */
static void is_a_container(drmaa2_jsession js)
{
    writes(js, on_host("ls -d /proc/[0-9]* | wc -l | grep -c '^[1-9]$'; ls /dev/shm | wc -l; ls /sys/fs/cgroup >/dev/null && echo sees;"
                       "touch /new 2>/dev/null || echo refused; ls -d /dev/sd* /dev/vd* 2>/dev/null | wc -l"),
           "1\n0\nsees\nrefused\n0\n");
    CHECK(access("/new", F_OK) != 0);
}

static void attributes(drmaa2_jsession js)
{
    char value[256];
    drmaa2_jtemplate jt = on_host("cat /data/made; df /tmp | awk 'NR == 2 { print $1 }'; touch /data/x 2>/dev/null || echo refused");
    snprintf(value, sizeof value, "%s:/data:ro", dir);
    set(jt, "mounts", value);
    set(jt, "tmpfs", "/tmp:1m");
    writes(js, jt, "new\ntmpfs\nrefused\n");

    jt = on_host("cat made; touch other 2>/dev/null || echo refused; touch /var/tmp/other 2>/dev/null || echo refused");
    set(jt, "read_only", "on");
    writes(js, jt, "new\nrefused\nrefused\n");

    jt = on_host("cat staged; cp staged back");
    jt->stageInFiles = drmaa2_dict_create(drmaa2_dict_default_callback);
    CHECK_OK(drmaa2_dict_set(jt->stageInFiles, strdup(at("made")), strdup("staged")));
    jt->stageOutFiles = drmaa2_dict_create(drmaa2_dict_default_callback);
    CHECK_OK(drmaa2_dict_set(jt->stageOutFiles, strdup("back"), strdup(at("out"))));
    writes(js, jt, "new\n");
    CHECK(access(at("out"), R_OK) == 0);

    jt = on_host("hostname; cat /etc/hosts | grep -c node-7");
    set(jt, "hostname", "node-7");
    set(jt, "network", "none");
    writes(js, jt, "node-7\n1\n");

    jt = on_host("echo $$; id -u");
    free(jt->remoteCommand);
    jt->remoteCommand = strdup("/bin/sh");
    set(jt, "init", "off");
    writes(js, jt, "1\n0\n");
}

static void refusals(drmaa2_jsession js)
{
    static const char *const wrong[][3] = {
        {"mounts", "/tmp:/etc/drmaa2-new", "\"/etc/drmaa2-new\""},
        {"tmpfs", "/tmp/drmaa2-new", "\"/tmp/drmaa2-new\""},
        {"pull", "always", "no image"},
        {"snapshotter", "native", "no image"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char name[64];
        drmaa2_jtemplate jt = on_host("true");
        set(jt, wrong[i][0], wrong[i][1]);
        snprintf(name, sizeof name, "containerd_jt_%s", wrong[i][0]);
        CHECK_NULL(drmaa2_jsession_run_job(js, jt), DRMAA2_INVALID_ARGUMENT);
        failed(DRMAA2_INVALID_ARGUMENT, name);
        failed(DRMAA2_INVALID_ARGUMENT, wrong[i][2]);
        drmaa2_jtemplate_free(&jt);
    }
    CHECK(access("/etc/drmaa2-new", F_OK) != 0 && access("/tmp/drmaa2-new", F_OK) != 0);
}

/* A job of another user may do no more on the machine than he may. */
static void another_user(drmaa2_jsession js)
{
    char text[256] = "";
    int fd;
    drmaa2_sudo_s other = named("nobody", "nogroup", OTHER, OTHER);
    drmaa2_jtemplate jt = on_host("id -u; id -un; cat made; touch mine 2>/dev/null || echo refused;"
                                  "touch his/mine && stat -c %U his/mine; cat secret 2>/dev/null || echo refused;"
                                  "grep NoNewPrivs /proc/self/status");
    drmaa2_j j;
    CHECK(mkdir(at("his"), 0700) == 0 && chown(at("his"), OTHER, OTHER) == 0);
    fd = open(at("secret"), O_CREAT | O_WRONLY, 0600);
    CHECK(fd >= 0 && close(fd) == 0);
    jt->outputPath = strdup(at("his/out"));
    j = submit_as(other, js, jt);
    done_by(&j, "nobody");
    fd = open(at("his/out"), O_RDONLY);
    CHECK(fd >= 0 && read(fd, text, sizeof text - 1) > 0 && close(fd) == 0);
    CHECK_STR(text, "65534\nnobody\nnew\nrefused\nnobody\nrefused\nNoNewPrivs:\t1\n");

    snprintf(text, sizeof text, "pwd >%s", at("his/pwd"));
    jt = on_host(text);
    drmaa2_string_free(&jt->workingDirectory);
    j = submit_as(other, js, jt);
    done_by(&j, "nobody");
    snprintf(text, sizeof text, "test \"$(cat %s)\" = /", at("his/pwd"));
    CHECK_INT(system(text), 0);
}

static int mounts(void)
{
    int count = 0;
    FILE *file = fopen("/proc/self/mountinfo", "r");
    CHECK(file != NULL);
    for (int letter; file != NULL && (letter = getc(file)) != EOF;)
        count += letter == '\n';
    if (file != NULL)
        fclose(file);
    return count;
}

static void is_a_category(drmaa2_jsession js)
{
    drmaa2_string_list names = drmaa2_jsession_get_job_categories(js);
    int found = 0;
    for (long i = 0; i < drmaa2_list_size(names); i++)
        found += strcmp(drmaa2_list_get(names, i), "host") == 0;
    CHECK_INT(found, 1);
    drmaa2_list_free(&names);
}

int main(void)
{
    char remove[64];
    int before;
    drmaa2_jsession js;
    CHECK(mkdtemp(dir) != NULL && chmod(dir, 0755) == 0);
    before = mounts();
    js = session("host");
    is_a_category(js);
    is_the_machines(js);
    is_a_container(js);
    attributes(js);
    refusals(js);
    another_user(js);
    done_with(&js);
    /* With a job goes nothing of the machine. */
    CHECK_INT(mounts(), before);
    CHECK(access(at("made"), R_OK) == 0 && access(at("his/mine"), F_OK) == 0);
    snprintf(remove, sizeof remove, "rm -r '%s'", dir);
    CHECK_INT(system(remove), 0);
    return check_result();
}
