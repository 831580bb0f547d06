/* Anything wrong around the library is told by code and by name: no daemon, a bad configuration, a
   state directory that cannot be used. Each case is a process of its own. */
#include "job.h"

static void no_daemon(const char *socket)
{
    drmaa2_jsession js;
    drmaa2_jtemplate jt = command("true");
    setenv("CONTAINERD_ADDRESS", socket, 1);
    js = session("no-daemon");
    CHECK(drmaa2_jsession_run_job(js, jt) == NULL);
    failed(DRMAA2_DRM_COMMUNICATION, socket);
    CHECK(drmaa2_jsession_get_job_categories(js) == NULL);
    failed(DRMAA2_DRM_COMMUNICATION, socket);
    CHECK(drmaa2_get_drms_version() == NULL);
    failed(DRMAA2_DRM_COMMUNICATION, socket);
    drmaa2_jtemplate_free(&jt);
    {
        drmaa2_j_list jobs = drmaa2_jsession_get_jobs(js, NULL);
        CHECK_INT(drmaa2_list_size(jobs), 0);
        drmaa2_list_free(&jobs);
    }
    done_with(&js);
}

/* Jobs are taken all the same, for the time when it is there. */
static void no_slurm(const char *conf)
{
    setenv("SLURM_CONF", conf, 1);
    CHECK(drmaa2_get_drms_version() == NULL);
    failed(DRMAA2_DRM_COMMUNICATION, conf);
}

static void bad_state_dir(const char *dir)
{
    setenv("DRMAA2_STATE_DIR", dir, 1);
    CHECK(drmaa2_create_jsession("x", NULL) == NULL);
    failed(DRMAA2_SESSION_MANAGEMENT, dir);
    CHECK(drmaa2_get_jsession_names() == NULL);
    failed(DRMAA2_SESSION_MANAGEMENT, dir);
    CHECK(drmaa2_open_msession(NULL) == NULL);
    failed(DRMAA2_SESSION_MANAGEMENT, dir);
}

static void bad_config(const char *file)
{
    setenv("DRMAA2_CONFIG", file, 1);
    CHECK(drmaa2_create_jsession("x", NULL) == NULL);
    failed(DRMAA2_SESSION_MANAGEMENT, file);
    /* A call that needs no configuration still works. */
    CHECK_INT(drmaa2_supports(DRMAA2_CALLBACK), DRMAA2_TRUE);
}

static void no_init(const char *init)
{
    drmaa2_jsession js;
    drmaa2_j j;
    drmaa2_jinfo ji;
    drmaa2_jtemplate jt = command("true");
    setenv("DRMAA2_INIT", init, 1);
    js = session("no-init");
    j = drmaa2_jsession_run_job(js, jt);
    drmaa2_jtemplate_free(&jt);
    if (j == NULL) {
        failed(drmaa2_lasterror(), init);
    } else {
        ji = finish(j);
        CHECK_INT(ji->jobState, DRMAA2_FAILED);
        /* Only a node can tell what it lacks, and it has no place to tell it. */
        CHECK(ji->annotation != NULL &&
              strstr(ji->annotation, on_slurm() ? "programs must be there at the same paths" : init) != NULL);
        drmaa2_jinfo_free(&ji);
        drmaa2_j_free(&j);
    }
    done_with(&js);
}

int main(void)
{
    if (on_slurm()) {
        in_child(no_slurm, "/tmp/drmaa2-no-such-dir/slurm.conf");
        in_child(no_slurm, "/etc/passwd");
    } else {
        in_child(no_daemon, "/tmp/drmaa2-no-such-dir/containerd.sock");
        /* A file that is there, but no socket. */
        in_child(no_daemon, "/etc/passwd");
    }
    in_child(bad_state_dir, "/etc/passwd/state");
    in_child(bad_config, "/tmp/drmaa2-no-such-file.toml");
    in_child(no_init, "/tmp/drmaa2-no-such-init");
    return check_result();
}
