"""Reservation sessions and reservations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from ._handle import Handle
from ._lib import lib
from ._memory import Text, encode, take_list
from ._session import StoredSession
from ._struct import (
    MOMENT,
    NUMBER,
    SPAN,
    TEXT,
    TEXT_LIST,
    Struct,
    attribute,
    implementation_specific,
    one_of,
)
from ._time import Moment, Span
from .enums import CpuArchitecture, OperatingSystem
from .info import SLOTS, SlotInfo


@dataclass(slots=True)
class ReservationTemplate(Struct):
    """What a reservation is to be. ``None`` is not set, and so is what is empty.

    Of ``start_time``, ``end_time`` and ``duration``, two say when it is. Without ``start_time``,
    ``duration`` alone or with ``end_time`` stands for the earliest such window, which ends by
    ``end_time``.
    """

    _kind: ClassVar[str] = "rtemplate"

    #: A label.
    reservation_name: Text | None = attribute(TEXT)
    #: When it begins, or ``NOW`` (``RT_STARTNOW``).
    start_time: Moment | None = attribute(MOMENT)
    #: When it ends.
    end_time: Moment | None = attribute(MOMENT)
    #: How long it lasts (``RT_DURATION``).
    duration: Span | None = attribute(SPAN)
    #: At least so many slots; not set is 1.
    min_slots: int | None = attribute(NUMBER)
    #: At most so many slots; not set is ``min_slots``.
    max_slots: int | None = attribute(NUMBER)
    #: The category of the jobs to come.
    job_category: Text | None = attribute(TEXT)
    #: The users that may use it; not set is its owner alone.
    users_acl: Sequence[Text] | None = attribute(TEXT_LIST)
    #: The machines it may be on, by their names.
    candidate_machines: Sequence[Text] | None = attribute(TEXT_LIST)
    #: At least so much physical memory, kilobytes.
    min_phys_memory: int | None = attribute(NUMBER)
    #: The operating system wanted (``RT_MACHINEOS``).
    machine_os: OperatingSystem | None = attribute(one_of(OperatingSystem))
    #: The architecture wanted (``RT_MACHINEARCH``).
    machine_arch: CpuArchitecture | None = attribute(one_of(CpuArchitecture))
    implementation_specific: dict[str, str] = implementation_specific()


@dataclass(frozen=True, slots=True)
class ReservationInfo(Struct):
    """What is known of a reservation."""

    _kind: ClassVar[str] = "rinfo"

    #: Its id.
    reservation_id: str | None = attribute(TEXT)
    #: The name its template gave it.
    reservation_name: str | None = attribute(TEXT)
    #: When it begins.
    reserved_start_time: datetime | None = attribute(MOMENT)
    #: When it ends; when it ended, if it was given up.
    reserved_end_time: datetime | None = attribute(MOMENT)
    #: The users that may use it.
    users_acl: Sequence[str] | None = attribute(TEXT_LIST)
    #: How many slots it has.
    reserved_slots: int | None = attribute(NUMBER)
    #: Where its slots are.
    reserved_machines: Sequence[SlotInfo] | None = attribute(SLOTS)
    implementation_specific: dict[str, str] = implementation_specific()


class Reservation(Handle):
    """A reservation. A value, as a job is."""

    __slots__ = ()
    _kind = "r"

    def get_info(self) -> ReservationInfo:
        """What is known of it, which may be over."""
        return ReservationInfo.take(self._call(lib.drmaa2_r_get_info))

    def get_template(self) -> ReservationTemplate:
        """What it was requested with."""
        return ReservationTemplate.take(self._call(lib.drmaa2_r_get_reservation_template))

    def terminate(self) -> None:
        """Give it up. It is over then, and so are the jobs in it."""
        self._call(lib.drmaa2_r_terminate)


class ReservationSession(StoredSession):
    """A reservation session. Iterating gives its reservations.

    ``ReservationSession("name")`` creates one, ``ReservationSession.open("name")`` opens one that is
    there.
    """

    _kind: ClassVar[str] = "rsession"

    def request_reservation(self, template: ReservationTemplate) -> Reservation:
        """Reserve slots and memory for a time."""
        with template.lend() as rt:
            return Reservation.take(self._call("drmaa2_rsession_request_reservation", rt))

    def get_reservation(self, id: str) -> Reservation:
        """A reservation by its id, also one that is over."""
        return Reservation.take(self._call("drmaa2_rsession_get_reservation", encode(id)))

    def get_reservations(self) -> list[Reservation]:
        """The reservations that are not over, in the order in which they were made."""
        return take_list(self._call("drmaa2_rsession_get_reservations"), Reservation.read)

    def __iter__(self) -> Iterator[Reservation]:
        return iter(self.get_reservations())
