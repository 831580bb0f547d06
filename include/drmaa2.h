/*
 * DRMAA2: the C interface to batch systems, GFD-R-P.230 over GFD-R-P.231, of libdrmaa2.
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * Generated from src/ffi by: DRMAA2_BLESS=1 cargo test --test header
 *
 * Errors. A function that returns drmaa2_error returns its error code. Other functions return NULL,
 * -1, DRMAA2_FALSE or DRMAA2_UNSET_JSTATE on error. Either way drmaa2_lasterror gives the code of
 * the last call on this thread and drmaa2_lasterror_text says what went wrong; NULL can be a proper
 * answer too, then the code is DRMAA2_SUCCESS. Every function may also fail with
 * DRMAA2_OUT_OF_RESOURCE and DRMAA2_INTERNAL, and one that has to do with jobs or sessions with
 * DRMAA2_DRM_COMMUNICATION, DRMAA2_TRY_LATER, DRMAA2_SESSION_MANAGEMENT and DRMAA2_DENIED_BY_DRMS.
 *
 * Memory. What a function returns belongs to the caller, who frees it with the function that the
 * description names, unless it says otherwise; that frees all that is in it. Arguments remain the
 * caller's: the library copies what it keeps. Strings and structs are malloc blocks, so a caller
 * fills a struct with strings from malloc or strdup.
 *
 * NULL is allowed everywhere and is an error where it makes no sense. Other pointers must lead to
 * what their types say, except that handles of sessions may be closed or freed already.
 *
 * Threads. All functions may be called from any thread. Lists, dictionaries and structs have no
 * locks: a thread that changes one must be alone with it. Session handles may be shared.
 */

#ifndef DRMAA2_H
#define DRMAA2_H

#include <stddef.h>
#include <time.h>

/* A moment or a span that is 0. As waiting time: look and return. */
#define DRMAA2_ZERO_TIME ((time_t) 0)
/* As waiting time: without limit. */
#define DRMAA2_INFINITE_TIME ((time_t) -1)
/* The moment at which the call is made. */
#define DRMAA2_NOW ((time_t) -2)
/* No value. */
#define DRMAA2_UNSET_TIME ((time_t) -3)

/* At the start of a path: the home directory of the job's user. */
#define DRMAA2_HOME_DIR "$DRMAA2_HOME_DIR$"
/* At the start of a path: the working directory of the job. */
#define DRMAA2_WORKING_DIR "$DRMAA2_WORKING_DIR$"
/* In a path: the index of the job in its array. */
#define DRMAA2_INDEX "$DRMAA2_INDEX$"

/* What stands for "no value", by type. */
#define DRMAA2_UNSET_BOOL DRMAA2_FALSE
#define DRMAA2_UNSET_STRING NULL
#define DRMAA2_UNSET_NUM -1
#define DRMAA2_UNSET_ENUM -1
#define DRMAA2_UNSET_LIST NULL
#define DRMAA2_UNSET_DICT NULL
#define DRMAA2_UNSET_CALLBACK NULL
#define DRMAA2_UNSET_JINFO NULL
#define DRMAA2_UNSET_VERSION NULL

/* The state of a job (GFD.231, JobState). */
typedef enum drmaa2_jstate {
    /* No value; what drmaa2_j_get_state returns on error. */
    DRMAA2_UNSET_JSTATE = -1,
    /* Cannot be found out, for good. */
    DRMAA2_UNDETERMINED = 0,
    /* Waiting and eligible to run. */
    DRMAA2_QUEUED = 1,
    /* Waiting, on hold. */
    DRMAA2_QUEUED_HELD = 2,
    /* Executing. */
    DRMAA2_RUNNING = 3,
    /* Started, and stopped for now. */
    DRMAA2_SUSPENDED = 4,
    /* Ran before, was put back, eligible to run. */
    DRMAA2_REQUEUED = 5,
    /* Ran before, was put back, on hold. */
    DRMAA2_REQUEUED_HELD = 6,
    /* Ended with exit code 0. */
    DRMAA2_DONE = 7,
    /* Ended in any other way. */
    DRMAA2_FAILED = 8
} drmaa2_jstate;

/* An operating system (GFD.231, OperatingSystem). */
typedef enum drmaa2_os {
    /* No value. */
    DRMAA2_UNSET_OS = -1,
    /* None of the list. */
    DRMAA2_OTHER_OS = 0,
    DRMAA2_AIX = 1,
    /* Any BSD. */
    DRMAA2_BSD = 2,
    DRMAA2_LINUX = 3,
    DRMAA2_HPUX = 4,
    DRMAA2_IRIX = 5,
    DRMAA2_MACOS = 6,
    DRMAA2_SUNOS = 7,
    DRMAA2_TRU64 = 8,
    DRMAA2_UNIXWARE = 9,
    /* Windows before NT. */
    DRMAA2_WIN = 10,
    /* Windows NT and its successors. */
    DRMAA2_WINNT = 11
} drmaa2_os;

/* A processor architecture (GFD.231, CpuArchitecture). */
typedef enum drmaa2_cpu {
    /* No value. */
    DRMAA2_UNSET_CPU = -1,
    /* None of the list. */
    DRMAA2_OTHER_CPU = 0,
    DRMAA2_ALPHA = 1,
    /* 32-bit ARM. */
    DRMAA2_ARM = 2,
    DRMAA2_ARM64 = 3,
    DRMAA2_CELL = 4,
    DRMAA2_PARISC = 5,
    DRMAA2_PARISC64 = 6,
    /* 32-bit x86. */
    DRMAA2_X86 = 7,
    /* 64-bit x86. */
    DRMAA2_X64 = 8,
    DRMAA2_IA64 = 9,
    DRMAA2_MIPS = 10,
    DRMAA2_MIPS64 = 11,
    DRMAA2_PPC = 12,
    DRMAA2_PPC64 = 13,
    DRMAA2_SPARC = 14,
    DRMAA2_SPARC64 = 15,
    /* 64-bit PowerPC, little endian. */
    DRMAA2_PPC64LE = 16
} drmaa2_cpu;

/* The subject of a notification (GFD.231, DrmaaEvent). */
typedef enum drmaa2_event {
    /* No value. */
    DRMAA2_UNSET_EVENT = -1,
    /* The job has entered another state. */
    DRMAA2_NEW_STATE = 0,
    /* The job was moved to other machines. */
    DRMAA2_MIGRATED = 1,
    /* Something else in the job's info has changed. */
    DRMAA2_ATTRIBUTE_CHANGE = 2
} drmaa2_event;

/* An optional feature, for drmaa2_supports (GFD.231, DrmaaCapability). */
typedef enum drmaa2_capability {
    /* No value. */
    DRMAA2_UNSET_CAPABILITY = -1,
    /* Reservation sessions and reservations. */
    DRMAA2_ADVANCE_RESERVATION = 0,
    /* Reservations reserve slots, not whole machines. */
    DRMAA2_RESERVE_SLOTS = 1,
    /* drmaa2_register_event_notification. */
    DRMAA2_CALLBACK = 2,
    /* The argument max_parallel of drmaa2_jsession_run_bulk_jobs. */
    DRMAA2_BULK_JOBS_MAXPARALLEL = 3,
    /* The attributes email, emailOnStarted and emailOnTerminated. */
    DRMAA2_JT_EMAIL = 4,
    /* The attributes stageInFiles and stageOutFiles. */
    DRMAA2_JT_STAGING = 5,
    /* The attribute deadlineTime. */
    DRMAA2_JT_DEADLINE = 6,
    /* The attribute maxSlots. */
    DRMAA2_JT_MAXSLOTS = 7,
    /* The attribute accountingId. */
    DRMAA2_JT_ACCOUNTINGID = 8,
    /* DRMAA2_NOW as startTime of a reservation. */
    DRMAA2_RT_STARTNOW = 9,
    /* The attribute duration of a reservation. */
    DRMAA2_RT_DURATION = 10,
    /* The attribute machineOS of a reservation. */
    DRMAA2_RT_MACHINEOS = 11,
    /* The attribute machineArch of a reservation. */
    DRMAA2_RT_MACHINEARCH = 12
} drmaa2_capability;

