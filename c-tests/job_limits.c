/* Limits bite, and the annotation says which one it was. */
#include "job.h"

#include <sys/resource.h>

static drmaa2_jtemplate limited(const char *script, const char *key, const char *value)
{
    drmaa2_jtemplate jt = shell(script);
    jt->resourceLimits = drmaa2_dict_create(drmaa2_dict_default_callback);
    CHECK_INT(drmaa2_dict_set(jt->resourceLimits, strdup(key), strdup(value)), DRMAA2_SUCCESS);
    return jt;
}

static drmaa2_jtemplate extended(const char *script, const char *name, const char *value)
{
    drmaa2_jtemplate jt = shell(script);
    CHECK_INT(drmaa2_set_instance_value(jt, name, value), DRMAA2_SUCCESS);
    return jt;
}

/* The job failed, and the annotation holds this part. */
static void ends(drmaa2_jsession js, drmaa2_jtemplate jt, const char *part)
{
    drmaa2_j j = submit(js, jt);
    drmaa2_jinfo ji = finish(j);
    CHECK_INT(ji->jobState, DRMAA2_FAILED);
    CHECK(ji->annotation != NULL && strstr(ji->annotation, part) != NULL);
    if (ji->annotation == NULL || strstr(ji->annotation, part) == NULL)
        fprintf(stderr, "  the annotation is \"%s\", which lacks \"%s\"\n",
                ji->annotation ? ji->annotation : "", part);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);
}

/* The job exits with this code. */
static void exits(drmaa2_jsession js, drmaa2_jtemplate jt, int code)
{
    drmaa2_j j = submit(js, jt);
    drmaa2_jinfo ji = finish(j);
    CHECK_INT(ji->exitStatus, code);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);
}

static void times(drmaa2_jsession js)
{
    const char *cpu = "exceeded its CPU time limit (CPU_TIME) of 1 s";
    ends(js, limited("while :; do :; done", "DRMAA2_CPU_TIME", "1"), cpu);
    /* No single process gets that far. */
    ends(js, limited("while :; do timeout 0.2 sh -c 'while :; do :; done'; done", "CPU_TIME", "1"), cpu);
    /* And no parent is told what its children used. */
    ends(js, limited("trap '' CHLD; while :; do timeout 0.2 sh -c 'while :; do :; done'; done", "CPU_TIME", "1"),
         cpu);
    ends(js, limited("sleep 1000", "WALLCLOCK_TIME", "1"), "wall clock limit (WALLCLOCK_TIME) of 1 s");
}

static void kernel(drmaa2_jsession js)
{
    ends(js, limited("head -c 9999 /dev/zero > /tmp/big; exit $?", "FILE_SIZE", "4"),
         "exceeded its file size limit (FILE_SIZE) of 4096 bytes");
    exits(js, limited("test $(ulimit -n) = 23", "OPEN_FILES", "23"), 0);
    /* The shell itself has the first three. */
    exits(js, limited("exec 3<&0 4<&0 && ! (exec 5<&0) 2>&-", "OPEN_FILES", "5"), 0);
    exits(js, limited("test $(ulimit -v) = 99999", "VIRTUAL_MEMORY", "99999"), 0);
    exits(js, limited("! dd if=/dev/zero of=/dev/null bs=200M count=1", "VIRTUAL_MEMORY", "99999"), 0);
    exits(js, limited("test $(ulimit -c) = 0", "CORE_FILE_SIZE", "0"), 0);
    exits(js, limited("test $(ulimit -d) = 77777", "DATA_SIZE", "77777"), 0);
    exits(js, limited("test $(ulimit -s) = 1234", "STACK_SIZE", "1234"), 0);
    ends(js, limited("true", "OPEN_FILES", "2000000000"), "limit OPEN_FILES of 2000000000: ");
    exits(js, extended("test $(ulimit -Sn):$(ulimit -Hn) = 20:30", "containerd_jt_rlimits", "nofile=20:30"), 0);
}

/* The packaged containerd has no limit to speak of; a job that does not ask has the usual one, and may raise it. */
static void open_files(drmaa2_jsession js)
{
    const char *look = "test $(ulimit -Sn) = 1024 && test $(ulimit -Hn) -gt 1024 && ulimit -Sn $(ulimit -Hn)";
    exits(js, shell(look), 0);
    if (reaches_containerd())
        exits(js, extended(look, "containerd_jt_init", "off"), 0);
    exits(js, extended("test $(ulimit -Sn):$(ulimit -Hn) = 2048:4096", "containerd_jt_rlimits", "nofile=2048:4096"), 0);
}

