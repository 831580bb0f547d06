/* Jobs that behave badly: the library, containerd and other jobs carry on. */
#include "extension.h"

#include <stdarg.h>
#include <sys/stat.h>

/* So much does the loud job write. */
#define FLOOD (400L << 20)

/* Another job, while this one does what it does. */
static void others_run(drmaa2_jsession js)
{
    drmaa2_j j = run(js, shell("exit 3"));
    drmaa2_jinfo ji = finish(j);
    CHECK_INT(ji->exitStatus, 3);
    drmaa2_jinfo_free(&ji);
    CHECK_INT(drmaa2_j_reap(j), DRMAA2_SUCCESS);
    drmaa2_j_free(&j);
}

static void ends_with(drmaa2_j j, int code)
{
    drmaa2_jinfo ji = finish(j);
    CHECK_INT(ji->exitStatus, code);
    CHECK(ji->terminatingSignal == NULL);
    drmaa2_jinfo_free(&ji);
    CHECK_INT(drmaa2_j_reap(j), DRMAA2_SUCCESS);
    drmaa2_j_free(&j);
}

/* It has no streams any more, and is followed all the same. */
static void closes_its_streams(drmaa2_jsession js)
{
    drmaa2_j j = run(js, shell("exec <&- >&- 2>&-; sleep 1; exit 7"));
    others_run(js);
    ends_with(j, 7);
}

static void writes_without_end(drmaa2_jsession js)
{
    char path[64];
    struct stat output;
    drmaa2_j j;
    drmaa2_jtemplate jt = shell("dd if=/dev/zero bs=1M count=400 2>/dev/null; exit 4");
    snprintf(path, sizeof path, "/tmp/drmaa2-flood-%ld", (long)getpid());
    jt->outputPath = strdup(path);
    j = run(js, jt);
    others_run(js);
    ends_with(j, 4);
    CHECK(stat(path, &output) == 0);
    CHECK_INT(output.st_size, FLOOD);
    CHECK(remove(path) == 0);
}

/* As many processes as it is allowed, and none of them left in the end. */
static void forks_without_end(drmaa2_jsession js)
{
    drmaa2_j j;
    drmaa2_jtemplate jt =
        shell("bomb() { sleep 1000 & bomb & bomb; }; bomb 2>/dev/null & exec sleep 1000");
    set(jt, "pids", "64");
    j = run(js, jt);
    others_run(js);
    CHECK_INT(drmaa2_j_get_state(j, NULL), DRMAA2_RUNNING);
    end(&j);
    others_run(js);
}

static void system_does(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void system_does(const char *format, ...)
{
    char command[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    CHECK_INT(system(command), 0);
}

/* In a containerd with little room, on a file system of its own. */
static void fills_its_file_system(void)
{
    char room[64], contact[160];
    const char *daemon = needed("DRMAA2_TEST_CONTAINERD");
    drmaa2_jsession js;
    drmaa2_j j;

    snprintf(room, sizeof room, "/tmp/drmaa2-room-%ld", (long)getpid());
    CHECK(mkdir(room, 0700) == 0);
    system_does("mount -t tmpfs -o size=64m drmaa2-room '%s'", room);
    system_does("'%s' start '%s'", daemon, room);
    system_does("\"$(dirname '%s')\"/make-image '%s.tar'", daemon, room);
    system_does("ctr --address '%s/sock' --namespace '%s' images import --snapshotter \"$(cat '%s/snapshotter')\" "
                "'%s.tar' >/dev/null",
                room, needed("CONTAINERD_NAMESPACE"), room, room);
    snprintf(contact, sizeof contact, "containerd://%s/sock", room);
    js = drmaa2_create_jsession(NULL, contact);
    if (js == NULL)
        give_up("create_jsession");

    j = run(js, shell("cat /dev/zero > /fill && exit 0; rm /fill; exit 5"));
    ends_with(j, 5);
    others_run(js);
    /* It leaves no room at its end, either; what it took is given back then. */
    j = run(js, shell("cat /dev/zero > /fill && exit 0; exit 6"));
    ends_with(j, 6);
    others_run(js);

    done_with(&js);
    system_does("'%s' stop '%s'", daemon, room);
    system_does("umount '%s' && rmdir '%s' && rm '%s.tar'", room, room, room);
}

int main(void)
{
    drmaa2_jsession js = session(NULL);
    closes_its_streams(js);
    writes_without_end(js);
    forks_without_end(js);
    fills_its_file_system();
    others_run(js);
    done_with(&js);
    return check_result();
}
