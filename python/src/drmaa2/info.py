"""What is known of a job."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ctypes import c_void_p
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from ._memory import new_string_list, read_list
from ._struct import (
    EXIT_STATUS,
    LONG_SPAN,
    MOMENT,
    NUMBER,
    SPAN,
    TEXT,
    Kind,
    Struct,
    attribute,
    implementation_specific,
    one_of,
)
from .enums import JobState


@dataclass(frozen=True, slots=True)
class SlotInfo(Struct):
    """Slots of one machine."""

    _kind: ClassVar[str] = "slotinfo"

    #: The machine, by the name that its ``MachineInfo`` has.
    machine_name: str | None = attribute(TEXT)
    #: How many of its slots.
    slots: int | None = attribute(NUMBER)


def _read_slots(address: int | None) -> list[SlotInfo] | None:
    return read_list(address, SlotInfo.read) if address else None


def _new_names(machines: Iterable[SlotInfo]) -> int:
    """A filter looks at the names alone, and takes a list of them."""
    return new_string_list(entry.machine_name or "" for entry in machines)


SLOTS = Kind(c_void_p, _read_slots, _new_names)


@dataclass(slots=True)
class JobInfo(Struct):
    """What is known of a job; as an argument, a filter for jobs.

    A filter lets a job through when all its attributes that are set match. Times and spans may be given as
    seconds there.
    """

    _kind: ClassVar[str] = "jinfo"

    #: Its id. Filter: equal.
    job_id: str | None = attribute(TEXT)
    #: The name its template gave it. Filter: equal.
    job_name: str | None = attribute(TEXT)
    #: Its exit code, 128 + signal if a signal ended it. Filter: equal.
    exit_status: int | None = attribute(EXIT_STATUS)
    #: The signal that ended it, such as SIGKILL. Filter: equal.
    terminating_signal: str | None = attribute(TEXT)
    #: Why it is in this state, for people. Filter: ignored.
    annotation: str | None = attribute(TEXT)
    #: Its state. Filter: equal.
    job_state: JobState | None = attribute(one_of(JobState))
    #: Detail within the state. Filter: equal.
    job_sub_state: str | None = attribute(TEXT)
    #: Machines and slots in use. Filter: uses at least these machines.
    allocated_machines: Sequence[SlotInfo] | None = attribute(SLOTS)
    #: The host it was submitted from. Filter: equal.
    submission_machine: str | None = attribute(TEXT)
    #: The user it belongs to. Filter: equal.
    job_owner: str | None = attribute(TEXT)
    #: Slots in use. Filter: equal.
    slots: int | None = attribute(NUMBER)
    #: Its queue. Filter: equal.
    queue_name: str | None = attribute(TEXT)
    #: Time since it started, suspended time included. Filter: at least.
    wallclock_time: timedelta | None = attribute(SPAN)
    #: CPU time used. Filter: at least.
    cpu_time: timedelta | None = attribute(LONG_SPAN)
    #: When it was submitted. Filter: then or later.
    submission_time: datetime | None = attribute(MOMENT)
    #: When it first started. Filter: then or later.
    dispatch_time: datetime | None = attribute(MOMENT)
    #: When it ended. Filter: then or later.
    finish_time: datetime | None = attribute(MOMENT)
    #: Attributes beyond the standard, such as ``containerd_ji_image_digest``.
    implementation_specific: dict[str, str] = implementation_specific()
