"""Exceptions: the class of the error, and the text of the library. That there is a class for each code
is in test_header.py."""

from __future__ import annotations

import pickle
import threading

import pytest
from common import python, sleeper

from drmaa2 import (
    Drmaa2Exception,
    DrmCommunication,
    Internal,
    InvalidArgument,
    InvalidSession,
    InvalidState,
    JobSession,
    MonitoringSession,
    Timeout,
)
from drmaa2.errors import from_code


def test_the_text_names_the_object(session: JobSession) -> None:
    with pytest.raises(InvalidArgument, match="no such session"):
        JobSession.open("no such session")
    job = session.run_job(sleeper(submit_as_hold=True))
    with pytest.raises(InvalidState, match=job.id):
        job.resume()
    with pytest.raises(TimeoutError):
        job.wait_started(0)


def test_one_class_for_all() -> None:
    with pytest.raises(Drmaa2Exception) as caught:
        JobSession.open("no such session")
    assert caught.value.code == InvalidArgument.code
    with pytest.raises(ValueError):
        JobSession.open("no such session")


def test_a_containerd_that_is_not_there() -> None:
    with JobSession(contact="containerd:///nowhere.sock") as session:
        with pytest.raises(DrmCommunication, match="/nowhere.sock"):
            session.run_job(sleeper())
        session.destroy()


def test_a_configuration_that_is_wrong() -> None:
    program = (
        "import drmaa2\ntry: drmaa2.JobSession.names()\nexcept drmaa2.SessionManagement as error: print(error)"
    )
    assert "/no/such/file" in python(program, DRMAA2_CONFIG="/no/such/file").stdout


def test_errors_belong_to_threads() -> None:
    """Each thread has the text of its own call."""
    texts: dict[int, str] = {}
    together = threading.Barrier(8)

    def fail(number: int) -> None:
        together.wait()
        for _ in range(200):
            with pytest.raises(InvalidArgument) as caught:
                JobSession.open(f"missing {number}")
            texts[number] = str(caught.value)
            assert f"missing {number}" in texts[number]

    threads = [threading.Thread(target=fail, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(texts) == 8


def test_errors_are_pickled() -> None:
    for error in (Timeout("late"), InvalidSession("closed"), from_code(7, "wrong")):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), again.code) == (type(error), str(error), error.code)


def test_an_unknown_code() -> None:
    assert isinstance(from_code(99, "text"), Internal)
    assert str(from_code(7, None))


def test_bytes_of_a_name() -> None:
    for name in ("a\0b", "\ud800"):
        with pytest.raises(InvalidArgument):
            JobSession(name)
    with MonitoringSession() as monitoring, pytest.raises(TypeError):
        monitoring.get_all_queues("default")
