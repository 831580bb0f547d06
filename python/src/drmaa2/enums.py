"""The enumerations of DRMAA2, with the numbers that they have in C. "No value" is ``None``."""

from __future__ import annotations

from enum import IntEnum


class JobState(IntEnum):
    """The state of a job."""

    #: Cannot be found out, for good.
    UNDETERMINED = 0
    #: Waiting and eligible to run.
    QUEUED = 1
    #: Waiting, on hold.
    QUEUED_HELD = 2
    #: Executing.
    RUNNING = 3
    #: Started, and stopped for now.
    SUSPENDED = 4
    #: Ran before, was put back, eligible to run.
    REQUEUED = 5
    #: Ran before, was put back, on hold.
    REQUEUED_HELD = 6
    #: Ended with exit code 0.
    DONE = 7
    #: Ended in any other way.
    FAILED = 8


class OperatingSystem(IntEnum):
    """An operating system."""

    OTHER_OS = 0
    AIX = 1
    BSD = 2
    LINUX = 3
    HPUX = 4
    IRIX = 5
    MACOS = 6
    SUNOS = 7
    TRU64 = 8
    UNIXWARE = 9
    WIN = 10
    WINNT = 11


class CpuArchitecture(IntEnum):
    """A processor architecture."""

    OTHER_CPU = 0
    ALPHA = 1
    ARM = 2
    ARM64 = 3
    CELL = 4
    PARISC = 5
    PARISC64 = 6
    X86 = 7
    X64 = 8
    IA64 = 9
    MIPS = 10
    MIPS64 = 11
    PPC = 12
    PPC64 = 13
    SPARC = 14
    SPARC64 = 15
    PPC64LE = 16


class Event(IntEnum):
    """What a notification is about."""

    #: The job has entered another state.
    NEW_STATE = 0
    #: The job was moved to other machines.
    MIGRATED = 1
    #: Something else in the job's info has changed.
    ATTRIBUTE_CHANGE = 2


class Capability(IntEnum):
    """An optional feature, for :func:`drmaa2.supports`."""

    ADVANCE_RESERVATION = 0
    RESERVE_SLOTS = 1
    CALLBACK = 2
    BULK_JOBS_MAXPARALLEL = 3
    JT_EMAIL = 4
    JT_STAGING = 5
    JT_DEADLINE = 6
    JT_MAXSLOTS = 7
    JT_ACCOUNTINGID = 8
    RT_STARTNOW = 9
    RT_DURATION = 10
    RT_MACHINEOS = 11
    RT_MACHINEARCH = 12
