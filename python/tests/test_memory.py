"""Every C object is freed, and once."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from common import LONG, shell

from drmaa2 import (
    InvalidArgument,
    JobInfo,
    JobSession,
    JobTemplate,
    MonitoringSession,
    ReservationSession,
    ReservationTemplate,
    get_drmaa_version,
)
from drmaa2._lib import declared, lib, libc
from drmaa2._struct import layout

BORROWED = {"drmaa2_list_get", "drmaa2_dict_get"}


class Ledger:
    """What is alive in C, by address."""

    def __init__(self) -> None:
        self.alive: dict[int, str] = {}
        self.made = 0

    @staticmethod
    def members(name: str, address: int) -> list[int]:
        """Lists and dictionaries that are freed with a struct."""
        for cls in (JobTemplate, JobInfo, ReservationTemplate):
            if name == f"drmaa2_{cls._kind}_free":
                size = ctypes.sizeof(layout(cls).struct) // ctypes.sizeof(ctypes.c_void_p)
                return list((ctypes.c_size_t * size).from_address(address))
        return []

    def watch(self, name: str, function: Any) -> Callable[..., Any]:
        def making(*arguments: Any) -> Any:
            result = function(*arguments)
            if isinstance(result, int) and name not in BORROWED:
                assert result not in self.alive
                self.alive[result] = name
                self.made += 1
            return result

        def freeing(reference: Any) -> None:
            address = reference._obj.value
            known = self.alive.pop(address, None)
            # A string has become Python's before it is freed.
            assert known or name == "drmaa2_string_free"
            for member in self.members(name, address):
                self.alive.pop(member, None)
            function(reference)

        return freeing if name.endswith("_free") else making


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    # Objects that earlier tests have left are none of this one's.
    gc.collect()
    ledger = Ledger()
    for name in declared():
        function = getattr(lib, name)
        if function.restype is ctypes.c_void_p or name.endswith("_free"):
            monkeypatch.setattr(lib, name, ledger.watch(name, function))
    yield ledger
    gc.collect()
    assert ledger.made > 0
    assert ledger.alive == {}


def full_template() -> JobTemplate:
    return JobTemplate(
        remote_command="a",
        args=["b", "c" * 1000],
        job_environment={"d": "e", "f": "g" * 1000},
        email=["h"],
        resource_limits={"CPU_TIME": 1},
        implementation_specific={"containerd_jt_network": "host"},
    )


def test_jobs_and_sessions(ledger: Ledger) -> None:
    with JobSession() as session:
        job = session.run_job(shell("exit 1"))
        array = session.run_bulk_jobs(shell("exit 0"), 1, 3)
        session.wait_any_terminated(array, LONG)
        job.wait_terminated(LONG)
        for one in [job, *array]:
            one.wait_terminated(LONG)
            one.get_info()
            one.get_state()
            one.get_template()
        session.get_jobs(JobInfo(exit_status=1))
        session.get_job_categories()
        session.get_job_array(array.id).get_template()
        with MonitoringSession() as monitoring:
            monitoring.get_all_jobs(JobInfo(job_id=job.id))
            monitoring.get_all_machines(["nowhere"])
            monitoring.get_all_machines()
            monitoring.get_all_queues()
        with pytest.raises(InvalidArgument):
            session.run_job(JobTemplate(working_directory="relative", remote_command="true"))
        with pytest.raises(InvalidArgument):
            session.run_job(JobTemplate(args=["a", "b\0"]))
        with pytest.raises(InvalidArgument):
            session.wait_any_started([])
        session.destroy()
    # Sessions are freed when the last reference goes.
    del session, monitoring


def test_reservations(ledger: Ledger) -> None:
    with ReservationSession() as session:
        reservation = session.request_reservation(ReservationTemplate(duration=10, users_acl=["root"]))
        reservation.get_info()
        reservation.get_template()
        session.get_reservation(reservation.id)
        session.get_reservations()
        reservation.terminate()
        with pytest.raises(InvalidArgument):
            session.request_reservation(ReservationTemplate())
        session.destroy()
    del session


def test_a_session_that_is_never_closed(ledger: Ledger) -> None:
    session = JobSession()
    name = session.name
    del session
    gc.collect()
    assert ledger.alive == {}
    JobSession.destroy_by_name(name)


class MallInfo(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
    ]


def in_use() -> int:
    """Bytes that malloc has given to the main thread."""
    gc.collect()
    libc.mallinfo2.restype = MallInfo
    info = libc.mallinfo2()
    return int(info.uordblks) + int(info.hblkhd)


def lend_and_read() -> None:
    with full_template().lend() as address:
        JobTemplate.read(address)


def lend_nonsense() -> None:
    template = full_template()
    template.stage_out_files = {"a": "b", "c": "d\0"}
    with pytest.raises(InvalidArgument), template.lend():
        pass


def fail() -> None:
    with pytest.raises(InvalidArgument):
        JobSession.open("no such session")


@pytest.mark.parametrize("body", [lend_and_read, lend_nonsense, fail, get_drmaa_version, JobSession.names])
def test_nothing_grows(body: Callable[[], object]) -> None:
    rounds = 1000
    for _ in range(100):
        body()
    before = in_use()
    for _ in range(rounds):
        body()
    # A leak would be one block in each round, and the smallest block has 32 bytes.
    assert in_use() - before < 32 * rounds / 2
