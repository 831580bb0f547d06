/* The implementation-specific attributes of a job template, seen from inside of its container. */
#include "extension.h"

#include <fcntl.h>
#include <sys/stat.h>

static char dir[] = "/tmp/drmaa2-mounts-XXXXXX";

static void network(drmaa2_jsession js)
{
    /* Two lines of heading, and each interface but that of the loopback. */
    static const char links[] = "tail -n +3 /proc/net/dev | grep -cv ' lo:'";
    char own[32], here[512];
    FILE *pipe = popen("tail -n +3 /proc/net/dev | grep -cv ' lo:'; readlink /proc/self/ns/net", "r");
    size_t length = fread(here, 1, sizeof here - 1, pipe);
    here[length] = '\0';
    pclose(pipe);
    snprintf(own, sizeof own, "0\n");
    {
        char script[256];
        snprintf(script, sizeof script, "%s; true", links);
        sees(js, "network", "none", script, own);
        snprintf(script, sizeof script, "%s; readlink /proc/self/ns/net", links);
        sees(js, "network", "host", script, here);
    }
    sees(js, "network", "host", "cmp /etc/hosts /host-hosts 2>&1; grep -c ' /etc/hosts ' /proc/self/mounts; "
                                "touch /etc/hosts 2>/dev/null || echo read-only",
         "cmp: /host-hosts: No such file or directory\n1\nread-only\n");
}

static void mounts(drmaa2_jsession js)
{
    char value[512], path[128];
    FILE *file;
    drmaa2_jtemplate jt;
    snprintf(path, sizeof path, "%s/file", dir);
    file = fopen(path, "w");
    CHECK(file != NULL && fputs("content\n", file) >= 0 && fclose(file) == 0);

    jt = shell("cat /data/file; echo more >>/rw/file; echo no 2>/dev/null >/data/file || echo read-only; "
               "cat /one");
    snprintf(value, sizeof value, "%s:/data:ro,%s:/rw,%s:/one:ro", dir, dir, path);
    set(jt, "mounts", value);
    writes(js, jt, "content\nread-only\ncontent\nmore\n");

    /* A path that the short form cannot tell. */
    snprintf(value, sizeof value, "%s/a:b,c", dir);
    CHECK_INT(symlink(".", value), 0);
    jt = shell("cat '/data:ro/file'; echo no 2>/dev/null >'/data:ro/file' || echo read-only");
    snprintf(value, sizeof value, "[{\"source\": \"%s/a:b,c\", \"destination\": \"/data:ro\", \"read_only\": true}]",
             dir);
    set(jt, "mounts", value);
    writes(js, jt, "content\nmore\nread-only\n");
    snprintf(value, sizeof value, "%s/a:b,c", dir);
    CHECK_INT(unlink(value), 0);

    /* The order of the value does not matter: what belongs below something else is there. */
    jt = shell("cat /top/below/file; cat /top/file; df /top/memory | awk 'NR == 2 { print $1 }'");
    snprintf(value, sizeof value, "%s:/top/below:ro,%s:/top", dir, dir);
    set(jt, "mounts", value);
    set(jt, "tmpfs", "/top/memory");
    writes(js, jt, "content\nmore\ncontent\nmore\ntmpfs\n");
    /* The runtime has made these places. */
    snprintf(value, sizeof value, "%s/below", dir);
    CHECK(rmdir(value) == 0);
    snprintf(value, sizeof value, "%s/memory", dir);
    CHECK(rmdir(value) == 0);
    jt = command("true");
    set(jt, "mounts", "/tmp:/one,/etc:/one/");
    refused(js, jt, DRMAA2_INVALID_ARGUMENT, "\"/one/\"");

    sees(js, "tmpfs", "/scratch:1m,/other", "df -k /scratch | awk 'NR == 2 { print $1, $2 }'; df /other | "
         "awk 'NR == 2 { print $1 }'; echo x >/scratch/f && cat /scratch/f", "tmpfs 1024\ntmpfs\nx\n");
    sees(js, "shm_size", "3m", "df -k /dev/shm | awk 'NR == 2 { print $2 }'", "3072\n");

    jt = command("true");
    set(jt, "mounts", "/no/such/place:/data");
    refused(js, jt, DRMAA2_INVALID_ARGUMENT, "/no/such/place");
    CHECK(remove(path) == 0);
}

/* A user whom the image does not know, as himself: whoami, the owner of a new file by name, and his home. */
#define MYSELF "whoami; echo $USER $LOGNAME $HOME; id -g -n; touch ~/new && ls -l ~/new | awk '{ print $3, $4 }'"