/* No or yes. In a template, FALSE is also "not set". */
typedef enum drmaa2_bool {
    /* No. */
    DRMAA2_FALSE = 0,
    /* Yes. */
    DRMAA2_TRUE = 1
} drmaa2_bool;

/* An error code (GFD.231, exceptions). */
typedef enum drmaa2_error {
    /* No value. */
    DRMAA2_UNSET_ERROR = -1,
    /* The call did what it says. */
    DRMAA2_SUCCESS = 0,
    /* Refused for reasons of security or policy. */
    DRMAA2_DENIED_BY_DRMS = 1,
    /* The DRM system cannot be reached; unknown whether that will pass. */
    DRMAA2_DRM_COMMUNICATION = 2,
    /* Overload that passes; the same call may succeed later. */
    DRMAA2_TRY_LATER = 3,
    /* Trouble with the stored sessions. */
    DRMAA2_SESSION_MANAGEMENT = 4,
    /* The waiting time is over. */
    DRMAA2_TIMEOUT = 5,
    /* Unexpected and unclassified. */
    DRMAA2_INTERNAL = 6,
    /* Bad input, unknown name or id, reaped job. */
    DRMAA2_INVALID_ARGUMENT = 7,
    /* The session handle is closed, destroyed, freed or NULL. */
    DRMAA2_INVALID_SESSION = 8,
    /* The operation is not allowed in the job's current state. */
    DRMAA2_INVALID_STATE = 9,
    /* Memory, descriptors or disk are exhausted. */
    DRMAA2_OUT_OF_RESOURCE = 10,
    /* An optional attribute is set that is not supported. */
    DRMAA2_UNSUPPORTED_ATTRIBUTE = 11,
    /* An optional function that is not supported. */
    DRMAA2_UNSUPPORTED_OPERATION = 12,
    /* Anything else an implementation documents. Never returned. */
    DRMAA2_IMPLEMENTATION_SPECIFIC = 13,
    /* End of the list. Never returned. */
    DRMAA2_LASTERROR = 14
} drmaa2_error;

/* The type of the elements of a list. */
typedef enum drmaa2_listtype {
    /* No value. */
    DRMAA2_UNSET_LISTTYPE = -1,
    /* char * */
    DRMAA2_STRINGLIST = 0,
    /* drmaa2_j */
    DRMAA2_JOBLIST = 1,
    /* drmaa2_queueinfo */
    DRMAA2_QUEUEINFOLIST = 2,
    /* drmaa2_machineinfo */
    DRMAA2_MACHINEINFOLIST = 3,
    /* drmaa2_slotinfo */
    DRMAA2_SLOTINFOLIST = 4,
    /* drmaa2_r */
    DRMAA2_RESERVATIONLIST = 5
} drmaa2_listtype;

/* The struct behind a drmaa2_dict. */
typedef struct drmaa2_dict_s drmaa2_dict_s;

/* The struct behind a drmaa2_list. */
typedef struct drmaa2_list_s drmaa2_list_s;

/* A NUL-terminated string made by malloc. Its owner frees it with drmaa2_string_free or free. */
typedef char *drmaa2_string;

/* A list of pointers, of one kind. */
typedef struct drmaa2_list_s *drmaa2_list;

/*
 * Releases an element that a list lets go of. It gets the address of a variable that holds the
 * element, so that functions shaped like drmaa2_string_free fit.
 */
typedef void (*drmaa2_list_entryfree)(void **value);

/* A dictionary of strings. */
typedef struct drmaa2_dict_s *drmaa2_dict;

/*
 * Releases a key and a value that a dictionary lets go of. It gets the addresses of variables
 * that hold them; the key is NULL when only the value is replaced.
 */
typedef void (*drmaa2_dict_entryfree)(char **key, char **val);

/* A list of char *, type DRMAA2_STRINGLIST. */
typedef drmaa2_list drmaa2_string_list;

/*
 * The description of a job (GFD.231, JobTemplate). Strings, lists and dictionaries are NULL when not
 * set; one that is empty counts as not set.
 */
typedef struct drmaa2_jtemplate_s {
    /*
     * The program, by its path on the execution host (in a container: inside the image). Without it
     * and args, the command of the image is run.
     */
    drmaa2_string remoteCommand;
    /* Its arguments in order, without the name of the program. */
    drmaa2_string_list args;
    /* Start in state DRMAA2_QUEUED_HELD. */
    drmaa2_bool submitAsHold;
    /* The job may be run anew from the beginning. */
    drmaa2_bool rerunnable;
    /* Variables added to the job's environment, values by names. */
    drmaa2_dict jobEnvironment;
    /* The directory in which the job starts. */
    drmaa2_string workingDirectory;
    /* A name of drmaa2_jsession_get_job_categories, or an image. */
    drmaa2_string jobCategory;
    /* Addresses for mails about the job (DRMAA2_JT_EMAIL). */
    drmaa2_string_list email;
    /* Write a mail when it has started (DRMAA2_JT_EMAIL). */
    drmaa2_bool emailOnStarted;
    /* Write a mail when it has ended (DRMAA2_JT_EMAIL). */
    drmaa2_bool emailOnTerminated;
    /* A label. */
    drmaa2_string jobName;
    /* File for standard input: an absolute path, or one that starts with a placeholder. */
    drmaa2_string inputPath;
    /* File for standard output, likewise. It is truncated. */
    drmaa2_string outputPath;
    /* File for standard error, likewise. */
    drmaa2_string errorPath;
    /* Standard error goes where standard output goes; errorPath is ignored. */
    drmaa2_bool joinFiles;
    /* The reservation in which the job runs. */
    drmaa2_string reservationId;
    /* The queue, by its name. */
    drmaa2_string queueName;
    /* At least so many slots; -1 is not set. */
    long long minSlots;
    /* At most so many slots; -1 is not set (DRMAA2_JT_MAXSLOTS). */
    long long maxSlots;
    /* Larger is more important; -1 (and Grid Engine's -99999) is not set. */
    long long priority;
    /* The machines on which the job may run, by their names. */
    drmaa2_string_list candidateMachines;
    /* At least so much physical memory, kilobytes; -1 is not set. */
    long long minPhysMemory;
    /* The operating system wanted; DRMAA2_UNSET_OS is not set. */
    drmaa2_os machineOS;
    /* The architecture wanted; DRMAA2_UNSET_CPU is not set. */
    drmaa2_cpu machineArch;
    /* Do not start before, seconds since the epoch; DRMAA2_NOW; DRMAA2_UNSET_TIME is not set. */
    time_t startTime;
    /* End by then, seconds since the epoch; DRMAA2_UNSET_TIME is not set (DRMAA2_JT_DEADLINE). */
    time_t deadlineTime;
    /* Files copied before the job starts, destinations by sources (DRMAA2_JT_STAGING). */
    drmaa2_dict stageInFiles;
    /* Files copied after the job has ended, destinations by sources (DRMAA2_JT_STAGING). */
    drmaa2_dict stageOutFiles;
    /* Limits as decimal numbers by their names, such as DRMAA2_CPU_TIME. */
    drmaa2_dict resourceLimits;
    /* A text for accounting (DRMAA2_JT_ACCOUNTINGID). */
    drmaa2_string accountingId;
    /* For the library; NULL in a template made without it. */
    void *implementationSpecific;
} drmaa2_jtemplate_s;

/* The description of a job; free it with drmaa2_jtemplate_free. */
typedef struct drmaa2_jtemplate_s *drmaa2_jtemplate;

/* A list of drmaa2_slotinfo, type DRMAA2_SLOTINFOLIST. */
typedef drmaa2_list drmaa2_slotinfo_list;

/*
 * Information about a job; as an argument, a filter for jobs (GFD.231, JobInfo).
 *
 * A filter lets a job through when all its members that are set match. A string is not set when
 * it is NULL or empty, a number or time when it is negative, a list when it is NULL or empty.
 */
