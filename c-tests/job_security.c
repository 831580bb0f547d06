/* The rights of a job: what it has by default, what attributes give and take, and who may ask for it. */
#include "extension.h"

#include <grp.h>
#include <sys/stat.h>

static const char status[] = "sed -n 's/^\\(CapEff\\|CapBnd\\|NoNewPrivs\\):\\t/\\1 /p' /proc/self/status";

static void capabilities(drmaa2_jsession js)
{
    drmaa2_jtemplate jt;
    writes(js, shell(status), "CapEff 00000000a80425fb\nCapBnd 00000000a80425fb\nNoNewPrivs 1\n");
    /* 25 is SYS_TIME, 0 is CHOWN. */
    sees(js, "cap_add", "SYS_TIME", status, "CapEff 00000000aa0425fb\nCapBnd 00000000aa0425fb\nNoNewPrivs 1\n");
    sees(js, "cap_drop", "CHOWN", status, "CapEff 00000000a80425fa\nCapBnd 00000000a80425fa\nNoNewPrivs 1\n");
    sees(js, "cap_drop", "CHOWN", "touch /tmp/f && chown 5 /tmp/f 2>/dev/null || echo refused", "refused\n");
    /* Init can still make it another user's. */
    jt = shell(status);
    set(jt, "cap_drop", "ALL");
    writes(js, jt, "CapEff 0000000000000000\nCapBnd 0000000000000000\nNoNewPrivs 1\n");
    jt = shell("id -u; id -G");
    set(jt, "cap_drop", "ALL");
    set(jt, "user", "user");
    writes(js, jt, "1000\n1000 50\n");
    jt = shell(status);
    set(jt, "cap_drop", "ALL");
    set(jt, "cap_add", "SYS_TIME,CHOWN");
    writes(js, jt, "CapEff 0000000002000001\nCapBnd 0000000002000001\nNoNewPrivs 1\n");
    /* One that is not root's has none. */
    sees(js, "user", "user", "sed -n 's/^CapEff:\\t//p' /proc/self/status", "0000000000000000\n");
}

static void privileged(drmaa2_jsession js)
{
    static const char script[] =
        "sed -n 's/^CapEff:\\t//p' /proc/self/status; sed -n 's/^NoNewPrivs:\\t//p' /proc/self/status; "
        "grep -q ' /proc/sys ' /proc/self/mounts && echo hidden; "
        "grep -q ' /sys sysfs rw' /proc/self/mounts && echo writable; "
        "mknod /tmp/null b 7 99 && dd if=/tmp/null of=/dev/null count=1 2>&1 | grep -c 'not permitted'; true";
    char all[64], expected[128];
    FILE *pipe = popen("sed -n 's/^CapBnd:\\t//p' /proc/self/status", "r");
    CHECK(pipe != NULL && fgets(all, sizeof all, pipe) != NULL && pclose(pipe) == 0);
    snprintf(expected, sizeof expected, "%s0\nwritable\n0\n", all);
    sees(js, "privileged", "on", script, expected);
    sees(js, "privileged", "off", script, "00000000a80425fb\n1\nhidden\n1\n");
}

static void read_only(drmaa2_jsession js)
{
    sees(js, "read_only", "on",
         "touch /tmp/f 2>/dev/null || echo read-only; touch /dev/shm/f && echo but not everywhere",
         "read-only\nbut not everywhere\n");
    sees(js, "read_only", "off", "touch /tmp/f && echo writable", "writable\n");
}