static void newcomers(drmaa2_jsession js)
{
    char passwd[] = "/tmp/drmaa2-passwd.XXXXXX", value[64], text[128] = "";
    int fd = mkstemp(passwd);
    drmaa2_jtemplate jt;
    sees(js, "user", "4711:4712", MYSELF "; tail -n 1 /etc/passwd",
         "4711\n4711 4711 /home/4711\n4712\n4711 4712\n4711:x:4711:4712::/home/4711:/bin/sh\n");
    sees(js, "user", "4711:staff", "grep -c . /etc/group; cd && pwd", "4\n/home/4711\n");
    jt = shell("whoami; echo $HOME; touch ~/new; ls -d /home/4711; tail -n 1 /etc/passwd");
    set(jt, "user", "4711:50");
    set(jt, "read_only", "on");
    set(jt, "tmpfs", "/tmp:1m");
    writes(js, jt, "whoami: unknown uid 4711\n/tmp\nls: /home/4711: No such file or directory\n"
                   "nobody:x:65534:65534:nobody:/:/bin/sh\n");
    /* Anything mounted there is left alone, a home as well. */
    CHECK(fd >= 0 && write(fd, "x", 1) == 1 && fchmod(fd, 0666) == 0 && close(fd) == 0);
    snprintf(value, sizeof value, "%s:/etc/passwd,/mnt:/home", passwd);
    jt = shell("cat /etc/passwd; echo; echo $HOME");
    set(jt, "user", "4711:50");
    set(jt, "mounts", value);
    writes(js, jt, "x\n/tmp\n");
    CHECK_INT(access("/mnt/4711", F_OK), -1);
    fd = open(passwd, O_RDONLY);
    CHECK(fd >= 0 && read(fd, text, sizeof text) == 1 && text[0] == 'x' && close(fd) == 0);
    CHECK(remove(passwd) == 0);
}

static void users(drmaa2_jsession js)
{
    drmaa2_jtemplate jt;
    sees(js, "user", "user", "id -u; id -g; id -G; echo $HOME", "1000\n1000\n1000 50\n/home/user\n");
    sees(js, "user", "4711:staff", "id -u; id -g; id -G", "4711\n50\n50\n");
    sees(js, "groups", "staff,4711", "id -u; id -G", "0\n0 50 4711\n");
    jt = shell("id -u; id -G");
    set(jt, "user", "user");
    set(jt, "groups", "7");
    writes(js, jt, "1000\n1000 7\n");
    {
        char text[64];
        drmaa2_jinfo ji;
        jt = command("true");
        set(jt, "user", "nobody-has-this-name");
        ji = outcome(js, jt, text, sizeof text);
        CHECK_INT(ji->jobState, DRMAA2_FAILED);
        CHECK(ji->annotation != NULL && strstr(ji->annotation, "nobody-has-this-name") != NULL);
        drmaa2_jinfo_free(&ji);
    }
}

/* Is there an address of this name? Nobody listens at that port. */
#define RESOLVES(name) "wget http://" name ":1/ 2>&1 | grep -q 'Connection refused' && echo yes; "

static void names(drmaa2_jsession js)
{
    drmaa2_jtemplate jt;
    drmaa2_j j;
    char query[256];
    FILE *file;
    sees(js, "hostname", "node-1.example", "hostname; cat /proc/sys/kernel/hostname",
         "node-1.example\nnode-1.example\n");
    /* A program that asks finds them, with and without a network. */
    sees(js, "hostname", "node-1", "cat /etc/hostname; " RESOLVES("localhost") RESOLVES("node-1"), "node-1\nyes\nyes\n");
    sees(js, "network", "none", RESOLVES("localhost") RESOLVES("$(hostname)"), "yes\nyes\n");
    jt = shell("cat /etc/hostname; " RESOLVES("localhost") RESOLVES("node-2.example"));
    set(jt, "network", "host");
    set(jt, "hostname", "node-2.example");
    writes(js, jt, "node-2.example\nyes\nyes\n");
    /* A job finds what it mounts there. */
    snprintf(query, sizeof query, "%s/names", dir);
    file = fopen(query, "w");
    CHECK(file != NULL && fputs("127.0.0.1 other\n", file) >= 0 && fclose(file) == 0);
    snprintf(query, sizeof query, "%s/names:/etc/hosts", dir);
    sees(js, "mounts", query, "cat /etc/hosts", "127.0.0.1 other\n");
    CHECK_INT(unlink(path_in(dir, "names")), 0);

    jt = sleeper();
    set(jt, "labels", "site=north,part=a=b");
    j = run(js, jt);
    snprintf(query, sizeof query, "containers info %s", j->id);
    CHECK_INT(ctr_lines(query, "\"site\": \"north\""), 1);
    CHECK_INT(ctr_lines(query, "\"part\": \"a=b\""), 1);
    CHECK_INT(ctr_lines(query, "\"drmaa2\": \"true\""), 1);
    end(&j);
}

