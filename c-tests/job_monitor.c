/* The monitoring session: every job, the machine as it is, names and versions. */
#include "job.h"

#include <sys/sysinfo.h>
#include <sys/utsname.h>

static void machine(drmaa2_msession ms)
{
    drmaa2_machineinfo_list machines = drmaa2_msession_get_all_machines(ms, NULL);
    drmaa2_machineinfo mi = (drmaa2_machineinfo)drmaa2_list_get(machines, 0);
    drmaa2_string_list names = drmaa2_list_create(DRMAA2_STRINGLIST, drmaa2_string_list_default_callback);
    struct utsname host;
    struct sysinfo info;
    long long kilobytes;
    char name[256];
    CHECK(uname(&host) == 0 && sysinfo(&info) == 0);
    kilobytes = (long long)info.totalram * info.mem_unit / 1024;
    CHECK(drmaa2_list_size(machines) == 1 || on_slurm());
    CHECK(runs_jobs(mi->name));
    snprintf(name, sizeof name, "%s", mi->name);
    CHECK_INT(mi->available, DRMAA2_TRUE);
    CHECK(mi->sockets >= 1 && mi->coresPerSocket >= 1 && mi->threadsPerCore >= 1);
    CHECK(mi->sockets * mi->coresPerSocket * mi->threadsPerCore >= get_nprocs());
    CHECK(mi->load >= 0);
    /* A node of scripts/cluster has what its configuration says: 8000 MiB. */
    if (on_slurm())
        kilobytes = 8000 * 1024;
    CHECK(mi->physMemory > kilobytes / 10 * 9 && mi->physMemory < kilobytes / 10 * 11);
    CHECK(mi->virtMemory >= mi->physMemory);
    CHECK_INT(mi->machineOS, DRMAA2_LINUX);
    CHECK(mi->machineOSVersion != NULL && mi->machineOSVersion->major != NULL);
    CHECK(strncmp(mi->machineOSVersion->major, host.release, strlen(mi->machineOSVersion->major)) == 0);
#ifdef __x86_64__
    CHECK_INT(mi->machineArch, DRMAA2_X64);
#endif
    drmaa2_list_free(&machines);

    machines = drmaa2_msession_get_all_machines(ms, names);
    CHECK_INT(drmaa2_list_size(machines), 0);
    drmaa2_list_free(&machines);
    drmaa2_list_add(names, strdup("no-such-machine"));
    machines = drmaa2_msession_get_all_machines(ms, names);
    CHECK_INT(drmaa2_list_size(machines), 0);
    drmaa2_list_free(&machines);
    drmaa2_list_add(names, strdup(name));
    machines = drmaa2_msession_get_all_machines(ms, names);
    CHECK_INT(drmaa2_list_size(machines), 1);
    drmaa2_list_free(&machines);
    drmaa2_list_free(&names);
}

static int sees(drmaa2_msession ms, const char *job)
{
    drmaa2_j_list jobs = drmaa2_msession_get_all_jobs(ms, NULL);
    long i;
    int found = 0;
    for (i = 0; i < drmaa2_list_size(jobs); i++) {
        drmaa2_string id = drmaa2_j_get_id((drmaa2_j)drmaa2_list_get(jobs, i));
        found += strcmp(id, job) == 0;
        drmaa2_string_free(&id);
    }
    drmaa2_list_free(&jobs);
    return found;
}

static void versions(void)
{
    drmaa2_string name = drmaa2_get_drms_name();
    drmaa2_version version = drmaa2_get_drms_version();
    char both[256];
    snprintf(both, sizeof both, "%s.%s", version->major, version->minor);
    /* Client and server say the same version here; the server's is what counts. */
    if (!on_slurm())
        CHECK_STR(name, "containerd");
    if (reaches_containerd())
        CHECK(ctr_lines("version", both) >= 1);
    drmaa2_string_free(&name);
    drmaa2_version_free(&version);
    name = drmaa2_get_drmaa_name();
    version = drmaa2_get_drmaa_version();
    CHECK_STR(name, "drmaa2-containerd");
    CHECK(version->major != NULL && version->minor != NULL);
    drmaa2_string_free(&name);
    drmaa2_version_free(&version);
}

int main(void)
{
    drmaa2_msession ms = drmaa2_open_msession("any name");
    drmaa2_jsession js = session(NULL);
    drmaa2_j j = run(js, sleeper());
    drmaa2_string id = drmaa2_j_get_id(j);
    drmaa2_queueinfo_list queues = drmaa2_msession_get_all_queues(ms, NULL);
    CHECK(queues != NULL);
    drmaa2_list_free(&queues);
    machine(ms);
    versions();
    CHECK_INT(sees(ms, id), 1);

    /* With a monitoring session open, a job is within reach though its session is closed. */
    CHECK_INT(drmaa2_close_jsession(js), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_j_get_state(j, NULL), DRMAA2_RUNNING);
    CHECK_INT(drmaa2_j_terminate(j), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_j_wait_terminated(j, LONG), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_j_reap(j), DRMAA2_SUCCESS);
    /* Slurm needs a moment to see its end. */
    for (int tries = 0; on_slurm() && tries < 10 * LONG && sees(ms, id); tries++)
        usleep(100000);
    CHECK_INT(sees(ms, id), 0);
    drmaa2_string_free(&id);
    drmaa2_j_free(&j);
    drmaa2_jsession_free(&js);

    CHECK_INT(drmaa2_close_msession(ms), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_close_msession(ms), DRMAA2_INVALID_SESSION);
    CHECK(drmaa2_msession_get_all_jobs(ms, NULL) == NULL);
    CHECK_INT(drmaa2_lasterror(), DRMAA2_INVALID_SESSION);
    CHECK(drmaa2_msession_get_all_machines(ms, NULL) == NULL);
    CHECK(drmaa2_msession_get_all_queues(ms, NULL) == NULL);
    drmaa2_msession_free(&ms);
    return check_result();
}
