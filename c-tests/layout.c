/*
 * The binary interface: sizes, offsets and numbers of the standard's header on 64-bit Linux, of the
 * handles that clients look into, and of the extensions.
 */
#include "check.h"

#include <drmaa2_ext.h>
#include <stddef.h>

#define SIZE(type, size) _Static_assert(sizeof(type) == (size), #type)
#define AT(type, member, offset) _Static_assert(offsetof(type, member) == (offset), #type "." #member)
#define MEMBER(type, member, offset, size)                                                          \
    AT(type, member, offset);                                                                       \
    _Static_assert(sizeof(((type *) 0)->member) == (size), "size of " #type "." #member)
#define IS(name, number) _Static_assert((name) == (number), #name)

SIZE(drmaa2_sudo_s, 272);
MEMBER(drmaa2_sudo_s, username, 0, 128);
MEMBER(drmaa2_sudo_s, groupname, 128, 128);
MEMBER(drmaa2_sudo_s, uid, 256, 8);
MEMBER(drmaa2_sudo_s, gid, 264, 8);

SIZE(drmaa2_jtemplate_s, 224);
MEMBER(drmaa2_jtemplate_s, remoteCommand, 0, 8);
MEMBER(drmaa2_jtemplate_s, args, 8, 8);
MEMBER(drmaa2_jtemplate_s, submitAsHold, 16, 4);
MEMBER(drmaa2_jtemplate_s, rerunnable, 20, 4);
MEMBER(drmaa2_jtemplate_s, jobEnvironment, 24, 8);
MEMBER(drmaa2_jtemplate_s, workingDirectory, 32, 8);
MEMBER(drmaa2_jtemplate_s, jobCategory, 40, 8);
MEMBER(drmaa2_jtemplate_s, email, 48, 8);
MEMBER(drmaa2_jtemplate_s, emailOnStarted, 56, 4);
MEMBER(drmaa2_jtemplate_s, emailOnTerminated, 60, 4);
MEMBER(drmaa2_jtemplate_s, jobName, 64, 8);
MEMBER(drmaa2_jtemplate_s, inputPath, 72, 8);
MEMBER(drmaa2_jtemplate_s, outputPath, 80, 8);
MEMBER(drmaa2_jtemplate_s, errorPath, 88, 8);
MEMBER(drmaa2_jtemplate_s, joinFiles, 96, 4);
MEMBER(drmaa2_jtemplate_s, reservationId, 104, 8);
MEMBER(drmaa2_jtemplate_s, queueName, 112, 8);
MEMBER(drmaa2_jtemplate_s, minSlots, 120, 8);
MEMBER(drmaa2_jtemplate_s, maxSlots, 128, 8);
MEMBER(drmaa2_jtemplate_s, priority, 136, 8);
MEMBER(drmaa2_jtemplate_s, candidateMachines, 144, 8);
MEMBER(drmaa2_jtemplate_s, minPhysMemory, 152, 8);
MEMBER(drmaa2_jtemplate_s, machineOS, 160, 4);
MEMBER(drmaa2_jtemplate_s, machineArch, 164, 4);
MEMBER(drmaa2_jtemplate_s, startTime, 168, 8);
MEMBER(drmaa2_jtemplate_s, deadlineTime, 176, 8);
MEMBER(drmaa2_jtemplate_s, stageInFiles, 184, 8);
MEMBER(drmaa2_jtemplate_s, stageOutFiles, 192, 8);
MEMBER(drmaa2_jtemplate_s, resourceLimits, 200, 8);
MEMBER(drmaa2_jtemplate_s, accountingId, 208, 8);
MEMBER(drmaa2_jtemplate_s, implementationSpecific, 216, 8);

SIZE(drmaa2_jinfo_s, 144);
MEMBER(drmaa2_jinfo_s, jobId, 0, 8);
MEMBER(drmaa2_jinfo_s, jobName, 8, 8);
MEMBER(drmaa2_jinfo_s, exitStatus, 16, 4);
MEMBER(drmaa2_jinfo_s, terminatingSignal, 24, 8);
MEMBER(drmaa2_jinfo_s, annotation, 32, 8);
MEMBER(drmaa2_jinfo_s, jobState, 40, 4);
MEMBER(drmaa2_jinfo_s, jobSubState, 48, 8);
MEMBER(drmaa2_jinfo_s, allocatedMachines, 56, 8);
MEMBER(drmaa2_jinfo_s, submissionMachine, 64, 8);
MEMBER(drmaa2_jinfo_s, jobOwner, 72, 8);
MEMBER(drmaa2_jinfo_s, slots, 80, 8);
MEMBER(drmaa2_jinfo_s, queueName, 88, 8);
MEMBER(drmaa2_jinfo_s, wallclockTime, 96, 8);
MEMBER(drmaa2_jinfo_s, cpuTime, 104, 8);
MEMBER(drmaa2_jinfo_s, submissionTime, 112, 8);
MEMBER(drmaa2_jinfo_s, dispatchTime, 120, 8);
MEMBER(drmaa2_jinfo_s, finishTime, 128, 8);
MEMBER(drmaa2_jinfo_s, implementationSpecific, 136, 8);

SIZE(drmaa2_rtemplate_s, 96);
MEMBER(drmaa2_rtemplate_s, reservationName, 0, 8);
MEMBER(drmaa2_rtemplate_s, startTime, 8, 8);
MEMBER(drmaa2_rtemplate_s, endTime, 16, 8);
MEMBER(drmaa2_rtemplate_s, duration, 24, 8);
MEMBER(drmaa2_rtemplate_s, minSlots, 32, 8);
MEMBER(drmaa2_rtemplate_s, maxSlots, 40, 8);
MEMBER(drmaa2_rtemplate_s, jobCategory, 48, 8);
MEMBER(drmaa2_rtemplate_s, usersACL, 56, 8);
MEMBER(drmaa2_rtemplate_s, candidateMachines, 64, 8);
MEMBER(drmaa2_rtemplate_s, minPhysMemory, 72, 8);
MEMBER(drmaa2_rtemplate_s, machineOS, 80, 4);
MEMBER(drmaa2_rtemplate_s, machineArch, 84, 4);
MEMBER(drmaa2_rtemplate_s, implementationSpecific, 88, 8);

SIZE(drmaa2_rinfo_s, 64);
MEMBER(drmaa2_rinfo_s, reservationId, 0, 8);
MEMBER(drmaa2_rinfo_s, reservationName, 8, 8);
MEMBER(drmaa2_rinfo_s, reservedStartTime, 16, 8);
MEMBER(drmaa2_rinfo_s, reservedEndTime, 24, 8);
MEMBER(drmaa2_rinfo_s, usersACL, 32, 8);
MEMBER(drmaa2_rinfo_s, reservedSlots, 40, 8);
MEMBER(drmaa2_rinfo_s, reservedMachines, 48, 8);
MEMBER(drmaa2_rinfo_s, implementationSpecific, 56, 8);

SIZE(drmaa2_slotinfo_s, 24);
MEMBER(drmaa2_slotinfo_s, machineName, 0, 8);
MEMBER(drmaa2_slotinfo_s, slots, 8, 8);
MEMBER(drmaa2_slotinfo_s, implementationSpecific, 16, 8);

SIZE(drmaa2_notification_s, 40);
MEMBER(drmaa2_notification_s, event, 0, 4);
MEMBER(drmaa2_notification_s, jobId, 8, 8);
MEMBER(drmaa2_notification_s, sessionName, 16, 8);
MEMBER(drmaa2_notification_s, jobState, 24, 4);
MEMBER(drmaa2_notification_s, implementationSpecific, 32, 8);

SIZE(drmaa2_queueinfo_s, 16);
MEMBER(drmaa2_queueinfo_s, name, 0, 8);
MEMBER(drmaa2_queueinfo_s, implementationSpecific, 8, 8);

SIZE(drmaa2_version_s, 24);
MEMBER(drmaa2_version_s, major, 0, 8);
MEMBER(drmaa2_version_s, minor, 8, 8);
MEMBER(drmaa2_version_s, implementationSpecific, 16, 8);

SIZE(drmaa2_machineinfo_s, 96);
MEMBER(drmaa2_machineinfo_s, name, 0, 8);
MEMBER(drmaa2_machineinfo_s, available, 8, 4);
MEMBER(drmaa2_machineinfo_s, sockets, 16, 8);
MEMBER(drmaa2_machineinfo_s, coresPerSocket, 24, 8);
MEMBER(drmaa2_machineinfo_s, threadsPerCore, 32, 8);
MEMBER(drmaa2_machineinfo_s, load, 40, 4);
MEMBER(drmaa2_machineinfo_s, physMemory, 48, 8);
MEMBER(drmaa2_machineinfo_s, virtMemory, 56, 8);
MEMBER(drmaa2_machineinfo_s, machineOS, 64, 4);
MEMBER(drmaa2_machineinfo_s, machineOSVersion, 72, 8);
MEMBER(drmaa2_machineinfo_s, machineArch, 80, 4);
MEMBER(drmaa2_machineinfo_s, implementationSpecific, 88, 8);

SIZE(drmaa2_j_s, 24);
MEMBER(drmaa2_j_s, id, 0, 8);
MEMBER(drmaa2_j_s, session_name, 8, 8);
MEMBER(drmaa2_j_s, job_name, 16, 8);

SIZE(drmaa2_jarray_s, 24);
MEMBER(drmaa2_jarray_s, id, 0, 8);
MEMBER(drmaa2_jarray_s, job_list, 8, 8);
MEMBER(drmaa2_jarray_s, session_name, 16, 8);

MEMBER(drmaa2_jsession_s, contact, 0, 8);
MEMBER(drmaa2_jsession_s, name, 8, 8);
MEMBER(drmaa2_rsession_s, contact, 0, 8);
MEMBER(drmaa2_rsession_s, name, 8, 8);
MEMBER(drmaa2_msession_s, name, 0, 8);

SIZE(drmaa2_r_s, 16);
MEMBER(drmaa2_r_s, id, 0, 8);
MEMBER(drmaa2_r_s, session_name, 8, 8);

SIZE(drmaa2_jstate, 4);
IS(DRMAA2_UNSET_JSTATE, -1);
IS(DRMAA2_UNDETERMINED, 0);
IS(DRMAA2_QUEUED, 1);
IS(DRMAA2_QUEUED_HELD, 2);
IS(DRMAA2_RUNNING, 3);
IS(DRMAA2_SUSPENDED, 4);
IS(DRMAA2_REQUEUED, 5);
IS(DRMAA2_REQUEUED_HELD, 6);
IS(DRMAA2_DONE, 7);
IS(DRMAA2_FAILED, 8);

SIZE(drmaa2_os, 4);
IS(DRMAA2_UNSET_OS, -1);
IS(DRMAA2_OTHER_OS, 0);
IS(DRMAA2_AIX, 1);
IS(DRMAA2_BSD, 2);
IS(DRMAA2_LINUX, 3);
IS(DRMAA2_HPUX, 4);
IS(DRMAA2_IRIX, 5);
IS(DRMAA2_MACOS, 6);
IS(DRMAA2_SUNOS, 7);
IS(DRMAA2_TRU64, 8);
IS(DRMAA2_UNIXWARE, 9);
IS(DRMAA2_WIN, 10);
IS(DRMAA2_WINNT, 11);

SIZE(drmaa2_cpu, 4);
IS(DRMAA2_UNSET_CPU, -1);
IS(DRMAA2_OTHER_CPU, 0);
IS(DRMAA2_ALPHA, 1);
IS(DRMAA2_ARM, 2);
IS(DRMAA2_ARM64, 3);
IS(DRMAA2_CELL, 4);
IS(DRMAA2_PARISC, 5);
IS(DRMAA2_PARISC64, 6);
IS(DRMAA2_X86, 7);
IS(DRMAA2_X64, 8);
IS(DRMAA2_IA64, 9);
IS(DRMAA2_MIPS, 10);
IS(DRMAA2_MIPS64, 11);
IS(DRMAA2_PPC, 12);
IS(DRMAA2_PPC64, 13);
IS(DRMAA2_SPARC, 14);
IS(DRMAA2_SPARC64, 15);
IS(DRMAA2_PPC64LE, 16);

SIZE(drmaa2_event, 4);
IS(DRMAA2_UNSET_EVENT, -1);
IS(DRMAA2_NEW_STATE, 0);
IS(DRMAA2_MIGRATED, 1);
IS(DRMAA2_ATTRIBUTE_CHANGE, 2);

SIZE(drmaa2_capability, 4);
IS(DRMAA2_UNSET_CAPABILITY, -1);
IS(DRMAA2_ADVANCE_RESERVATION, 0);
IS(DRMAA2_RESERVE_SLOTS, 1);
IS(DRMAA2_CALLBACK, 2);
IS(DRMAA2_BULK_JOBS_MAXPARALLEL, 3);
IS(DRMAA2_JT_EMAIL, 4);
IS(DRMAA2_JT_STAGING, 5);
IS(DRMAA2_JT_DEADLINE, 6);
IS(DRMAA2_JT_MAXSLOTS, 7);
IS(DRMAA2_JT_ACCOUNTINGID, 8);
IS(DRMAA2_RT_STARTNOW, 9);
IS(DRMAA2_RT_DURATION, 10);
IS(DRMAA2_RT_MACHINEOS, 11);
IS(DRMAA2_RT_MACHINEARCH, 12);

SIZE(drmaa2_bool, 4);
IS(DRMAA2_FALSE, 0);
IS(DRMAA2_TRUE, 1);

SIZE(drmaa2_error, 4);
IS(DRMAA2_UNSET_ERROR, -1);
IS(DRMAA2_SUCCESS, 0);
IS(DRMAA2_DENIED_BY_DRMS, 1);
IS(DRMAA2_DRM_COMMUNICATION, 2);
IS(DRMAA2_TRY_LATER, 3);
IS(DRMAA2_SESSION_MANAGEMENT, 4);
IS(DRMAA2_TIMEOUT, 5);
IS(DRMAA2_INTERNAL, 6);
IS(DRMAA2_INVALID_ARGUMENT, 7);
IS(DRMAA2_INVALID_SESSION, 8);
IS(DRMAA2_INVALID_STATE, 9);
IS(DRMAA2_OUT_OF_RESOURCE, 10);
IS(DRMAA2_UNSUPPORTED_ATTRIBUTE, 11);
IS(DRMAA2_UNSUPPORTED_OPERATION, 12);
IS(DRMAA2_IMPLEMENTATION_SPECIFIC, 13);
IS(DRMAA2_LASTERROR, 14);

SIZE(drmaa2_listtype, 4);
IS(DRMAA2_UNSET_LISTTYPE, -1);
IS(DRMAA2_STRINGLIST, 0);
IS(DRMAA2_JOBLIST, 1);
IS(DRMAA2_QUEUEINFOLIST, 2);
IS(DRMAA2_MACHINEINFOLIST, 3);
IS(DRMAA2_SLOTINFOLIST, 4);
IS(DRMAA2_RESERVATIONLIST, 5);

IS(DRMAA2_ZERO_TIME, 0);
IS(DRMAA2_INFINITE_TIME, -1);
IS(DRMAA2_NOW, -2);
IS(DRMAA2_UNSET_TIME, -3);
IS(DRMAA2_UNSET_BOOL, DRMAA2_FALSE);
IS(DRMAA2_UNSET_NUM, -1);
IS(DRMAA2_UNSET_ENUM, -1);

SIZE(drmaa2_sudo_s, 272);
MEMBER(drmaa2_sudo_s, username, 0, 128);
MEMBER(drmaa2_sudo_s, groupname, 128, 128);
MEMBER(drmaa2_sudo_s, uid, 256, 8);
MEMBER(drmaa2_sudo_s, gid, 264, 8);

int main(void) {
    /* The constants that no static assertion can look at. */
    CHECK_STR(DRMAA2_HOME_DIR, "$DRMAA2_HOME_DIR$");
    CHECK_STR(DRMAA2_WORKING_DIR, "$DRMAA2_WORKING_DIR$");
    CHECK_STR(DRMAA2_INDEX, "$DRMAA2_INDEX$");
    CHECK_STR(DRMAA2_UNSET_STRING, NULL);
    CHECK(DRMAA2_UNSET_LIST == NULL && DRMAA2_UNSET_DICT == NULL && DRMAA2_UNSET_CALLBACK == NULL);
    CHECK(DRMAA2_UNSET_JINFO == NULL && DRMAA2_UNSET_VERSION == NULL);

    CHECK_STR(DRMAA2_CORE_FILE_SIZE, "CORE_FILE_SIZE");
    CHECK_STR(DRMAA2_CPU_TIME, "CPU_TIME");
    CHECK_STR(DRMAA2_DATA_SIZE, "DATA_SIZE");
    CHECK_STR(DRMAA2_FILE_SIZE, "FILE_SIZE");
    CHECK_STR(DRMAA2_OPEN_FILES, "OPEN_FILES");
    CHECK_STR(DRMAA2_STACK_SIZE, "STACK_SIZE");
    CHECK_STR(DRMAA2_VIRTUAL_MEMORY, "VIRTUAL_MEMORY");
    CHECK_STR(DRMAA2_WALLCLOCK_TIME, "WALLCLOCK_TIME");
    return check_result();
}