typedef struct drmaa2_jinfo_s {
    /* Its id. Filter: equal. */
    drmaa2_string jobId;
    /* The name its template gave it. Filter: equal. */
    drmaa2_string jobName;
    /*
     * Its exit code, 128 + signal if a signal ended it; -1 before the end and if it never ran.
     * Filter: equal.
     */
    int exitStatus;
    /* The signal that ended it, such as SIGKILL. Filter: equal. */
    drmaa2_string terminatingSignal;
    /* The reason for its state, for people. Filter: ignored. */
    drmaa2_string annotation;
    /* Its state. Filter: equal. */
    drmaa2_jstate jobState;
    /* Detail within the state, in words of this implementation. Filter: equal. */
    drmaa2_string jobSubState;
    /*
     * Machines and slots in use. Filter: uses at least these machines; a list of strings with
     * their names does as well.
     */
    drmaa2_slotinfo_list allocatedMachines;
    /* The host it was submitted from. Filter: equal. */
    drmaa2_string submissionMachine;
    /* The user it belongs to. Filter: equal. */
    drmaa2_string jobOwner;
    /* Slots in use. Filter: equal. */
    long long slots;
    /* Its queue. Filter: equal. */
    drmaa2_string queueName;
    /* Seconds since it started, suspended time included. Filter: at least. */
    time_t wallclockTime;
    /* CPU seconds used. Filter: at least. */
    long long cpuTime;
    /* Time of its submission, seconds since the epoch. Filter: then or later. */
    time_t submissionTime;
    /* Time of its first start, seconds since the epoch. Filter: then or later. */
    time_t dispatchTime;
    /* Time of its end, seconds since the epoch. Filter: then or later. */
    time_t finishTime;
    /* For the library; NULL in an info made without it. */
    void *implementationSpecific;
} drmaa2_jinfo_s;

/* Information about a job; free it with drmaa2_jinfo_free. */
typedef struct drmaa2_jinfo_s *drmaa2_jinfo;

/*
 * The description of a reservation (GFD.231, ReservationTemplate). Strings and lists are NULL when not
 * set; one that is empty counts as not set. Grid Engine's -99999 is no number either.
 *
 * Of startTime, endTime and duration, two say when it is; all three must agree. Without startTime,
 * duration alone or with endTime stands for the earliest such window, which ends by endTime.
 */
typedef struct drmaa2_rtemplate_s {
    /* A label. */
    drmaa2_string reservationName;
    /*
     * Start time, seconds since the epoch; DRMAA2_NOW (DRMAA2_RT_STARTNOW);
     * DRMAA2_UNSET_TIME is not set.
     */
    time_t startTime;
    /* Time of its end, seconds since the epoch; DRMAA2_UNSET_TIME is not set. */
    time_t endTime;
    /* Its duration, seconds; DRMAA2_UNSET_TIME is not set (DRMAA2_RT_DURATION). */
    time_t duration;
    /* At least so many slots; -1 is not set, for 1. */
    long long minSlots;
    /* At most so many slots; -1 is not set, for minSlots. */
    long long maxSlots;
    /* The category of the jobs to come. */
    drmaa2_string jobCategory;
    /* The users that may use it; NULL for its owner alone. */
    drmaa2_string_list usersACL;
    /* The machines it may be on, by their names. */
    drmaa2_string_list candidateMachines;
    /* At least so much physical memory, kilobytes; -1 is not set. */
    long long minPhysMemory;
    /* The operating system wanted (DRMAA2_RT_MACHINEOS); DRMAA2_UNSET_OS is not set. */
    drmaa2_os machineOS;
    /* The architecture wanted (DRMAA2_RT_MACHINEARCH); DRMAA2_UNSET_CPU is not set. */
    drmaa2_cpu machineArch;
    /* For the library; NULL in a template made without it. */
    void *implementationSpecific;
} drmaa2_rtemplate_s;

/* The description of a reservation; free it with drmaa2_rtemplate_free. */
typedef struct drmaa2_rtemplate_s *drmaa2_rtemplate;

/* Slots of one machine (GFD.231, SlotInfo). */
typedef struct drmaa2_slotinfo_s {
    /* The machine, by the name that its drmaa2_machineinfo has. */
    drmaa2_string machineName;
    /* The number of these slots; -1 if unknown. */
    long long slots;
    /* Not used; NULL. */
    void *implementationSpecific;
} drmaa2_slotinfo_s;

/* Slots of one machine; free it with drmaa2_slotinfo_free. */
typedef struct drmaa2_slotinfo_s *drmaa2_slotinfo;

/* A reservation (GFD.231, ReservationInfo). */
typedef struct drmaa2_rinfo_s {
    /* Its id. */
    drmaa2_string reservationId;
    /* The name its template gave it, or NULL. */
    drmaa2_string reservationName;
    /* Start time, seconds since the epoch. */
    time_t reservedStartTime;
    /* Time of its end, seconds since the epoch; the time at which it ended, if it was given up. */
    time_t reservedEndTime;
    /* The users that may use it. */
    drmaa2_string_list usersACL;
    /* The number of its slots; -1 if unknown. */
    long long reservedSlots;
    /* The machines that its slots are on. */
    drmaa2_slotinfo_list reservedMachines;
    /* Not used; NULL. */
    void *implementationSpecific;
} drmaa2_rinfo_s;

/* A reservation; free it with drmaa2_rinfo_free. */
typedef struct drmaa2_rinfo_s *drmaa2_rinfo;

/*
 * Something that happened to a job (GFD.231, DrmaaNotification). Here that is always
 * DRMAA2_NEW_STATE.
 */
typedef struct drmaa2_notification_s {
    /* Its kind. */
    drmaa2_event event;
    /* The job. */
    drmaa2_string jobId;
    /* The session of the job; NULL if it has been destroyed. */
    drmaa2_string sessionName;
    /* The state the job is in since. */
    drmaa2_jstate jobState;
    /* Not used; NULL. */
    void *implementationSpecific;
} drmaa2_notification_s;

/* Something that happened to a job; free it with drmaa2_notification_free. */
typedef struct drmaa2_notification_s *drmaa2_notification;

/* A queue (GFD.231, QueueInfo). */
typedef struct drmaa2_queueinfo_s {
    /* The name that queueName of a job template may have. */
    drmaa2_string name;
    /* Not used; NULL. */
    void *implementationSpecific;
} drmaa2_queueinfo_s;

/* A queue; free it with drmaa2_queueinfo_free. */
typedef struct drmaa2_queueinfo_s *drmaa2_queueinfo;

/* A version in two parts (GFD.231, Version). Neither is NULL. */
typedef struct drmaa2_version_s {
    /* Before the first dot; "2" in drmaa2_get_drmaa_version. */
    drmaa2_string major;
    /* All that follows it. */
    drmaa2_string minor;
    /* For the library; NULL in a version made without it. */
    void *implementationSpecific;
} drmaa2_version_s;

/* A version; free it with drmaa2_version_free. */
typedef struct drmaa2_version_s *drmaa2_version;

/* An execution machine (GFD.231, MachineInfo). */
typedef struct drmaa2_machineinfo_s {
    /* Its name, as candidateMachines of a job template may have it. */
    drmaa2_string name;
    /* Can it take jobs now? */
    drmaa2_bool available;
    /* The number of its CPU packages. */
    long long sockets;
    /* The number of cores of a package. */
    long long coresPerSocket;
    /* The number of hardware threads of a core. */
    long long threadsPerCore;
    /* Load average over the last minute; -1 if unknown. */
    float load;
    /* Physical memory, kilobytes. */
    long long physMemory;
    /* Physical memory and swap together, kilobytes. */
    long long virtMemory;
    /* Its operating system. */
    drmaa2_os machineOS;
    /* The version of the operating system, or NULL if unknown. */
    drmaa2_version machineOSVersion;
    /* Its architecture. */
    drmaa2_cpu machineArch;
    /* Not used; NULL. */
    void *implementationSpecific;
} drmaa2_machineinfo_s;

