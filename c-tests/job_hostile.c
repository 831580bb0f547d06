/* Jobs that behave badly: the library, containerd and other jobs carry on. */
#include "extension.h"

#include <stdarg.h>
#include <sys/inotify.h>
#include <sys/stat.h>

/* So much does the loud job write. */
#define FLOOD (400L << 20)

/* Tells of snapshots that are removed, where there is little room. */
static int removals = -1;

/* A call has found no room to note something: wait until some is given back, and make it again. */
static int room_comes(const char *call)
{
    char events[4096];
    if (removals < 0 || drmaa2_lasterror() != DRMAA2_OUT_OF_RESOURCE)
        give_up(call);
    await_readable(removals, "room that is given back");
    return read(removals, events, sizeof events) > 0;
}

static void ends_with(drmaa2_j j, int code)
{
    drmaa2_jinfo ji = finish(j);
    CHECK_INT(ji->exitStatus, code);
    CHECK(ji->terminatingSignal == NULL);
    drmaa2_jinfo_free(&ji);
    while (drmaa2_j_reap(j) != DRMAA2_SUCCESS && room_comes("reap"))
        ;
    drmaa2_j_free(&j);
}

/* Another job, while this one does what it does. */
static void others_run(drmaa2_jsession js)
{
    drmaa2_jtemplate jt = shell("exit 3");
    drmaa2_j j;
    while ((j = drmaa2_jsession_run_job(js, jt)) == NULL && room_comes("run_job"))
        ;
    drmaa2_jtemplate_free(&jt);
    ends_with(j, 3);
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
static void forks_without_end(drmaa2_jsession js, const char *pids)
{
    drmaa2_j j;
    drmaa2_jtemplate jt =
        shell("bomb() { sleep 1000 & bomb & bomb; }; bomb 2>/dev/null & exec sleep 1000");
    set(jt, "pids", pids);
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

/* A job that ends with this code once it is released, which a line in the file at `gate` does. */
static drmaa2_jtemplate gated(const char *before, int code, char *gate)
{
    char script[160];
    drmaa2_jtemplate jt;
    int fd = mkstemp(gate);
    CHECK(fd >= 0 && close(fd) == 0);
    snprintf(script, sizeof script, "%s; until read line; do usleep 50000; done; exit %d", before, code);
    jt = shell(script);
    jt->inputPath = strdup(gate);
    return jt;
}

static void release(const char *gate)
{
    FILE *file = fopen(gate, "w");
    CHECK(file != NULL && fputs("go\n", file) >= 0 && fclose(file) == 0 && remove(gate) == 0);
}

/* A job that ends while there is no room has its own end all the same. */
static void ends_beside_one_that_fills_it(drmaa2_jsession js)
{
    char innocent[] = "/tmp/drmaa2-gate-XXXXXX", filler[] = "/tmp/drmaa2-gate-XXXXXX";
    char output[] = "/tmp/drmaa2-full-XXXXXX", events[4096];
    int fd = mkstemp(output), watch = inotify_init1(IN_CLOEXEC);
    drmaa2_j j = run(js, gated("true", 0, innocent)), full;
    drmaa2_jtemplate jt = gated("cat /dev/zero >/fill; echo full", 6, filler);
    struct stat written;
    jt->outputPath = strdup(output);
    CHECK(fd >= 0 && watch >= 0 && inotify_add_watch(watch, output, IN_MODIFY) >= 0);
    full = run(js, jt);
    while (fstat(fd, &written) == 0 && written.st_size == 0) {
        await_readable(watch, "a full disk");
        CHECK(read(watch, events, sizeof events) > 0);
    }
    release(innocent);
    ends_with(j, 0);
    release(filler);
    ends_with(full, 6);
    CHECK(close(fd) == 0 && close(watch) == 0 && remove(output) == 0);
}

static void watch_removals(const char *room)
{
    char snapshots[160];
    snprintf(snapshots, sizeof snapshots, "%s/root/io.containerd.snapshotter.v1.%s/snapshots", room,
             needed("CONTAINERD_SNAPSHOTTER"));
    removals = inotify_init1(IN_CLOEXEC);
    CHECK(removals >= 0 && inotify_add_watch(removals, snapshots, IN_DELETE) >= 0);
}

/* In a containerd with little room, on a file system that it shares with the library's own files. */
static void fills_its_file_system(const char *room)
{
    char state[80], contact[160];
    drmaa2_jsession js;
    drmaa2_j j;
    int i;

    snprintf(contact, sizeof contact, "containerd://%s/sock", room);
    snprintf(state, sizeof state, "%s/drmaa2", room);
    setenv("DRMAA2_STATE_DIR", state, 1);
    js = drmaa2_create_jsession(NULL, contact);
    if (js == NULL)
        give_up("create_jsession");
    watch_removals(room);
    j = run(js, shell("cat /dev/zero > /fill && exit 0; rm /fill; exit 5"));
    ends_with(j, 5);
    others_run(js);
    /* It leaves no room at its end, either; what it took is given back then. */
    for (i = 0; i < 3; i++) {
        j = run(js, shell("cat /dev/zero > /fill && exit 0; exit 6"));
        ends_with(j, 6);
        others_run(js);
    }
    ends_beside_one_that_fills_it(js);
    others_run(js);
    done_with(&js);
}

static void little_room(void)
{
    char room[64];
    const char *daemon = needed("DRMAA2_TEST_CONTAINERD");
    snprintf(room, sizeof room, "/tmp/drmaa2-room-%ld", (long)getpid());
    CHECK(mkdir(room, 0700) == 0);
    system_does("mount -t tmpfs -o size=64m drmaa2-room '%s'", room);
    system_does("'%s' start '%s'", daemon, room);
    system_does("\"$(dirname '%s')\"/make-image '%s.tar'", daemon, room);
    system_does("ctr --address '%s/sock' --namespace '%s' images import --snapshotter \"$(cat '%s/snapshotter')\" "
                "'%s.tar' >/dev/null",
                room, needed("CONTAINERD_NAMESPACE"), room, room);
    /* With a process goes all that it had opened there. */
    in_child(fills_its_file_system, room);
    system_does("'%s' stop '%s'", daemon, room);
    system_does("umount '%s' && rmdir '%s' && rm '%s.tar'", room, room, room);
}

int main(void)
{
    drmaa2_jsession js = session(NULL);
    closes_its_streams(js);
    writes_without_end(js);
    forks_without_end(js, "64");
    /* The limit of a job that asks for none. */
    forks_without_end(js, NULL);
    little_room();
    others_run(js);
    done_with(&js);
    return check_result();
}