/* A file that is mounted behind the back of init, through a link, does not take its place. */
static void init_is_ours(drmaa2_jsession js)
{
    char dir[] = "/tmp/drmaa2-links-XXXXXX", path[64], value[256], text[64];
    drmaa2_jtemplate jt;
    drmaa2_jinfo ji;
    FILE *file;
    CHECK(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/link", dir);
    CHECK(symlink("/.drmaa2", path) == 0);
    snprintf(path, sizeof path, "%s/init", dir);
    file = fopen(path, "w");
    CHECK(file != NULL && fputs("#!/bin/sh\nexit 3\n", file) >= 0);
    CHECK(fchmod(fileno(file), 0755) == 0 && fclose(file) == 0);
    /* It is covered, and that is not what the job asked for. */
    jt = command("true");
    snprintf(value, sizeof value, "%s:/x,%s:/x/link/init", dir, path);
    set(jt, "mounts", value);
    ji = outcome(js, jt, text, sizeof text);
    CHECK_INT(ji->jobState, DRMAA2_FAILED);
    /* runc makes the mount, and init refuses; crun makes none over a link to what is not there yet. */
    CHECK(ji->annotation != NULL &&
          (strstr(ji->annotation, "was replaced") != NULL || strstr(ji->annotation, "/x/link") != NULL));
    drmaa2_jinfo_free(&ji);
    jt = command("true");
    snprintf(value, sizeof value, "%s:/dev/null", path);
    set(jt, "mounts", value);
    refused(js, jt, DRMAA2_INVALID_ARGUMENT, "/dev/null");
    snprintf(value, sizeof value, "rm -r %s", dir);
    CHECK_INT(system(value), 0);
}

/* A user who is not root gets no more than he has. */
static void not_root(const char *state)
{
    static const char *const denied[][2] = {
        {"privileged", "on"}, {"cap_add", "SYS_TIME"}, {"user", "root"}, {"user", "0"},
        {"user", "1234:9"},   {"groups", "9"},         {"groups", "staff"},
        {"mounts", "/tmp:/a,/etc/hosts:/a/new:ro"},
        {"keep", "on"},       {"snapshotter", "native"}, {"runtime", "io.containerd.kata.v2"},
        {"labels", "a=b"},    {"seccomp", "/etc/hosts"},
    };
    /* The last is that of containerd's socket. */
    gid_t groups[] = {50, 51, 0};
    drmaa2_jsession js;
    drmaa2_jtemplate jt;
    size_t i;
    CHECK(chown(state, 1234, 1235) == 0);
    CHECK(setgroups(3, groups) == 0 && setgid(1235) == 0 && setuid(1234) == 0);
    setenv("DRMAA2_STATE_DIR", state, 1);
    setenv("XDG_CONFIG_HOME", "/nowhere", 1);
    js = session("not-root");
    for (i = 0; i < sizeof denied / sizeof *denied; i++) {
        jt = command("true");
        set(jt, denied[i][0], denied[i][1]);
        refused(js, jt, DRMAA2_DENIED_BY_DRMS, denied[i][0]);
    }
    jt = command("true");
    jt->priority = 1;
    refused(js, jt, DRMAA2_DENIED_BY_DRMS, "priority");
    jt = command("true");
    set(jt, "mounts", "/tmp:/a");
    set(jt, "init", "off");
    refused(js, jt, DRMAA2_DENIED_BY_DRMS, "containerd_jt_init=off");
    jt = command("true");
    set(jt, "mounts", "/root/.drmaa2-hidden:/x");
    refused(js, jt, DRMAA2_INVALID_ARGUMENT, "/root/.drmaa2-hidden");
    jt = shell("id -u; id -G");
    set(jt, "user", "1234");
    set(jt, "groups", "51");
    set(jt, "labels", "user.project=x");
    writes(js, jt, "1234\n1235 51\n");
    done_with(&js);
}

int main(void)
{
    char state[] = "/tmp/drmaa2-not-root-XXXXXX", line[128];
    drmaa2_jsession js = session("security");
    capabilities(js);
    privileged(js);
    read_only(js);
    init_is_ours(js);
    done_with(&js);
    CHECK(mkdtemp(state) != NULL);
    in_child(not_root, state);
    snprintf(line, sizeof line, "rm -rf %s", state);
    CHECK_INT(system(line), 0);
    return check_result();
}