/* An execution machine; free it with drmaa2_machineinfo_free. */
typedef struct drmaa2_machineinfo_s *drmaa2_machineinfo;

/* A job session. Only the library makes these; the members are for reading. */
typedef struct drmaa2_jsession_s {
    /* The contact string it was created with, or NULL. */
    drmaa2_string contact;
    /* Its name. */
    drmaa2_string name;
} drmaa2_jsession_s;

/* A job session; free it with drmaa2_jsession_free. */
typedef struct drmaa2_jsession_s *drmaa2_jsession;

/* A reservation session. Only the library makes these; the members are for reading. */
typedef struct drmaa2_rsession_s {
    /* The contact string it was created with, or NULL. */
    drmaa2_string contact;
    /* Its name. */
    drmaa2_string name;
} drmaa2_rsession_s;

/* A reservation session; free it with drmaa2_rsession_free. */
typedef struct drmaa2_rsession_s *drmaa2_rsession;

/* A monitoring session. Only the library makes these; the member is for reading. */
typedef struct drmaa2_msession_s {
    /* The name it was opened with, or NULL. */
    drmaa2_string name;
} drmaa2_msession_s;

/* A monitoring session; free it with drmaa2_msession_free. */
typedef struct drmaa2_msession_s *drmaa2_msession;

/*
 * Takes a notification, which is the callee's from then on: free it with
 * drmaa2_notification_free.
 */
typedef void (*drmaa2_callback)(drmaa2_notification *notification);

/* A list of drmaa2_j, type DRMAA2_JOBLIST. */
typedef drmaa2_list drmaa2_j_list;

/* A handle of a job array. A caller may build one of an id and a session name of its own. */
typedef struct drmaa2_jarray_s {
    /* The id of the array. */
    drmaa2_string id;
    /*
     * The jobs of the array, or NULL. The library never reads it in a handle that it is given; it
     * is freed with the handle.
     */
    drmaa2_j_list job_list;
    /* The session of the array. */
    drmaa2_string session_name;
} drmaa2_jarray_s;

/* A job array; free it with drmaa2_jarray_free. */
typedef struct drmaa2_jarray_s *drmaa2_jarray;

/* A handle of a job. A caller may build one of an id and a session name of its own. */
typedef struct drmaa2_j_s {
    /* The id of the job. */
    drmaa2_string id;
    /* The session of the job; NULL for a job that was not made through DRMAA. */
    drmaa2_string session_name;
    /*
     * The name its template gave it, or NULL. Part of the handle's own memory: not to be freed.
     * The library never reads it in a handle that it is given.
     */
    drmaa2_string job_name;
} drmaa2_j_s;

/* A job; free it with drmaa2_j_free. */
typedef struct drmaa2_j_s *drmaa2_j;

/* A list of drmaa2_r, type DRMAA2_RESERVATIONLIST. */
typedef drmaa2_list drmaa2_r_list;

/* A list of drmaa2_queueinfo, type DRMAA2_QUEUEINFOLIST. */
typedef drmaa2_list drmaa2_queueinfo_list;

/* A list of drmaa2_machineinfo, type DRMAA2_MACHINEINFOLIST. */
typedef drmaa2_list drmaa2_machineinfo_list;

/* A handle of a reservation. A caller may build one of an id and a session name of its own. */
typedef struct drmaa2_r_s {
    /* The id of the reservation. */
    drmaa2_string id;
    /* The session of the reservation. */
    drmaa2_string session_name;
} drmaa2_r_s;

/* A reservation; free it with drmaa2_r_free. */
typedef struct drmaa2_r_s *drmaa2_r;