/* Has the machine CAP_SYS_RESOURCE to give? In a user namespace it means nothing. */
static int can_raise(void)
{
    unsigned long long set = 0, all = 0;
    char line[256];
    FILE *status, *map = fopen("/proc/self/uid_map", "r");
    CHECK(map != NULL && fscanf(map, "%*u %*u %llu", &all) == 1 && fclose(map) == 0);
    status = fopen("/proc/self/status", "r");
    while (status != NULL && fgets(line, sizeof line, status) != NULL)
        sscanf(line, "CapBnd: %llx", &set);
    CHECK(status != NULL && fclose(status) == 0);
    return all == 4294967295 && (set >> 24 & 1);
}

/* A job of root has limits above those of containerd; where nobody can raise them, they are named. */
static void raised(drmaa2_jsession js)
{
    struct rlimit own;
    drmaa2_jtemplate jt = extended("test $(ulimit -Sl):$(ulimit -Hl) = 64:unlimited && "
                                   "grep -q '^CapEff:.00000000a80425fb$' /proc/self/status",
                                   "containerd_jt_rlimits", "memlock=65536:unlimited");
    CHECK(getrlimit(RLIMIT_MEMLOCK, &own) == 0);
    if (can_raise() || own.rlim_max == RLIM_INFINITY)
        exits(js, jt, 0);
    else
        ends(js, jt, "no limit for memlock: Operation not permitted");
}

static void rubbish(drmaa2_jsession js)
{
    static const char *const keys[] = {"CORE_FILE_SIZE", "CPU_TIME",   "DATA_SIZE",      "FILE_SIZE",
                                       "OPEN_FILES",     "STACK_SIZE", "VIRTUAL_MEMORY", "WALLCLOCK_TIME",
                                       "NICENESS"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        drmaa2_jtemplate jt = limited("true", keys[i], "7 apples");
        CHECK(drmaa2_jsession_run_job(js, jt) == NULL);
        failed(DRMAA2_INVALID_ARGUMENT, keys[i]);
        failed(DRMAA2_INVALID_ARGUMENT, "7 apples");
        drmaa2_jtemplate_free(&jt);
    }
}

/* The runtime itself needs memory; runc more than this, whether it is refused or killed for it. */
static void starves(drmaa2_jsession js, const char *limit, const char *bytes)
{
    char reason[128];
    drmaa2_jtemplate jt = extended("true", "containerd_jt_memory", limit);
    CHECK_INT(drmaa2_set_instance_value(jt, "containerd_jt_runtime_binary", "runc"), DRMAA2_SUCCESS);
    snprintf(reason, sizeof reason, "the runtime cannot start within containerd_jt_memory of %s bytes: ", bytes);
    ends(js, jt, reason);
}

static void memory(drmaa2_jsession js)
{
    ends(js, extended("exec dd if=/dev/zero of=/dev/null bs=200M count=1", "containerd_jt_memory", "32m"),
         "killed for want of memory");
    starves(js, "1m", "1048576");
}

/* Nobody is left of a job that will not listen, not even who has left its session. That it is the wall clock
   that asks gives it the time to stop listening. */
static void grace(drmaa2_jsession js)
{
    char limit[16], reason[120], script[160], look[200];
    /* Another process of this test, and its jobs, may be on the machine. */
    const int mark = 90000000 + (int)getpid();
    drmaa2_jtemplate jt;
    drmaa2_j j;
    drmaa2_jinfo ji;
    snprintf(limit, sizeof limit, "%d", SOON);
    snprintf(reason, sizeof reason, "(WALLCLOCK_TIME) of %s s; did not end within 1 s of SIGTERM; killed", limit);
    snprintf(script, sizeof script, "trap '' TERM; setsid sleep %d1 & while :; do sleep %d2; done", mark, mark);
    jt = limited(script, "WALLCLOCK_TIME", limit);
    CHECK_INT(drmaa2_set_instance_value(jt, "containerd_jt_grace", "1"), DRMAA2_SUCCESS);
    j = run(js, jt);
    snprintf(look, sizeof look,
             "for i in $(seq 100); do pgrep -f 'sleep %d[1]' >/dev/null && exit 0; sleep 0.1; done; exit 1", mark);
    CHECK_INT(system(look), 0);
    ji = finish(j);
    CHECK(ji->annotation != NULL && strstr(ji->annotation, reason) != NULL);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);
    snprintf(look, sizeof look, "! pgrep -f 'sleep %d[12]'", mark);
    CHECK_INT(system(look), 0);
}

int main(void)
{
    drmaa2_jsession js = session("limits");
    times(js);
    kernel(js);
    open_files(js);
    raised(js);
    rubbish(js);
    /* Memory is Slurm's to limit. */
    if (!on_slurm())
        memory(js);
    grace(js);
    done_with(&js);
    return check_result();
}
