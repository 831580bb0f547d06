"""Notifications."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

import pytest
from common import LONG, in_child, python, shell, sleeper

from drmaa2 import (
    Capability,
    Event,
    Job,
    JobSession,
    JobState,
    Notification,
    UnsupportedOperation,
    register_event_notification,
    supports,
)

if not supports(Capability.CALLBACK):

    def test_there_are_none() -> None:
        with pytest.raises(UnsupportedOperation):
            register_event_notification(print)

else:

    @pytest.fixture
    def told() -> Iterator[SimpleQueue[Notification]]:
        queue: SimpleQueue[Notification] = SimpleQueue()
        register_event_notification(queue.put)
        yield queue
        register_event_notification(None)

    def until_ended(told: SimpleQueue[Notification], job: Job) -> list[JobState | None]:
        """The states that a job is told to have entered, to its end."""
        states: list[JobState | None] = []
        while states[-1:] not in ([JobState.DONE], [JobState.FAILED]):
            one = told.get(timeout=LONG)
            if one.job_id == job.id:
                assert (one.event, one.session_name) == (Event.NEW_STATE, job.session_name)
                states.append(one.job_state)
        return states

    def test_the_states_of_a_job(session: JobSession, told: SimpleQueue[Notification]) -> None:
        job = session.run_job(shell("exit 0"))
        assert until_ended(told, job)[-2:] == [JobState.RUNNING, JobState.DONE]
        job = session.run_job(shell("exit 1"))
        assert until_ended(told, job)[-2:] == [JobState.RUNNING, JobState.FAILED]

    def test_calls_from_within(session: JobSession) -> None:
        seen: SimpleQueue[Any] = SimpleQueue()

        def callback(notification: Notification) -> None:
            if notification.job_state == JobState.RUNNING:
                assert notification.job_id is not None
                job = Job(notification.job_id, notification.session_name)
                seen.put(job.get_info().job_id)
                register_event_notification(None)
                job.terminate()

        register_event_notification(callback)
        job = session.run_job(sleeper())
        assert seen.get(timeout=LONG) == job.id
        job.wait_terminated(LONG)
        assert seen.empty()

    def test_an_exception_goes_to_the_hook(session: JobSession, monkeypatch: pytest.MonkeyPatch) -> None:
        raised: SimpleQueue[Any] = SimpleQueue()
        monkeypatch.setattr(sys, "unraisablehook", lambda args: raised.put(args.exc_type))

        def callback(notification: Notification) -> None:
            raise ZeroDivisionError

        register_event_notification(callback)
        try:
            session.run_job(shell("exit 0")).wait_terminated(LONG)
            assert raised.get(timeout=LONG) is ZeroDivisionError
        finally:
            register_event_notification(None)

    def test_a_forked_child(session: JobSession, told: SimpleQueue[Notification]) -> None:
        def child() -> None:
            queue: SimpleQueue[Notification] = SimpleQueue()
            register_event_notification(queue.put)
            job = session.run_job(shell("exit 0"))
            assert until_ended(queue, job)[-1] == JobState.DONE

        in_child(child)

    def test_a_process_that_ends_meanwhile(session: JobSession) -> None:
        """Its callback has more to do than it gets time for."""
        program = (
            "import sys; sys.path[:0] = eval(sys.argv[1])\n"
            "from common import sleeper\n"
            "from drmaa2 import JobSession, register_event_notification\n"
            "session = JobSession.open(sys.argv[2])\n"
            "register_event_notification(lambda told: sum(range(100000)))\n"
            "session.run_bulk_jobs(sleeper(submit_as_hold=True), 1, 100).terminate()\n"
        )
        for _ in range(5):
            ended = python(program, repr(sys.path), session.name)
            assert (ended.returncode, ended.stderr) == (0, "")
