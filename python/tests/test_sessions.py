"""Sessions: made, opened, closed, destroyed."""

from __future__ import annotations

import pickle

import pytest
from common import LONG, python, shell, sleeper, state

from drmaa2 import (
    InvalidArgument,
    InvalidSession,
    Job,
    JobSession,
    JobState,
    MonitoringSession,
    ReservationSession,
)
from drmaa2._session import StoredSession

STORED = pytest.mark.parametrize("cls", [JobSession, ReservationSession])


@STORED
def test_a_session_by_its_name(cls: type[StoredSession]) -> None:
    with cls("named über") as session:
        assert session.name == "named über"
        assert session.contact is None
        assert session.name in cls.names()
        with pytest.raises(InvalidArgument):
            cls("named über")
        with cls.open("named über") as again:
            assert type(again) is cls
            assert again.name == session.name
    assert session.name in cls.names()
    with cls.open("named über") as again:
        again.destroy()
    assert session.name not in cls.names()
    with pytest.raises(InvalidArgument):
        cls.open("named über")
    with pytest.raises(InvalidArgument):
        cls.destroy_by_name("named über")


@STORED
def test_a_session_without_a_name(cls: type[StoredSession]) -> None:
    with cls() as one, cls() as two:
        assert one.name and two.name and one.name != two.name
        assert one.name in repr(one)
        one.destroy()
        two.destroy()


def test_a_contact_is_kept() -> None:
    with JobSession(contact="containerd://?slots=3") as session:
        assert session.contact == "containerd://?slots=3"
        with JobSession.open(session.name) as again:
            assert again.contact == session.contact
        session.destroy()
    with pytest.raises(InvalidArgument):
        JobSession(contact="nonsense")


def test_a_closed_session(session: JobSession) -> None:
    session.close()
    with pytest.raises(InvalidSession):
        session.close()
    with pytest.raises(InvalidSession):
        session.get_jobs()
    with pytest.raises(InvalidSession):
        session.run_job(shell("exit 0"))
    monitoring = MonitoringSession()
    monitoring.close()
    with pytest.raises(InvalidSession):
        monitoring.get_all_jobs()
    with pytest.raises(InvalidSession):
        monitoring.close()


def test_with_closes_after_an_exception() -> None:
    with pytest.raises(ZeroDivisionError), JobSession() as session:
        _ = 1 / 0
    with pytest.raises(InvalidSession):
        session.get_jobs()
    JobSession.destroy_by_name(session.name)


def test_jobs_outlive_the_session(session: JobSession) -> None:
    job = session.run_job(sleeper())
    job.wait_started(LONG)
    session.close()
    with JobSession.open(session.name) as again:
        assert list(again) == [job]
        assert state(job) == JobState.RUNNING


def test_a_session_is_not_pickled(session: JobSession) -> None:
    with pytest.raises(TypeError, match="open it"):
        pickle.dumps(session)


def test_a_process_that_never_closes(session: JobSession) -> None:
    program = (
        "import sys, workers, common; from drmaa2 import JobSession\n"
        "print(JobSession.open(sys.argv[1]).run_job(common.shell('exit 6')).id)"
    )
    ended = python(f"import sys; sys.path[:0] = {__import__('sys').path!r}; {program}", session.name)
    assert ended.returncode == 0, ended.stderr
    job = Job(ended.stdout.strip(), session.name)
    job.wait_terminated(LONG)
    assert job.get_info().exit_status == 6
