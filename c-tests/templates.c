/*
 * Templates and job infos: what is in a new one, and what is freed with one.
 */
#include "check.h"

static drmaa2_string_list strings(void) {
    drmaa2_string_list list =
        drmaa2_list_create(DRMAA2_STRINGLIST, drmaa2_string_list_default_callback);
    CHECK_OK(drmaa2_list_add(list, strdup("element")));
    return list;
}

static drmaa2_dict dictionary(void) {
    drmaa2_dict dict = drmaa2_dict_create(drmaa2_dict_default_callback);
    CHECK_OK(drmaa2_dict_set(dict, strdup("key"), strdup("value")));
    return dict;
}

static void new_job_template(void) {
    drmaa2_jtemplate jt = drmaa2_jtemplate_create();
    CHECK(jt->remoteCommand == NULL && jt->args == NULL && jt->jobEnvironment == NULL);
    CHECK(jt->workingDirectory == NULL && jt->jobCategory == NULL && jt->email == NULL);
    CHECK(jt->jobName == NULL && jt->inputPath == NULL && jt->outputPath == NULL);
    CHECK(jt->errorPath == NULL && jt->reservationId == NULL && jt->queueName == NULL);
    CHECK(jt->candidateMachines == NULL && jt->stageInFiles == NULL && jt->stageOutFiles == NULL);
    CHECK(jt->resourceLimits == NULL && jt->accountingId == NULL);
    CHECK(jt->implementationSpecific == NULL);
    CHECK_INT(jt->submitAsHold, DRMAA2_FALSE);
    CHECK_INT(jt->rerunnable, DRMAA2_FALSE);
    CHECK_INT(jt->emailOnStarted, DRMAA2_FALSE);
    CHECK_INT(jt->emailOnTerminated, DRMAA2_FALSE);
    CHECK_INT(jt->joinFiles, DRMAA2_FALSE);
    CHECK_INT(jt->minSlots, DRMAA2_UNSET_NUM);
    CHECK_INT(jt->maxSlots, DRMAA2_UNSET_NUM);
    CHECK_INT(jt->priority, DRMAA2_UNSET_NUM);
    CHECK_INT(jt->minPhysMemory, DRMAA2_UNSET_NUM);
    CHECK_INT(jt->machineOS, DRMAA2_UNSET_OS);
    CHECK_INT(jt->machineArch, DRMAA2_UNSET_CPU);
    CHECK_INT(jt->startTime, DRMAA2_UNSET_TIME);
    CHECK_INT(jt->deadlineTime, DRMAA2_UNSET_TIME);
    drmaa2_jtemplate_free(&jt);
    CHECK(jt == NULL);
    drmaa2_jtemplate_free(&jt);
}

/* Clients fill templates of the library's, and blocks of their own. */
static void full_job_template(int own) {
    drmaa2_jtemplate jt = own ? calloc(1, sizeof *jt) : drmaa2_jtemplate_create();
    jt->remoteCommand = strdup("/bin/true");
    jt->args = strings();
    jt->jobEnvironment = dictionary();
    jt->workingDirectory = strdup("/");
    jt->jobCategory = strdup("category");
    jt->email = strings();
    jt->jobName = strdup("name");
    jt->inputPath = strdup("/in");
    jt->outputPath = strdup("/out");
    jt->errorPath = strdup("/err");
    jt->reservationId = strdup("r");
    jt->queueName = strdup("q");
    jt->candidateMachines = strings();
    jt->stageInFiles = dictionary();
    jt->stageOutFiles = dictionary();
    jt->resourceLimits = dictionary();
    jt->accountingId = strdup("project");
    drmaa2_jtemplate_free(&jt);
    CHECK(jt == NULL);
}

/* Lists and dictionaries without a callback leave alone what is in them. */
static void borrowed_strings(void) {
    drmaa2_jtemplate jt = drmaa2_jtemplate_create();
    jt->args = drmaa2_list_create(DRMAA2_STRINGLIST, NULL);
    CHECK_OK(drmaa2_list_add(jt->args, "literal"));
    jt->jobEnvironment = drmaa2_dict_create(NULL);
    CHECK_OK(drmaa2_dict_set(jt->jobEnvironment, "literal", "literal"));
    drmaa2_jtemplate_free(&jt);
}

