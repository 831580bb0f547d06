/* candidateMachines, machineOS, machineArch and minPhysMemory are those of the real machine, or the job
   is refused. */
#include "job.h"

static drmaa2_machineinfo machine(drmaa2_machineinfo_list machines)
{
    CHECK(drmaa2_list_size(machines) == 1 || on_slurm());
    return (drmaa2_machineinfo)drmaa2_list_get(machines, 0);
}

static drmaa2_string_list names(const char *first, const char *second)
{
    drmaa2_string_list list = drmaa2_list_create(DRMAA2_STRINGLIST, drmaa2_string_list_default_callback);
    drmaa2_list_add(list, strdup(first));
    if (second != NULL)
        drmaa2_list_add(list, strdup(second));
    return list;
}

static void refused(drmaa2_jsession js, drmaa2_jtemplate jt, const char *attribute, const char *value)
{
    drmaa2_j_list jobs;
    CHECK(drmaa2_jsession_run_job(js, jt) == NULL);
    failed(DRMAA2_INVALID_ARGUMENT, attribute);
    failed(DRMAA2_INVALID_ARGUMENT, value);
    drmaa2_jtemplate_free(&jt);
    jobs = drmaa2_jsession_get_jobs(js, NULL);
    CHECK_INT(drmaa2_list_size(jobs), 0);
    drmaa2_list_free(&jobs);
}

int main(void)
{
    drmaa2_jsession js = session("machines");
    drmaa2_msession ms = drmaa2_open_msession(NULL);
    drmaa2_machineinfo_list machines = drmaa2_msession_get_all_machines(ms, NULL);
    drmaa2_machineinfo here = machine(machines);
    drmaa2_jtemplate jt;
    drmaa2_jinfo ji;
    drmaa2_j j;

#define REFUSED(member, wrong, attribute, value)                                                       \
    jt = command("true");                                                                              \
    jt->member = wrong;                                                                                \
    refused(js, jt, attribute, value)
    REFUSED(candidateMachines, names("no-such-machine", "nor-this"), "candidateMachines", "nor-this");
    REFUSED(machineOS, DRMAA2_MACOS, "machineOS", "6");
    REFUSED(machineArch, DRMAA2_SPARC64, "machineArch", "15");
    REFUSED(minPhysMemory, here->physMemory + 1, "minPhysMemory",
            on_slurm() ? "Memory specification" : "the machine has only");
#undef REFUSED

    jt = command("true");
    jt->candidateMachines = names("no-such-machine", here->name);
    jt->machineOS = here->machineOS;
    jt->machineArch = here->machineArch;
    jt->minPhysMemory = here->physMemory;
    j = run(js, jt);
    ji = finish(j);
    CHECK_INT(ji->jobState, DRMAA2_DONE);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);
    drmaa2_list_free(&machines);
    CHECK_INT(drmaa2_close_msession(ms), DRMAA2_SUCCESS);
    drmaa2_msession_free(&ms);
    done_with(&js);
    return check_result();
}
