/* Descriptors: a child that closes all that it inherited, as a daemon does, and a program without standard streams. */
#include "job.h"

#include <fcntl.h>
#include <sys/stat.h>

#define FILES 64

static drmaa2_jsession js;
static drmaa2_j running;

static int is_null_device(int fd)
{
    struct stat it, null;
    return fstat(fd, &it) == 0 && stat("/dev/null", &null) == 0 && it.st_rdev == null.st_rdev;
}

/* The numbers that the library had are the program's now: nothing closes them or writes to them. */
static void closes_all(const char *dir)
{
    int files[FILES];
    drmaa2_jinfo ji;
    drmaa2_j own;
    for (int fd = 3; fd < 1024; fd++)
        close(fd);
    for (int i = 0; i < FILES; i++) {
        char name[32];
        snprintf(name, sizeof name, "file%d", i);
        files[i] = open(path_in(dir, name), O_RDWR | O_CREAT | O_EXCL, 0600);
        CHECK(files[i] >= 3);
    }
    own = run(js, shell("exit 5"));
    ji = finish(own);
    CHECK_INT(ji->exitStatus, 5);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&own);
    CHECK_INT(drmaa2_j_get_state(running, NULL), DRMAA2_RUNNING);
    for (int i = 0; i < FILES; i++) {
        struct stat file;
        CHECK_INT(fstat(files[i], &file), 0);
        CHECK(S_ISREG(file.st_mode) && file.st_nlink == 1);
        CHECK_INT(file.st_size, 0);
    }
    CHECK_INT(drmaa2_close_jsession(js), DRMAA2_SUCCESS);
}

/* Output of the program to its standard error must not get into a file of the library. */
static void has_no_streams(const char *name)
{
    drmaa2_jsession fresh;
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    close(STDERR_FILENO);
    fresh = drmaa2_create_jsession(name, NULL);
    if (fresh == NULL || !is_null_device(0) || !is_null_device(1) || !is_null_device(2))
        _exit(1);
    _exit(drmaa2_close_jsession(fresh) != DRMAA2_SUCCESS || drmaa2_destroy_jsession(name) != DRMAA2_SUCCESS);
}

int main(void)
{
    char dir[] = "/tmp/drmaa2-descriptors-XXXXXX", command[64];
    CHECK(mkdtemp(dir) != NULL);
    /* Before the library is used here: a child of that has its own already. */
    in_child(has_no_streams, "without-streams");
    js = session(NULL);
    running = run(js, sleeper());
    in_child(closes_all, dir);
    CHECK_INT(drmaa2_j_terminate(running), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_j_wait_terminated(running, LONG), DRMAA2_SUCCESS);
    drmaa2_j_free(&running);
    done_with(&js);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    CHECK_INT(system(command), 0);
    return check_result();
}