static void new_job_info(void) {
    drmaa2_jinfo ji = drmaa2_jinfo_create();
    CHECK(ji->jobId == NULL && ji->jobName == NULL && ji->terminatingSignal == NULL);
    CHECK(ji->annotation == NULL && ji->jobSubState == NULL && ji->allocatedMachines == NULL);
    CHECK(ji->submissionMachine == NULL && ji->jobOwner == NULL && ji->queueName == NULL);
    CHECK(ji->implementationSpecific == NULL);
    CHECK_INT(ji->exitStatus, DRMAA2_UNSET_NUM);
    CHECK_INT(ji->jobState, DRMAA2_UNSET_JSTATE);
    CHECK_INT(ji->slots, DRMAA2_UNSET_NUM);
    CHECK_INT(ji->wallclockTime, DRMAA2_UNSET_TIME);
    CHECK_INT(ji->cpuTime, DRMAA2_UNSET_NUM);
    CHECK_INT(ji->submissionTime, DRMAA2_UNSET_TIME);
    CHECK_INT(ji->dispatchTime, DRMAA2_UNSET_TIME);
    CHECK_INT(ji->finishTime, DRMAA2_UNSET_TIME);
    drmaa2_jinfo_free(&ji);
    CHECK(ji == NULL);
    drmaa2_jinfo_free(&ji);
}

static void full_job_info(void) {
    drmaa2_jinfo ji = drmaa2_jinfo_create();
    drmaa2_slotinfo si = calloc(1, sizeof *si);
    si->machineName = strdup("machine");
    ji->jobId = strdup("1");
    ji->jobName = strdup("name");
    ji->terminatingSignal = strdup("SIGKILL");
    ji->annotation = strdup("reason");
    ji->jobSubState = strdup("detail");
    ji->allocatedMachines =
        drmaa2_list_create(DRMAA2_SLOTINFOLIST, drmaa2_slotinfo_list_default_callback);
    CHECK_OK(drmaa2_list_add(ji->allocatedMachines, si));
    ji->submissionMachine = strdup("host");
    ji->jobOwner = strdup("user");
    ji->queueName = strdup("queue");
    drmaa2_jinfo_free(&ji);
    CHECK(ji == NULL);
}

static void reservation_templates(void) {
    drmaa2_rtemplate rt = drmaa2_rtemplate_create();
    CHECK(rt->reservationName == NULL && rt->jobCategory == NULL && rt->usersACL == NULL);
    CHECK(rt->candidateMachines == NULL && rt->implementationSpecific == NULL);
    CHECK_INT(rt->startTime, DRMAA2_UNSET_TIME);
    CHECK_INT(rt->endTime, DRMAA2_UNSET_TIME);
    CHECK_INT(rt->duration, DRMAA2_UNSET_TIME);
    CHECK_INT(rt->minSlots, DRMAA2_UNSET_NUM);
    CHECK_INT(rt->maxSlots, DRMAA2_UNSET_NUM);
    CHECK_INT(rt->minPhysMemory, DRMAA2_UNSET_NUM);
    CHECK_INT(rt->machineOS, DRMAA2_UNSET_OS);
    CHECK_INT(rt->machineArch, DRMAA2_UNSET_CPU);
    rt->reservationName = strdup("name");
    rt->jobCategory = strdup("category");
    rt->usersACL = strings();
    rt->candidateMachines = strings();
    drmaa2_rtemplate_free(&rt);
    CHECK(rt == NULL);
    drmaa2_rtemplate_free(&rt);
}

int main(void) {
    new_job_template();
    full_job_template(0);
    full_job_template(1);
    borrowed_strings();
    new_job_info();
    full_job_info();
    reservation_templates();
    return check_result();
}
