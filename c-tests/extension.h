/* The shared part of the tests of implementation-specific attributes: jobs whose output tells what a
   container is like from the inside. */
#ifndef EXTENSION_H
#define EXTENSION_H

#include <fcntl.h>
#include <sys/stat.h>

#include "job.h"

static inline void set(drmaa2_jtemplate jt, const char *name, const char *value)
{
    char full[64];
    snprintf(full, sizeof full, "containerd_jt_%s", name);
    CHECK_OK(drmaa2_set_instance_value(jt, full, value));
}

/* The directory in which the script sees its own control group: that of a controller, or the unified one. */
#define GROUP "group() { [ -d /sys/fs/cgroup/$1 ] && echo /sys/fs/cgroup/$1 || echo /sys/fs/cgroup; }; "

/* Its CPU limit in hundredths of a processor, 0 for none. */
#define CPU_LIMIT                                                                                      \
    "g=$(group cpu); if [ -e $g/cpu.max ]; then read -r q p <$g/cpu.max; "                               \
    "else q=$(cat $g/cpu.cfs_quota_us); p=$(cat $g/cpu.cfs_period_us); fi; "                             \
    "case $q in max | -1) echo 0 ;; *) echo $((q * 100 / p)) ;; esac; "

/* A shell script that uses them. */
static inline drmaa2_jtemplate in_group(const char *script)
{
    char whole[2048];
    snprintf(whole, sizeof whole, "%s%s", GROUP, script);
    return shell(whole);
}

/* Submit a job of which nothing is to be left behind, wait for its end, and give its account. What it
   wrote to its standard output and error is in `text`. */
static inline drmaa2_jinfo outcome(drmaa2_jsession js, drmaa2_jtemplate jt, char *text, size_t size)
{
    char path[] = "/tmp/drmaa2-extension-XXXXXX";
    int fd = mkstemp(path);
    ssize_t length;
    drmaa2_j j;
    drmaa2_jinfo ji;
    CHECK(fd >= 0);
    jt->outputPath = strdup(path);
    jt->joinFiles = DRMAA2_TRUE;
    j = submit(js, jt);
    ji = finish(j);
    length = read(fd, text, size - 1);
    text[length > 0 ? length : 0] = '\0';
    close(fd);
    unlink(path);
    CHECK_OK(drmaa2_j_reap(j));
    drmaa2_j_free(&j);
    return ji;
}

/* The same for a job that is DONE and wrote `expected`. */
static inline void writes(drmaa2_jsession js, drmaa2_jtemplate jt, const char *expected)
{
    char text[16384];
    drmaa2_jinfo ji = outcome(js, jt, text, sizeof text);
    CHECK_INT(ji->jobState, DRMAA2_DONE);
    if (ji->annotation != NULL)
        fprintf(stderr, "  annotation \"%s\"\n", ji->annotation);
    CHECK_STR(text, expected);
    drmaa2_jinfo_free(&ji);
}

/* A shell script with one attribute writes this. */
static inline void sees(drmaa2_jsession js, const char *name, const char *value, const char *script,
                        const char *expected)
{
    drmaa2_jtemplate jt = shell(script);
    set(jt, name, value);
    writes(js, jt, expected);
}

/* Submit a job that listens to its signals once it has written "ready" into the pipe /shared/pipe, and wait
   for that; the rest of what it writes can be read from the pipe. */
static inline drmaa2_j listening(drmaa2_jsession js, drmaa2_jtemplate jt, int *pipe)
{
    char dir[] = "/tmp/drmaa2-listening-XXXXXX", path[64], value[64], line[16];
    drmaa2_j j;
    CHECK(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/pipe", dir);
    CHECK(mkfifo(path, 0600) == 0);
    snprintf(value, sizeof value, "%s:/shared", dir);
    set(jt, "mounts", value);
    j = submit(js, jt);
    *pipe = open(path, O_RDONLY | O_NONBLOCK);
    await_readable(*pipe, "the first line of the job");
    CHECK_INT(read(*pipe, line, sizeof line), 6);
    CHECK(unlink(path) == 0 && rmdir(dir) == 0);
    return j;
}

/* The job cannot be submitted; the error names this, and there is no job. */
static inline void refused(drmaa2_jsession js, drmaa2_jtemplate jt, drmaa2_error code, const char *part)
{
    drmaa2_j_list jobs;
    CHECK(drmaa2_jsession_run_job(js, jt) == NULL);
    failed(code, part);
    drmaa2_jtemplate_free(&jt);
    jobs = drmaa2_jsession_get_jobs(js, NULL);
    CHECK_INT(drmaa2_list_size(jobs), 0);
    drmaa2_list_free(&jobs);
}

#endif
