"""Monitoring sessions, and what they tell of the system."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from ctypes import c_void_p
from dataclasses import dataclass
from typing import ClassVar

from ._lib import lib
from ._memory import Text, encode_optional, lend_strings, take_list
from ._session import Session
from ._struct import (
    FLAG,
    LOAD,
    NUMBER,
    TEXT,
    Kind,
    Struct,
    attribute,
    implementation_specific,
    one_of,
)
from .enums import CpuArchitecture, OperatingSystem
from .info import JobInfo
from .job import Job, take_jobs
from .reservation import Reservation


@dataclass(frozen=True, slots=True)
class Version(Struct):
    """A version in two parts."""

    _kind: ClassVar[str] = "version"

    #: Before the first dot; "2" in :func:`get_drmaa_version`.
    major: str = attribute(TEXT)
    #: All that follows it.
    minor: str = attribute(TEXT)

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


_VERSION = Kind(c_void_p, lambda address: Version.read(address) if address else None)


@dataclass(frozen=True, slots=True)
class QueueInfo(Struct):
    """A queue."""

    _kind: ClassVar[str] = "queueinfo"

    #: The name that ``queue_name`` of a job template may have.
    name: str = attribute(TEXT)
    implementation_specific: dict[str, str] = implementation_specific()


@dataclass(frozen=True, slots=True)
class MachineInfo(Struct):
    """An execution machine."""

    _kind: ClassVar[str] = "machineinfo"

    #: Its name, as ``candidate_machines`` of a job template may have it.
    name: str = attribute(TEXT)
    #: Can it take jobs now?
    available: bool = attribute(FLAG)
    #: How many CPU packages it has.
    sockets: int | None = attribute(NUMBER)
    #: How many cores a package has.
    cores_per_socket: int | None = attribute(NUMBER)
    #: How many hardware threads a core has.
    threads_per_core: int | None = attribute(NUMBER)
    #: Load average over the last minute.
    load: float | None = attribute(LOAD)
    #: Physical memory, kilobytes.
    phys_memory: int | None = attribute(NUMBER)
    #: Physical memory and swap together, kilobytes.
    virt_memory: int | None = attribute(NUMBER)
    #: Its operating system.
    machine_os: OperatingSystem | None = attribute(one_of(OperatingSystem))
    #: The version of the operating system.
    machine_os_version: Version | None = attribute(_VERSION)
    #: Its architecture.
    machine_arch: CpuArchitecture | None = attribute(one_of(CpuArchitecture))
    implementation_specific: dict[str, str] = implementation_specific()


class MonitoringSession(Session):
    """A view of the whole system, whichever session things belong to."""

    _kind: ClassVar[str] = "msession"

    def __init__(self, name: str | None = None) -> None:
        """Open it. The name has no meaning."""
        super().__init__(lib.drmaa2_open_msession(encode_optional(name)))

    def get_all_jobs(self, filter: JobInfo | None = None) -> list[Job]:
        """All jobs that the user may see and that match a filter, of every session and of none."""
        with ExitStack() as stack:
            info = None if filter is None else stack.enter_context(filter.lend())
            return take_jobs(self._call("drmaa2_msession_get_all_jobs", info))

    def get_all_queues(self, names: Iterable[Text] | None = None) -> list[QueueInfo]:
        """All queues, or those of the given names that there are."""
        with lend_strings(names) as wanted:
            return take_list(self._call("drmaa2_msession_get_all_queues", wanted), QueueInfo.read)

    def get_all_machines(self, names: Iterable[Text] | None = None) -> list[MachineInfo]:
        """All machines, or those of the given names that there are."""
        with lend_strings(names) as wanted:
            return take_list(self._call("drmaa2_msession_get_all_machines", wanted), MachineInfo.read)

    def get_all_reservations(self) -> list[Reservation]:
        """All reservations that the user may see and that are not over."""
        return take_list(self._call("drmaa2_msession_get_all_reservations"), Reservation.read)