static void limits(drmaa2_jsession js)
{
    char text[4096], find[256];
    drmaa2_jtemplate jt;
    drmaa2_jinfo ji;
    drmaa2_j j;

    jt = in_group("g=$(group memory); cat $g/memory.limit_in_bytes $g/memory.max 2>/dev/null; "
                  "cat $g/memory.memsw.limit_in_bytes 2>/dev/null || echo 33554432");
    set(jt, "memory", "32m");
    writes(js, jt, "33554432\n33554432\n");

    jt = in_group(CPU_LIMIT "cat $(group pids)/pids.max");
    set(jt, "cpus", "0.75");
    set(jt, "pids", "21");
    writes(js, jt, "75\n21\n");

    sees(js, "cpuset", "0", "nproc; grep Cpus_allowed_list /proc/self/status", "1\nCpus_allowed_list:\t0\n");
    sees(js, "cpuset", "slots", "nproc", "1\n");
    jt = command("true");
    set(jt, "cpuset", "0,8000");
    refused(js, jt, DRMAA2_INVALID_ARGUMENT, "containerd_jt_cpuset is \"0,8000\"");

    jt = command("true");
    set(jt, "memory", "1");
    refused(js, jt, DRMAA2_INVALID_ARGUMENT, "containerd_jt_memory is \"1\"");
    jt = command("true");
    set(jt, "pids", "4194305");
    refused(js, jt, DRMAA2_INVALID_ARGUMENT, "containerd_jt_pids is \"4194305\"");
    jt = in_group(CPU_LIMIT "cat $(group pids)/pids.max");
    set(jt, "cpus", "1000000");
    set(jt, "pids", "4194304");
    writes(js, jt, "100000000\n4194304\n");
    jt = sleeper();
    set(jt, "cgroup_parent", "drmaa2-extensions/low");
    j = run(js, jt);
    snprintf(find, sizeof find, "find /sys/fs/cgroup -path '*/drmaa2-extensions/low/%s' | grep -q .", j->id);
    CHECK_INT(system(find), 0);
    end(&j);

    /* They bite: a job that takes too much memory is killed, one that forks too often cannot. */
    jt = shell("x=aaaaaaaaaaaaaaaa; while true; do x=$x$x; done");
    set(jt, "memory", "32m");
    ji = outcome(js, jt, text, sizeof text);
    CHECK_INT(ji->jobState, DRMAA2_FAILED);
    CHECK_STR(ji->terminatingSignal, "SIGKILL");
    drmaa2_jinfo_free(&ji);
    jt = shell("for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; echo all");
    set(jt, "pids", "5");
    ji = outcome(js, jt, text, sizeof text);
    CHECK(ji->jobState == DRMAA2_FAILED && strstr(text, "all") == NULL);
    drmaa2_jinfo_free(&ji);
}

static void ending(drmaa2_jsession js)
{
    char text[16];
    int pipe;
    drmaa2_j j;
    drmaa2_jinfo ji;
    drmaa2_jtemplate jt = shell("exec >/shared/pipe; trap 'echo asked; exit 3' USR1; echo ready; "
                                "while true; do sleep 0.1; done");
    set(jt, "stop_signal", "SIGUSR1");
    j = listening(js, jt, &pipe);
    CHECK_OK(drmaa2_j_terminate(j));
    await_readable(pipe, "the last line of the job");
    CHECK_INT(read(pipe, text, sizeof text), 6);
    CHECK(strncmp(text, "asked\n", 6) == 0);
    close(pipe);
    ji = finish(j);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);

    /* A job that does not listen is killed after its own grace, not after that of the configuration. */
    jt = shell("exec >/shared/pipe; trap '' TERM; echo ready; while true; do sleep 0.1; done");
    set(jt, "grace", "0.2");
    j = listening(js, jt, &pipe);
    close(pipe);
    CHECK_OK(drmaa2_j_terminate(j));
    CHECK_INT(drmaa2_j_wait_terminated(j, 30), DRMAA2_SUCCESS);
    ji = drmaa2_j_get_info(j);
    CHECK_STR(ji->terminatingSignal, "SIGKILL");
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);
}

/* An image that no containerd has, of a registry that does not answer. */
#define ABSENT "127.0.0.1:1/drmaa2/absent:1"

