/* DRMAA2_COMPAT=age: a program that was made for Altair Grid Engine reads what it expects. */
#include "job.h"

/* A value that nobody knows: objects work, and all that needs the configuration says why not. */
static void unknown(const char *value)
{
    drmaa2_string_list l;
    CHECK_INT(setenv("DRMAA2_COMPAT", value, 1), 0);
    l = drmaa2_list_create(DRMAA2_STRINGLIST, drmaa2_string_list_default_callback);
    CHECK_OK(drmaa2_list_add(l, strdup("works")));
    drmaa2_list_free(&l);
    CHECK_OWN(drmaa2_get_drmaa_name(), "drmaa2-containerd");
    CHECK(drmaa2_create_jsession(NULL, NULL) == NULL);
    failed(DRMAA2_SESSION_MANAGEMENT, value);
    CHECK(drmaa2_open_msession(NULL) == NULL);
    failed(DRMAA2_SESSION_MANAGEMENT, "DRMAA2_COMPAT");
}

static void machines(void)
{
    drmaa2_msession ms = drmaa2_open_msession(NULL);
    drmaa2_machineinfo_list l = drmaa2_msession_get_all_machines(ms, NULL);
    CHECK(drmaa2_list_size(l) == 1 || on_slurm());
    drmaa2_machineinfo mi = (drmaa2_machineinfo)drmaa2_list_get(l, 0);
    CHECK(runs_jobs(mi->name));
    /* The one in the place of the other. */
    CHECK_INT(mi->machineArch, DRMAA2_LINUX);
#if defined(__x86_64__)
    CHECK_INT(mi->machineOS, DRMAA2_X64);
#elif defined(__aarch64__)
    CHECK_INT(mi->machineOS, DRMAA2_ARM64);
#endif
    drmaa2_list_free(&l);
    CHECK_OK(drmaa2_close_msession(ms));
    drmaa2_msession_free(&ms);
}

static void job_info(drmaa2_jsession js)
{
    drmaa2_j j = submit(js, shell("exit 0"));
    drmaa2_jinfo ji = finish(j), filter = drmaa2_jinfo_create();
    drmaa2_j_list jobs;
    CHECK_INT(drmaa2_list_size(ji->allocatedMachines), 1);
    CHECK(runs_jobs(drmaa2_list_get(ji->allocatedMachines, 0)));
    /* Machines that were read can be asked for. */
    filter->allocatedMachines = ji->allocatedMachines;
    jobs = drmaa2_jsession_get_jobs(js, filter);
    CHECK_INT(drmaa2_list_size(jobs), 1);
    drmaa2_list_free(&jobs);
    filter->allocatedMachines = NULL;
    drmaa2_jinfo_free(&filter);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);
}

static void reservation_info(void)
{
    drmaa2_rsession rs = drmaa2_create_rsession(NULL, NULL);
    drmaa2_string name = drmaa2_rsession_get_session_name(rs);
    drmaa2_rtemplate rt = drmaa2_rtemplate_create();
    drmaa2_r r;
    drmaa2_rinfo ri;
    rt->startTime = DRMAA2_NOW;
    rt->duration = 1000;
    r = drmaa2_rsession_request_reservation(rs, rt);
    if (r == NULL)
        give_up("request_reservation");
    ri = drmaa2_r_get_info(r);
    CHECK_INT(drmaa2_list_size(ri->reservedMachines), 1);
    CHECK(runs_jobs(drmaa2_list_get(ri->reservedMachines, 0)));
    drmaa2_rinfo_free(&ri);
    CHECK_OK(drmaa2_r_terminate(r));
    drmaa2_r_free(&r);
    drmaa2_rtemplate_free(&rt);
    CHECK_OK(drmaa2_close_rsession(rs));
    CHECK_OK(drmaa2_destroy_rsession(name));
    drmaa2_string_free(&name);
    drmaa2_rsession_free(&rs);
}

int main(void)
{
    drmaa2_jsession js;
    drmaa2_bool reserves = drmaa2_supports(DRMAA2_ADVANCE_RESERVATION);
    in_child(unknown, "AGE 8.7");
    /* Before the library is first used. */
    CHECK_INT(setenv("DRMAA2_COMPAT", "age", 1), 0);
    js = session(NULL);
    /* Read once. */
    CHECK_INT(setenv("DRMAA2_COMPAT", "something else", 1), 0);
    machines();
    job_info(js);
    if (reserves)
        reservation_info();
    CHECK_INT(unsetenv("DRMAA2_COMPAT"), 0);
    machines();
    done_with(&js);
    return check_result();
}
