"""DRMAA2: submit, watch and control batch jobs.

>>> with JobSession("mine") as session:
...     job = session.run_job(JobTemplate(job_category="busybox", remote_command="hostname"))
...     job.wait_terminated()
...     print(job.get_info().exit_status)
"""

from ._struct import describe_attribute
from .constants import (
    CORE_FILE_SIZE,
    CPU_TIME,
    DATA_SIZE,
    FILE_SIZE,
    HOME_DIRECTORY,
    INFINITE_TIME,
    NOW,
    OPEN_FILES,
    PARAMETRIC_INDEX,
    STACK_SIZE,
    VIRTUAL_MEMORY,
    WALLCLOCK_TIME,
    WORKING_DIRECTORY,
    ZERO_TIME,
)
from .enums import Capability, CpuArchitecture, Event, JobState, OperatingSystem
from .errors import (
    DeniedByDrms,
    Drmaa2Exception,
    DrmCommunication,
    ImplementationSpecific,
    Internal,
    InvalidArgument,
    InvalidSession,
    InvalidState,
    OutOfResource,
    SessionManagement,
    Timeout,
    TryLater,
    UnsupportedAttribute,
    UnsupportedOperation,
)
from .info import JobInfo, SlotInfo
from .job import Job, JobArray
from .manager import get_drmaa_name, get_drmaa_version, get_drms_name, get_drms_version, supports
from .monitoring import MachineInfo, MonitoringSession, QueueInfo, Version
from .notification import Notification, register_event_notification
from .reservation import Reservation, ReservationInfo, ReservationSession, ReservationTemplate
from .session import JobSession
from .template import JobTemplate

__all__ = [
    "CORE_FILE_SIZE",
    "CPU_TIME",
    "DATA_SIZE",
    "FILE_SIZE",
    "HOME_DIRECTORY",
    "INFINITE_TIME",
    "NOW",
    "OPEN_FILES",
    "PARAMETRIC_INDEX",
    "STACK_SIZE",
    "VIRTUAL_MEMORY",
    "WALLCLOCK_TIME",
    "WORKING_DIRECTORY",
    "ZERO_TIME",
    "Capability",
    "CpuArchitecture",
    "DeniedByDrms",
    "DrmCommunication",
    "Drmaa2Exception",
    "Event",
    "ImplementationSpecific",
    "Internal",
    "InvalidArgument",
    "InvalidSession",
    "InvalidState",
    "Job",
    "JobArray",
    "JobInfo",
    "JobSession",
    "JobState",
    "JobTemplate",
    "MachineInfo",
    "MonitoringSession",
    "Notification",
    "OperatingSystem",
    "OutOfResource",
    "QueueInfo",
    "Reservation",
    "ReservationInfo",
    "ReservationSession",
    "ReservationTemplate",
    "SessionManagement",
    "SlotInfo",
    "Timeout",
    "TryLater",
    "UnsupportedAttribute",
    "UnsupportedOperation",
    "Version",
    "describe_attribute",
    "get_drmaa_name",
    "get_drmaa_version",
    "get_drms_name",
    "get_drms_version",
    "register_event_notification",
    "supports",
]