static void policies(drmaa2_jsession js)
{
    char text[16];
    drmaa2_jinfo ji;
    drmaa2_jtemplate jt;
    sees(js, "pull", "never", "echo there", "there\n");
    sees(js, "pull", "missing", "echo there", "there\n");

    jt = command("true");
    free(jt->jobCategory);
    jt->jobCategory = strdup(ABSENT);
    set(jt, "pull", "never");
    refused(js, jt, DRMAA2_INVALID_ARGUMENT, ABSENT);

    /* An image that no registry gives ends the job, with the reason. */
    jt = command("true");
    free(jt->jobCategory);
    jt->jobCategory = strdup(ABSENT);
    set(jt, "pull", "always");
    ji = outcome(js, jt, text, sizeof text);
    CHECK_INT(ji->jobState, DRMAA2_FAILED);
    CHECK(ji->annotation != NULL && strstr(ji->annotation, "cannot pull image " ABSENT) != NULL);
    drmaa2_jinfo_free(&ji);
}

static void round_trip(drmaa2_jsession js)
{
    drmaa2_jtemplate jt = command("true"), back;
    drmaa2_jinfo ji, filter;
    drmaa2_j_list found;
    drmaa2_j j;
    char *rss;
    set(jt, "hostname", "a");
    j = drmaa2_jsession_run_job(js, jt);
    /* The job has a copy. */
    set(jt, "hostname", "b");
    back = drmaa2_j_get_jtemplate(j);
    CHECK_OWN(drmaa2_get_instance_value(back, "containerd_jt_hostname"), "a");
    CHECK_NULL(drmaa2_get_instance_value(back, "containerd_jt_memory"), DRMAA2_SUCCESS);
    set(back, "hostname", NULL);
    drmaa2_jtemplate_free(&back);
    back = drmaa2_j_get_jtemplate(j);
    CHECK_OWN(drmaa2_get_instance_value(back, "containerd_jt_hostname"), "a");
    drmaa2_jtemplate_free(&back);
    drmaa2_jtemplate_free(&jt);

    ji = finish(j);
    rss = drmaa2_get_instance_value(ji, "containerd_ji_max_rss");
    CHECK(rss != NULL && atol(rss) > 0);
    filter = drmaa2_jinfo_create();
    CHECK_OK(drmaa2_set_instance_value(filter, "containerd_ji_max_rss", rss));
    filter->jobId = strdup(j->id);
    found = drmaa2_jsession_get_jobs(js, filter);
    CHECK_INT(drmaa2_list_size(found), 1);
    drmaa2_list_free(&found);
    CHECK_OK(drmaa2_set_instance_value(filter, "containerd_ji_max_rss", "1"));
    found = drmaa2_jsession_get_jobs(js, filter);
    CHECK_INT(drmaa2_list_size(found), 0);
    drmaa2_list_free(&found);
    drmaa2_jinfo_free(&filter);
    drmaa2_string_free(&rss);
    drmaa2_jinfo_free(&ji);
    CHECK_OK(drmaa2_j_reap(j));
    drmaa2_j_free(&j);
}

/* For every attribute: what makes no sense is refused by name and value. */
static void rubbish(void)
{
    drmaa2_jsession js = session("rubbish");
    drmaa2_string_list names = drmaa2_jtemplate_impl_spec();
    long at;
    for (at = 0; at < drmaa2_list_size(names); at++) {
        const char *name = drmaa2_list_get(names, at);
        /* A cluster has them alone. */
        const int is_elsewhere = strcmp(name, "containerd_jt_gres") == 0;
        drmaa2_jtemplate jt = command("true");
        drmaa2_string text;
        drmaa2_j_list jobs;
        CHECK_OK(drmaa2_set_instance_value(jt, name, "[\t=:"));
        CHECK(drmaa2_jsession_run_job(js, jt) == NULL);
        CHECK_INT(drmaa2_lasterror(), is_elsewhere ? DRMAA2_UNSUPPORTED_ATTRIBUTE : DRMAA2_INVALID_ARGUMENT);
        text = drmaa2_lasterror_text();
        CHECK(text != NULL && strstr(text, name) != NULL);
        CHECK(is_elsewhere || strstr(text, "\"[\t=:\"") != NULL);
        drmaa2_string_free(&text);
        jobs = drmaa2_jsession_get_jobs(js, NULL);
        CHECK_INT(drmaa2_list_size(jobs), 0);
        drmaa2_list_free(&jobs);
        drmaa2_jtemplate_free(&jt);
    }
    drmaa2_list_free(&names);
    done_with(&js);
}

int main(void)
{
    drmaa2_jsession js;
    CHECK(mkdtemp(dir) != NULL);
    setenv("DRMAA2_GRACE_SECONDS", "60", 1);
    js = session("extensions");
    network(js);
    mounts(js);
    users(js);
    newcomers(js);
    policies(js);
    limits(js);
    names(js);
    ending(js);
    round_trip(js);
    done_with(&js);
    rubbish();
    CHECK(rmdir(dir) == 0);
    return check_result();
}
