"""What a job is to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ._memory import Text
from ._struct import (
    FLAG,
    MOMENT,
    NUMBER,
    TEXT,
    TEXT_DICT,
    TEXT_LIST,
    Struct,
    attribute,
    implementation_specific,
    one_of,
)
from ._time import Moment
from .enums import CpuArchitecture, OperatingSystem


@dataclass(slots=True)
class JobTemplate(Struct):
    """What a job is to do. ``None`` is not set, and so is what is empty.

    >>> JobTemplate(job_category="busybox", remote_command="sleep", args=["10"])
    """

    _kind: ClassVar[str] = "jtemplate"

    #: The program, by its path inside the image. Without it and ``args``, the image's command is run.
    remote_command: Text | None = attribute(TEXT)
    #: Its arguments in order, without the name of the program.
    args: Sequence[Text] | None = attribute(TEXT_LIST)
    #: Start in state ``QUEUED_HELD``.
    submit_as_hold: bool = attribute(FLAG, False)
    #: The job may be run anew from the beginning.
    rerunnable: bool = attribute(FLAG, False)
    #: Variables added to the job's environment.
    job_environment: Mapping[str, Text] | None = attribute(TEXT_DICT)
    #: The directory in which the job starts.
    working_directory: Text | None = attribute(TEXT)
    #: One of ``JobSession.get_job_categories``, or an image.
    job_category: Text | None = attribute(TEXT)
    #: Addresses for mails about the job (``JT_EMAIL``).
    email: Sequence[Text] | None = attribute(TEXT_LIST)
    #: Write a mail when it has started (``JT_EMAIL``).
    email_on_started: bool = attribute(FLAG, False)
    #: Write a mail when it has ended (``JT_EMAIL``).
    email_on_terminated: bool = attribute(FLAG, False)
    #: A label.
    job_name: Text | None = attribute(TEXT)
    #: File for standard input: an absolute path, or one that starts with a placeholder.
    input_path: Text | None = attribute(TEXT)
    #: File for standard output, likewise. It is truncated.
    output_path: Text | None = attribute(TEXT)
    #: File for standard error, likewise.
    error_path: Text | None = attribute(TEXT)
    #: Standard error goes where standard output goes; ``error_path`` is ignored.
    join_files: bool = attribute(FLAG, False)
    #: The reservation in which the job runs.
    reservation_id: Text | None = attribute(TEXT)
    #: The queue, by its name.
    queue_name: Text | None = attribute(TEXT)
    #: At least so many slots.
    min_slots: int | None = attribute(NUMBER)
    #: At most so many slots (``JT_MAXSLOTS``).
    max_slots: int | None = attribute(NUMBER)
    #: Larger is more important; -1 is not set.
    priority: int | None = attribute(NUMBER)
    #: The machines on which the job may run, by their names.
    candidate_machines: Sequence[Text] | None = attribute(TEXT_LIST)
    #: At least so much physical memory, kilobytes.
    min_phys_memory: int | None = attribute(NUMBER)
    #: The operating system wanted.
    machine_os: OperatingSystem | None = attribute(one_of(OperatingSystem))
    #: The architecture wanted.
    machine_arch: CpuArchitecture | None = attribute(one_of(CpuArchitecture))
    #: Do not start before, or ``NOW``.
    start_time: Moment | None = attribute(MOMENT)
    #: End by then (``JT_DEADLINE``).
    deadline_time: Moment | None = attribute(MOMENT)
    #: Files copied before the job starts, destinations by sources (``JT_STAGING``).
    stage_in_files: Mapping[str, Text] | None = attribute(TEXT_DICT)
    #: Files copied after the job has ended, destinations by sources (``JT_STAGING``).
    stage_out_files: Mapping[str, Text] | None = attribute(TEXT_DICT)
    #: Limits by their names, such as ``CPU_TIME``.
    resource_limits: Mapping[str, str | int] | None = attribute(TEXT_DICT)
    #: A text for accounting (``JT_ACCOUNTINGID``).
    accounting_id: Text | None = attribute(TEXT)
    #: Attributes beyond the standard, such as ``containerd_jt_network``.
    implementation_specific: dict[str, str] = implementation_specific()