#ifdef __cplusplus
extern "C" {
#endif /* __cplusplus */

/* Largest core dump, kilobytes; 0 for none. These are keys of resourceLimits in a job template. */
extern const char *const DRMAA2_CORE_FILE_SIZE;

/* Accumulated CPU time, seconds. */
extern const char *const DRMAA2_CPU_TIME;

/* Data segment, kilobytes. */
extern const char *const DRMAA2_DATA_SIZE;

/* Largest file written, kilobytes. */
extern const char *const DRMAA2_FILE_SIZE;

/* Open file descriptors. */
extern const char *const DRMAA2_OPEN_FILES;

/* Stack, kilobytes. */
extern const char *const DRMAA2_STACK_SIZE;

/* Allocatable memory, kilobytes. */
extern const char *const DRMAA2_VIRTUAL_MEMORY;

/* Time in started states, seconds. */
extern const char *const DRMAA2_WALLCLOCK_TIME;

/* Free a string and set *s to NULL. Nothing happens if s or *s is NULL. */
void drmaa2_string_free(drmaa2_string *s);

/*
 * Get the error code of the last call on this thread.
 *
 * Every function sets it, to DRMAA2_SUCCESS too, but for this one, drmaa2_lasterror_text, all
 * that free and the default callbacks.
 */
drmaa2_error drmaa2_lasterror(void);

/*
 * Get the text of the error of the last call on this thread.
 *
 * Returns a copy to be freed with drmaa2_string_free or free, or NULL if there was no error.
 */
drmaa2_string drmaa2_lasterror_text(void);

/*
 * Create an empty list.
 *
 * t: what its elements will be. callback: what releases an element when the list lets go of it;
 * NULL if the list is to leave its elements alone. Returns a list to be freed with
 * drmaa2_list_free, or NULL: DRMAA2_INVALID_ARGUMENT if t is no list type.
 */
drmaa2_list drmaa2_list_create(drmaa2_listtype t, drmaa2_list_entryfree callback);

/*
 * Free a list and set *l to NULL.
 *
 * The callback of the list is run on each element, in order; without a callback the elements are
 * left alone. Nothing happens if l or *l is NULL.
 */
void drmaa2_list_free(drmaa2_list *l);

/*
 * Get the element at position pos, counted from 0.
 *
 * Returns exactly the pointer that was added. It still belongs to the list, and is valid until
 * the element is deleted or the list is freed. NULL on error: DRMAA2_INVALID_ARGUMENT if l is
 * NULL or there is no such element, DRMAA2_OUT_OF_RESOURCE if there is no memory: the jobs of an
 * array are made when they are asked for.
 */
const void *drmaa2_list_get(drmaa2_list l, long pos);

/*
 * Add an element at the end.
 *
 * The list keeps the pointer, not a copy; it owns the element if it was created with a callback.
 * The text of a string is the one it has now: when the library itself reads a list of strings,
 * it does not see later changes. DRMAA2_INVALID_ARGUMENT if l or value is NULL.
 */
drmaa2_error drmaa2_list_add(drmaa2_list l, const void *value);

/*
 * Delete the element at position pos, counted from 0; later elements move up by one.
 *
 * The callback of the list is run on the element. DRMAA2_INVALID_ARGUMENT if l is NULL or there
 * is no such element.
 */
drmaa2_error drmaa2_list_del(drmaa2_list l, long pos);

/*
 * Get the number of elements.
 *
 * Returns 0 for an empty list, -1 on error: DRMAA2_INVALID_ARGUMENT if l is NULL.
 */
long drmaa2_list_size(drmaa2_list l);

/* Free a string; for lists of strings. Leaves NULL in *value. Tolerates NULL, as all of these do. */
void drmaa2_string_list_default_callback(void **value);

/*
 * Create an empty dictionary.
 *
 * callback: what releases a key and its value when the dictionary lets go of them; NULL if it is
 * to leave them alone. Returns a dictionary to be freed with drmaa2_dict_free.
 */
drmaa2_dict drmaa2_dict_create(drmaa2_dict_entryfree callback);

/*
 * Free a dictionary and set *d to NULL.
 *
 * The callback of the dictionary is run on each entry, in the order of insertion; without a
 * callback the strings are left alone. Nothing happens if d or *d is NULL.
 */
void drmaa2_dict_free(drmaa2_dict *d);

/*
 * Get all keys, in the order of insertion.
 *
 * Returns a list of copies, to be freed with drmaa2_list_free; empty for an empty dictionary.
 * NULL on error: DRMAA2_INVALID_ARGUMENT if d is NULL.
 */
drmaa2_string_list drmaa2_dict_list(drmaa2_dict d);

/*
 * Is there an entry with this key?
 *
 * Returns DRMAA2_TRUE or DRMAA2_FALSE; that there is none is no error. DRMAA2_FALSE with
 * DRMAA2_INVALID_ARGUMENT if d or key is NULL.
 */
drmaa2_bool drmaa2_dict_has(drmaa2_dict d, const char *key);

/*
 * Get the value of a key.
 *
 * Returns the pointer that was set. It still belongs to the dictionary. NULL on error:
 * DRMAA2_INVALID_ARGUMENT if d or key is NULL or there is no such key.
 */
const char *drmaa2_dict_get(drmaa2_dict d, const char *key);

/*
 * Delete the entry with this key.
 *
 * The callback of the dictionary is run on it. DRMAA2_INVALID_ARGUMENT if d or key is NULL or
 * there is no such key.
 */
drmaa2_error drmaa2_dict_del(drmaa2_dict d, const char *key);

/*
 * Set the value of a key.
 *
 * The dictionary keeps both pointers, not copies; it owns the strings if it was created with a
 * callback. If there is an entry whose key has the same content, only its value is replaced: the
 * old value is released through the callback, which gets a NULL key, and the new key stays the
 * caller's. DRMAA2_INVALID_ARGUMENT if d, key or val is NULL.
 */
drmaa2_error drmaa2_dict_set(drmaa2_dict d, const char *key, const char *val);

/* Free both strings and set their variables to NULL. Tolerates NULL. */
void drmaa2_dict_default_callback(char **key, char **value);

/*
 * Create a job template in which nothing is set.
 *
 * Returns a template to be freed with drmaa2_jtemplate_free, or NULL: DRMAA2_OUT_OF_RESOURCE.
 */
drmaa2_jtemplate drmaa2_jtemplate_create(void);

/*
 * Free a job template with its strings, lists and dictionaries and set *jt to NULL. Nothing
 * happens if jt or *jt is NULL.
 */
void drmaa2_jtemplate_free(drmaa2_jtemplate *jt);

/*
 * Create a job info in which nothing is set: a filter that lets every job through.
 *
 * Returns an info to be freed with drmaa2_jinfo_free, or NULL: DRMAA2_OUT_OF_RESOURCE.
 */
drmaa2_jinfo drmaa2_jinfo_create(void);

/*
 * Free a job info with its strings and its list and set *ji to NULL. Nothing happens if ji or *ji
 * is NULL.
 */
void drmaa2_jinfo_free(drmaa2_jinfo *ji);

/*
 * Create a reservation template in which nothing is set.
 *
 * Returns a template to be freed with drmaa2_rtemplate_free, or NULL: DRMAA2_OUT_OF_RESOURCE.
 */
drmaa2_rtemplate drmaa2_rtemplate_create(void);

/*
 * Free a reservation template with its strings and lists and set *rt to NULL. Nothing happens if
 * rt or *rt is NULL.
 */
void drmaa2_rtemplate_free(drmaa2_rtemplate *rt);

/* Free a slot info with its name and set *si to NULL. Nothing happens if si or *si is NULL. */
void drmaa2_slotinfo_free(drmaa2_slotinfo *si);

/*
 * Free a reservation info with all its strings and lists and set *ri to NULL. Nothing happens if
 * ri or *ri is NULL.
 */
void drmaa2_rinfo_free(drmaa2_rinfo *ri);

/* Free a notification with its strings and set *n to NULL. Nothing happens if n or *n is NULL. */
void drmaa2_notification_free(drmaa2_notification *n);

/* Free a queue info with its name and set *qi to NULL. Nothing happens if qi or *qi is NULL. */
void drmaa2_queueinfo_free(drmaa2_queueinfo *qi);

/* Free a version with its strings and set *v to NULL. Nothing happens if v or *v is NULL. */
void drmaa2_version_free(drmaa2_version *v);

/*
 * Free a machine info with its name and version and set *mi to NULL. Nothing happens if mi or *mi
 * is NULL.
 */
void drmaa2_machineinfo_free(drmaa2_machineinfo *mi);

/* Free a queue info as drmaa2_queueinfo_free does; for lists of queue infos. */
void drmaa2_queueinfo_list_default_callback(void **value);

/* Free a machine info as drmaa2_machineinfo_free does; for lists of machine infos. */
void drmaa2_machineinfo_list_default_callback(void **value);

/* Free a slot info as drmaa2_slotinfo_free does; for lists of slot infos. */
void drmaa2_slotinfo_list_default_callback(void **value);

/*
 * Get the names of the implementation-specific attributes of job templates (GFD.231,
 * DrmaaReflective).
 *
 * Returns a list, which may be empty, to be freed with drmaa2_list_free, as all of these do.
 */
drmaa2_string_list drmaa2_jtemplate_impl_spec(void);

/* Get the names of the implementation-specific attributes of job infos. */
drmaa2_string_list drmaa2_jinfo_impl_spec(void);

/* Get the names of the implementation-specific attributes of reservation templates. */
drmaa2_string_list drmaa2_rtemplate_impl_spec(void);

/* Get the names of the implementation-specific attributes of reservation infos. */
drmaa2_string_list drmaa2_rinfo_impl_spec(void);

/* Get the names of the implementation-specific attributes of queue infos. */
drmaa2_string_list drmaa2_queueinfo_impl_spec(void);

/* Get the names of the implementation-specific attributes of machine infos. */
drmaa2_string_list drmaa2_machineinfo_impl_spec(void);

/* Get the names of the implementation-specific attributes of notifications. */
drmaa2_string_list drmaa2_notification_impl_spec(void);

/*
 * Get the value of an implementation-specific attribute (GFD.231, DrmaaReflective).
 *
 * instance: a struct of the kind that name belongs to. Returns a copy to be freed with
 * drmaa2_string_free, or NULL with DRMAA2_SUCCESS if it is not set. NULL on error:
 * DRMAA2_INVALID_ARGUMENT if instance or name is NULL, there is no such attribute, or instance is a
 * struct of another kind that the library has made.
 */
drmaa2_string drmaa2_get_instance_value(const void *instance, const char *name);

/*
 * Get a description of an implementation-specific attribute, for people (GFD.231,
 * DrmaaReflective).
 *
 * instance: not looked at. Returns a text to be freed with drmaa2_string_free. NULL on error:
 * DRMAA2_INVALID_ARGUMENT if name is NULL or there is no such attribute.
 */
drmaa2_string drmaa2_describe_attribute(const void *instance, const char *name);

/*
 * Set the value of an implementation-specific attribute (GFD.231, DrmaaReflective).
 *
 * instance: a struct of the kind that name belongs to. value: copied; NULL or empty for not set.
 * DRMAA2_INVALID_ARGUMENT if instance or name is NULL, there is no such attribute, or instance is a
 * struct of another kind that the library has made. Of a struct of the library's that the caller has
 * let go of with free(), instead of its free function, it does not know: a struct of his own that is at
 * the same address later is taken for the earlier one.
 */
drmaa2_error drmaa2_set_instance_value(void *instance,
                                       const char *name,
                                       const char *value);

/*
 * Get the name of the DRM system (GFD.231, SessionManager).
 *
 * Returns a copy to be freed with drmaa2_string_free.
 */
drmaa2_string drmaa2_get_drms_name(void);

/*
 * Get the version of the DRM system (GFD.231, SessionManager).
 *
 * Returns a version to be freed with drmaa2_version_free. NULL on error:
 * DRMAA2_DRM_COMMUNICATION if the system does not answer.
 */
drmaa2_version drmaa2_get_drms_version(void);

/*
 * Get the name of this library (GFD.231, SessionManager).
 *
 * Returns a copy to be freed with drmaa2_string_free.
 */
drmaa2_string drmaa2_get_drmaa_name(void);

/*
 * Get the version of DRMAA and of this library (GFD.231, SessionManager).
 *
 * The major part is "2", for DRMAA2; the minor part is the version of this library, such as "1.0.0".
 * Returns a version to be freed with drmaa2_version_free.
 */
drmaa2_version drmaa2_get_drmaa_version(void);

/*
 * Is an optional feature there (GFD.231, SessionManager)?
 *
 * Returns DRMAA2_TRUE or DRMAA2_FALSE, which is also the answer for a number that is no
 * capability.
 */
drmaa2_bool drmaa2_supports(drmaa2_capability c);

/*
 * Create a job session, store it and open it (GFD.231, SessionManager).
 *
 * session_name: a name that no job session of the user has; NULL for a new one. contact: which DRM
 * system to use; NULL for the default. Returns a handle to be freed with drmaa2_jsession_free.
 * NULL on error: DRMAA2_INVALID_ARGUMENT if the name is taken or is no name, or the contact is
 * none.
 */
drmaa2_jsession drmaa2_create_jsession(const char *session_name, const char *contact);

/*
 * Create a reservation session, store it and open it (GFD.231, SessionManager).
 *
 * session_name: a name that no reservation session of the user has, though a job session may have
 * it; NULL for a new one. contact: which DRM system to use; NULL for the default. Returns a handle
 * to be freed with drmaa2_rsession_free. NULL on error: DRMAA2_INVALID_ARGUMENT if the name is
 * taken or is no name, or the contact is none.
 */
drmaa2_rsession drmaa2_create_rsession(const char *session_name, const char *contact);

/*
 * Open a job session that was created before, by any process of the user (GFD.231,
 * SessionManager).
 *
 * Returns a handle of its own, to be freed with drmaa2_jsession_free, also if the session is open
 * already. NULL on error: DRMAA2_INVALID_ARGUMENT if session_name is NULL or unknown.
 */
drmaa2_jsession drmaa2_open_jsession(const char *session_name);

/*
 * Open a reservation session that was created before, by any process of the user (GFD.231,
 * SessionManager).
 *
 * Returns a handle of its own, to be freed with drmaa2_rsession_free, also if the session is open
 * already. NULL on error: DRMAA2_INVALID_ARGUMENT if session_name is NULL or unknown.
 */
drmaa2_rsession drmaa2_open_rsession(const char *session_name);

/*
 * Open a monitoring session: a view of the whole system (GFD.231, SessionManager).
 *
 * session_name: any; it has no meaning. Returns a handle to be freed with drmaa2_msession_free.
 * NULL on error.
 */
drmaa2_msession drmaa2_open_msession(const char *session_name);

/*
 * Close a job session (GFD.231, SessionManager). It stays stored, and its jobs go on; the handle
 * is still to be freed, and for nothing else. Returns when what this process was starting or cleaning
 * up is done; where no agent may be started (DRMAA2_AGENT=off), also not before every job that was
 * submitted through it has started, but for those that are held or whose time has not come.
 *
 * DRMAA2_INVALID_SESSION if js is NULL, closed or destroyed.
 */
drmaa2_error drmaa2_close_jsession(drmaa2_jsession js);

/*
 * Close a reservation session (GFD.231, SessionManager). It stays stored, and its reservations stay
 * in force; the handle is still to be freed, and for nothing else.
 *
 * DRMAA2_INVALID_SESSION if rs is NULL, closed or destroyed.
 */
drmaa2_error drmaa2_close_rsession(drmaa2_rsession rs);

/*
 * Close a monitoring session (GFD.231, SessionManager). The handle is still to be freed, and for
 * nothing else.
 *
 * DRMAA2_INVALID_SESSION if ms is NULL or closed.
 */
drmaa2_error drmaa2_close_msession(drmaa2_msession ms);

/*
 * Remove a job session from the store (GFD.231, SessionManager). Its running jobs go on; handles
 * of it are of no use any more, and still to be freed.
 *
 * DRMAA2_INVALID_ARGUMENT if session_name is NULL or unknown.
 */
drmaa2_error drmaa2_destroy_jsession(const char *session_name);

/*
 * Remove a reservation session from the store (GFD.231, SessionManager). Its reservations stay in
 * force until they are over; handles of it are of no use any more, and still to be freed.
 *
 * DRMAA2_INVALID_ARGUMENT if session_name is NULL or unknown.
 */
drmaa2_error drmaa2_destroy_rsession(const char *session_name);

/*
 * Get the names of the job sessions that drmaa2_open_jsession opens (GFD.231, SessionManager).
 *
 * Returns a list, which may be empty, to be freed with drmaa2_list_free. NULL on error.
 */
drmaa2_string_list drmaa2_get_jsession_names(void);

/*
 * Get the names of the reservation sessions that drmaa2_open_rsession opens (GFD.231,
 * SessionManager).
 *
 * Returns a list, which may be empty, to be freed with drmaa2_list_free. NULL on error.
 */
drmaa2_string_list drmaa2_get_rsession_names(void);

/*
 * Have a function called whenever a job comes into a state, whichever process brings that about
 * (GFD.231, SessionManager). It concerns the jobs of the job sessions that are open in this process,
 * and all jobs that are stored with them while a monitoring session is open; what happened before is not told.
 *
 * callback: the one function that is called from here on; it replaces the one before, and NULL is
 * none. With NULL a call that is under way is waited for, unless it is the one that asks; so hold
 * nothing then that the callback waits for. Each call hands over a notification that is
 * the callee's, to be freed with drmaa2_notification_free. Calls come one at a time, in the order of
 * the events, on a thread of the library on which all signals are blocked; the event of a job may
 * come before the call that submits the job has returned. The callback may call every function of
 * this library, this one too. It must not throw, and a child that is forked has no callback.
 *
 * DRMAA2_INVALID_ARGUMENT if callback is not the address of code.
 */
drmaa2_error drmaa2_register_event_notification(drmaa2_callback callback);

/*
 * Free the handle of a job session and set *js to NULL. An open session is closed; nothing else
 * happens to it, and nothing at all if js or *js is NULL.
 */
void drmaa2_jsession_free(drmaa2_jsession *js);

/*
 * Get the contact string a session was created with (GFD.231, JobSession).
 *
 * Returns a copy to be freed with drmaa2_string_free, or NULL with DRMAA2_SUCCESS if there was
 * none. DRMAA2_INVALID_SESSION if js is NULL, closed or destroyed, as for all functions of job
 * sessions.
 */
drmaa2_string drmaa2_jsession_get_contact(drmaa2_jsession js);

/*
 * Get the name of a session (GFD.231, JobSession).
 *
 * Returns a copy to be freed with drmaa2_string_free. NULL on error.
 */
drmaa2_string drmaa2_jsession_get_session_name(drmaa2_jsession js);

/*
 * Get the names that jobCategory of a job template may have (GFD.231, JobSession).
 *
 * Returns a list, which may be empty, to be freed with drmaa2_list_free. NULL on error.
 */
drmaa2_string_list drmaa2_jsession_get_job_categories(drmaa2_jsession js);

/*
 * Get the jobs of a session that match a filter, in the order of their submission (GFD.231,
 * JobSession).
 *
 * filter: NULL for all. Returns a list, which may be empty, to be freed with drmaa2_list_free.
 * NULL on error: DRMAA2_INVALID_ARGUMENT if the filter makes no sense.
 */
drmaa2_j_list drmaa2_jsession_get_jobs(drmaa2_jsession js, drmaa2_jinfo filter);

/*
 * Get a job array of a session by its id (GFD.231, JobSession).
 *
 * Returns a handle to be freed with drmaa2_jarray_free. NULL on error: DRMAA2_INVALID_ARGUMENT if
 * jobarray_id is NULL or unknown.
 */
drmaa2_jarray drmaa2_jsession_get_job_array(drmaa2_jsession js, drmaa2_string jobarray_id);

/*
 * Submit a job (GFD.231, JobSession). Returns once it is in the queue; it may be waiting, running or
 * have failed by then.
 *
 * jt: what it is to do; copied. Returns a handle to be freed with drmaa2_j_free. NULL on error:
 * DRMAA2_INVALID_ARGUMENT if jt is NULL or something in it makes no sense,
 * DRMAA2_UNSUPPORTED_ATTRIBUTE if it sets what is not supported, DRMAA2_DENIED_BY_DRMS.
 */
drmaa2_j drmaa2_jsession_run_job(drmaa2_jsession js, drmaa2_jtemplate jt);

/*
 * Submit a job array: one job for each of the indices begin_index, begin_index + step, ... up to
 * end_index (GFD.231, JobSession).
 *
 * jt: what each job is to do; copied. max_parallel: at most so many jobs at a time, all of them if
 * it is not positive. Each job finds its index in the environment variable whose name is the value
 * of DRMAA_INDEX_VAR; $DRMAA2_INDEX$ stands for it in paths. Returns a handle to be freed with
 * drmaa2_jarray_free. NULL on error, and then nothing is submitted: as drmaa2_jsession_run_job;
 * DRMAA2_INVALID_ARGUMENT also if begin_index < 1, end_index < begin_index, step < 1, or if these are
 * more than 100000 jobs.
 */
drmaa2_jarray drmaa2_jsession_run_bulk_jobs(drmaa2_jsession js,
                                            drmaa2_jtemplate jt,
                                            long long begin_index,
                                            long long end_index,
                                            long long step,
                                            long long max_parallel);

/*
 * Wait until one of several jobs has started; one that has ended counts as well (GFD.231,
 * JobSession).
 *
 * l: jobs of this session. timeout: at most so many seconds; DRMAA2_ZERO_TIME to look and return;
 * DRMAA2_INFINITE_TIME. Returns a new handle of such a job, to be freed with drmaa2_j_free. NULL
 * on error: DRMAA2_TIMEOUT when the time is over, DRMAA2_INVALID_ARGUMENT if l is NULL, empty or
 * holds a job of another session, or for a time that is none; DRMAA2_INVALID_SESSION also if the
 * session is closed or destroyed meanwhile.
 */
drmaa2_j drmaa2_jsession_wait_any_started(drmaa2_jsession js, drmaa2_j_list l, time_t timeout);

/*
 * Wait until one of several jobs has ended (GFD.231, JobSession).
 *
 * Arguments, result and errors: as drmaa2_jsession_wait_any_started.
 */
drmaa2_j drmaa2_jsession_wait_any_terminated(drmaa2_jsession js, drmaa2_j_list l, time_t timeout);

/*
 * Free a job handle with its id and session name and set *j to NULL. Nothing happens to the job,
 * and nothing at all if j or *j is NULL.
 *
 * A handle that a caller has built is freed likewise: its id, its session name and the handle
 * must come from malloc.
 */
void drmaa2_j_free(drmaa2_j *j);

/*
 * Get the id of a job (GFD.231, Job).
 *
 * Returns a copy to be freed with drmaa2_string_free. NULL on error: DRMAA2_INVALID_ARGUMENT if j
 * or its id is NULL, as for all functions of jobs.
 */
drmaa2_string drmaa2_j_get_id(drmaa2_j j);

/*
 * Get the name of the session of a job (GFD.231, Job).
 *
 * Returns a copy to be freed with drmaa2_string_free, or NULL with DRMAA2_SUCCESS for a job that
 * was not made through DRMAA.
 */
drmaa2_string drmaa2_j_get_session_name(drmaa2_j j);

/*
 * Get the template a job was submitted with (GFD.231, Job).
 *
 * Returns an equal copy to be freed with drmaa2_jtemplate_free. NULL on error.
 */
drmaa2_jtemplate drmaa2_j_get_jtemplate(drmaa2_j j);

/*
 * Suspend a running job (GFD.231, Job). Returns once that is accepted.
 *
 * DRMAA2_INVALID_STATE if it is not in DRMAA2_RUNNING.
 */
drmaa2_error drmaa2_j_suspend(drmaa2_j j);

/*
 * Resume a suspended job (GFD.231, Job). Returns once that is accepted.
 *
 * DRMAA2_INVALID_STATE if it is not in DRMAA2_SUSPENDED.
 */
drmaa2_error drmaa2_j_resume(drmaa2_j j);

/*
 * Keep a waiting job from starting (GFD.231, Job).
 *
 * A job that is just being started is held if its command has not begun, and then does not. Else the call
 * returns DRMAA2_INVALID_STATE, as for every job that is not in DRMAA2_QUEUED or DRMAA2_REQUEUED, once the
 * state says so too. DRMAA2_TRY_LATER if the DRM system does not tell that in time.
 */
drmaa2_error drmaa2_j_hold(drmaa2_j j);

/*
 * Let a held job start (GFD.231, Job).
 *
 * DRMAA2_INVALID_STATE if it is not in DRMAA2_QUEUED_HELD or DRMAA2_REQUEUED_HELD.
 */
drmaa2_error drmaa2_j_release(drmaa2_j j);

/*
 * End a job that is waiting or started (GFD.231, Job). Returns once that is accepted.
 *
 * DRMAA2_INVALID_STATE if it has ended.
 */
drmaa2_error drmaa2_j_terminate(drmaa2_j j);

/*
 * Forget a job that has ended (GFD.231, Job). From then on no function knows its id any more; the
 * handle is still to be freed.
 *
 * DRMAA2_INVALID_STATE if it has not ended.
 */
drmaa2_error drmaa2_j_reap(drmaa2_j j);

/*
 * Get the state of a job (GFD.231, Job).
 *
 * substate: if it is not NULL, *substate becomes a detail within the state, to be freed with
 * drmaa2_string_free, or NULL. Returns DRMAA2_UNSET_JSTATE on error.
 */
drmaa2_jstate drmaa2_j_get_state(drmaa2_j j, drmaa2_string *substate);

/*
 * Get what is known of a job now (GFD.231, Job).
 *
 * Returns a snapshot to be freed with drmaa2_jinfo_free. NULL on error.
 */
drmaa2_jinfo drmaa2_j_get_info(drmaa2_j j);

/*
 * Wait until a job has started; one that has ended counts as well (GFD.231, Job).
 *
 * timeout: at most so many seconds; DRMAA2_ZERO_TIME to look and return; DRMAA2_INFINITE_TIME.
 * DRMAA2_TIMEOUT when the time is over; DRMAA2_INVALID_ARGUMENT for a time that is none;
 * DRMAA2_INVALID_SESSION if its session is closed or destroyed meanwhile.
 */
drmaa2_error drmaa2_j_wait_started(drmaa2_j j, time_t timeout);

/*
 * Wait until a job has ended (GFD.231, Job).
 *
 * timeout and errors: as drmaa2_j_wait_started.
 */
drmaa2_error drmaa2_j_wait_terminated(drmaa2_j j, time_t timeout);

/* Free a job as drmaa2_j_free does; for lists of jobs. */
void drmaa2_j_list_default_callback(void **value);

/*
 * Free a job array handle with its id, its list of jobs and its session name and set *ja to NULL.
 * Nothing happens to the jobs, and nothing at all if ja or *ja is NULL.
 */
void drmaa2_jarray_free(drmaa2_jarray *ja);

/*
 * Get the id of a job array (GFD.231, JobArray).
 *
 * Returns a copy to be freed with drmaa2_string_free. NULL on error: DRMAA2_INVALID_ARGUMENT if ja
 * or its id is NULL, as for all functions of job arrays.
 */
drmaa2_string drmaa2_jarray_get_id(drmaa2_jarray ja);

/*
 * Get the jobs of a job array, in the order of their indices (GFD.231, JobArray).
 *
 * Returns a list to be freed with drmaa2_list_free; a job that is reaped is not in it. NULL on
 * error.
 */
drmaa2_j_list drmaa2_jarray_get_jobs(drmaa2_jarray ja);

/*
 * Get the name of the session of a job array (GFD.231, JobArray).
 *
 * Returns a copy to be freed with drmaa2_string_free. NULL on error.
 */
drmaa2_string drmaa2_jarray_get_session_name(drmaa2_jarray ja);

/*
 * Get the template a job array was submitted with (GFD.231, JobArray).
 *
 * Returns an equal copy to be freed with drmaa2_jtemplate_free. NULL on error.
 */
drmaa2_jtemplate drmaa2_jarray_get_jtemplate(drmaa2_jarray ja);

/*
 * Suspend the running jobs of a job array (GFD.231, JobArray).
 *
 * Returns once that is accepted. DRMAA2_INVALID_STATE if there are none.
 */
drmaa2_error drmaa2_jarray_suspend(drmaa2_jarray ja);

/*
 * Resume the suspended jobs of a job array (GFD.231, JobArray).
 *
 * Returns once that is accepted. DRMAA2_INVALID_STATE if there are none.
 */
drmaa2_error drmaa2_jarray_resume(drmaa2_jarray ja);

/*
 * Keep the waiting jobs of a job array from starting (GFD.231, JobArray).
 *
 * Each is held as by drmaa2_j_hold. DRMAA2_INVALID_STATE if there are none.
 */
drmaa2_error drmaa2_jarray_hold(drmaa2_jarray ja);

/*
 * Let the held jobs of a job array start (GFD.231, JobArray).
 *
 * Returns once that is accepted. DRMAA2_INVALID_STATE if there are none.
 */
drmaa2_error drmaa2_jarray_release(drmaa2_jarray ja);

/*
 * End the jobs of a job array that have not ended (GFD.231, JobArray).
 *
 * Returns once that is accepted. DRMAA2_INVALID_STATE if there are none.
 */
drmaa2_error drmaa2_jarray_terminate(drmaa2_jarray ja);

/*
 * Forget a job array whose jobs have all ended (GFD.231, JobArray).
 *
 * DRMAA2_INVALID_STATE, and nothing is done, if one of them has not.
 */
drmaa2_error drmaa2_jarray_reap(drmaa2_jarray ja);

/*
 * Free the handle of a monitoring session and set *ms to NULL. An open session is closed. Nothing
 * happens if ms or *ms is NULL.
 */
void drmaa2_msession_free(drmaa2_msession *ms);

/*
 * Get all reservations that the user may see and that are not over, in the order in which they
 * were made (GFD.231, MonitoringSession).
 *
 * Returns a list, which may be empty, to be freed with drmaa2_list_free. NULL on error:
 * DRMAA2_INVALID_SESSION if ms is NULL or closed, as for all functions of monitoring sessions.
 */
drmaa2_r_list drmaa2_msession_get_all_reservations(drmaa2_msession ms);

/*
 * Get all jobs that the user may see and that match a filter, of every session and of none
 * (GFD.231, MonitoringSession).
 *
 * filter: NULL for all. Returns a list, which may be empty, to be freed with drmaa2_list_free.
 * NULL on error: DRMAA2_INVALID_ARGUMENT if the filter makes no sense.
 */
drmaa2_j_list drmaa2_msession_get_all_jobs(drmaa2_msession ms, drmaa2_jinfo filter);

/*
 * Get all queues, or those of the given names that there are (GFD.231, MonitoringSession).
 *
 * names: NULL for all. Returns a list, which may be empty, to be freed with drmaa2_list_free. NULL
 * on error.
 */
drmaa2_queueinfo_list drmaa2_msession_get_all_queues(drmaa2_msession ms, drmaa2_string_list names);

/*
 * Get all machines, or those of the given names that there are (GFD.231, MonitoringSession).
 *
 * names: NULL for all. Returns a list, which may be empty, to be freed with drmaa2_list_free. NULL
 * on error.
 */
drmaa2_machineinfo_list drmaa2_msession_get_all_machines(drmaa2_msession ms,
                                                         drmaa2_string_list names);

/*
 * Free the handle of a reservation session and set *rs to NULL. An open session is closed; nothing
 * else happens to it, and nothing at all if rs or *rs is NULL.
 */
void drmaa2_rsession_free(drmaa2_rsession *rs);

/*
 * Get the contact string a reservation session was created with (GFD.231, ReservationSession).
 *
 * Returns a copy to be freed with drmaa2_string_free, or NULL with DRMAA2_SUCCESS if there was
 * none. DRMAA2_INVALID_SESSION if rs is NULL, closed or destroyed, as for all functions of
 * reservation sessions.
 */
drmaa2_string drmaa2_rsession_get_contact(drmaa2_rsession rs);

/*
 * Get the name of a reservation session (GFD.231, ReservationSession).
 *
 * Returns a copy to be freed with drmaa2_string_free. NULL on error.
 */
drmaa2_string drmaa2_rsession_get_session_name(drmaa2_rsession rs);

/*
 * Get a reservation of a session by its id, also one that is over (GFD.231, ReservationSession).
 *
 * Returns a handle to be freed with drmaa2_r_free. NULL on error: DRMAA2_INVALID_ARGUMENT if
 * reservation_id is NULL or unknown.
 */
drmaa2_r drmaa2_rsession_get_reservation(drmaa2_rsession rs, drmaa2_string reservation_id);

/*
 * Reserve slots and memory for a time (GFD.231, ReservationSession).
 *
 * rt: what is wanted; copied. Returns a handle to be freed with drmaa2_r_free. NULL on error:
 * DRMAA2_INVALID_ARGUMENT if rt is NULL or something in it makes no sense or cannot be had.
 */
drmaa2_r drmaa2_rsession_request_reservation(drmaa2_rsession rs, drmaa2_rtemplate rt);

/*
 * Get the reservations of a session that are not over, in the order in which they were made
 * (GFD.231, ReservationSession).
 *
 * Returns a list, which may be empty, to be freed with drmaa2_list_free. NULL on error.
 */
drmaa2_r_list drmaa2_rsession_get_reservations(drmaa2_rsession rs);

/*
 * Free a reservation handle with its id and session name and set *r to NULL. Nothing happens to
 * the reservation, and nothing at all if r or *r is NULL.
 *
 * A handle that a caller has built is freed likewise: its id, its session name and the handle
 * must come from malloc.
 */
void drmaa2_r_free(drmaa2_r *r);

/*
 * Get the id of a reservation (GFD.231, Reservation).
 *
 * Returns a copy to be freed with drmaa2_string_free. NULL on error: DRMAA2_INVALID_ARGUMENT if r
 * or its id is NULL, as for all functions of reservations.
 */
drmaa2_string drmaa2_r_get_id(drmaa2_r r);

/*
 * Get the name of the session of a reservation (GFD.231, Reservation).
 *
 * Returns a copy to be freed with drmaa2_string_free, or NULL with DRMAA2_SUCCESS if the handle
 * has none. NULL on error.
 */
drmaa2_string drmaa2_r_get_session_name(drmaa2_r r);

/*
 * Get the template a reservation was requested with (GFD.231, Reservation).
 *
 * Returns an equal copy to be freed with drmaa2_rtemplate_free. NULL on error:
 * DRMAA2_INVALID_ARGUMENT if there is no such reservation in its session; DRMAA2_INVALID_SESSION
 * if this process has neither that session nor a monitoring session open.
 */
drmaa2_rtemplate drmaa2_r_get_reservation_template(drmaa2_r r);

/*
 * Get what is known of a reservation, which may be over (GFD.231, Reservation).
 *
 * Returns a snapshot to be freed with drmaa2_rinfo_free. NULL on error: as
 * drmaa2_r_get_reservation_template.
 */
drmaa2_rinfo drmaa2_r_get_info(drmaa2_r r);

/*
 * Give a reservation up (GFD.231, Reservation). It is over then, and so are the jobs in it.
 *
 * DRMAA2_INVALID_STATE if it is over already; else as drmaa2_r_get_reservation_template.
 */
drmaa2_error drmaa2_r_terminate(drmaa2_r r);

/* Free a reservation handle as drmaa2_r_free does; for lists of reservations. */
void drmaa2_r_list_default_callback(void **value);

#ifdef __cplusplus
} /* extern "C" */
#endif /* __cplusplus */

#endif  /* DRMAA2_H */
