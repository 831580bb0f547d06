"""Threads that share a session, and waits that keep nobody waiting."""

from __future__ import annotations

import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from common import LONG, python, shell, sleeper, state

from drmaa2 import InvalidSession, JobSession, JobState, MonitoringSession


def test_eight_threads_submit(session: JobSession) -> None:
    together = threading.Barrier(8)

    def work(number: int) -> list[int | None]:
        together.wait(LONG)
        jobs = [session.run_job(shell(f"exit {number}", job_name=str(number))) for _ in range(4)]
        for job in jobs:
            job.wait_terminated(LONG)
        return [job.get_info().exit_status for job in jobs]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [[number] * 4 for number in range(8)]
    assert len(session.get_jobs()) == 32


def test_a_wait_lets_others_go_on(session: JobSession) -> None:
    job = session.run_job(shell("exit 0", submit_as_hold=True))
    waiters = [threading.Thread(target=job.wait_terminated, daemon=True) for _ in range(2)]
    for waiter in waiters:
        waiter.start()
    # They wait without limit for what this thread lets happen.
    job.release()
    for waiter in waiters:
        waiter.join(LONG)
        assert not waiter.is_alive()
    assert state(job) == JobState.DONE


def test_a_wait_on_the_main_thread_lets_others_go_on(session: JobSession) -> None:
    job = session.run_job(shell("exit 0", submit_as_hold=True))
    other = threading.Thread(target=job.release)
    other.start()
    job.wait_terminated(LONG)
    other.join(LONG)
    assert not other.is_alive()
    assert state(job) == JobState.DONE


def test_a_wait_ends_with_its_session(session: JobSession) -> None:
    job = session.run_job(sleeper(submit_as_hold=True))
    other = threading.Thread(target=session.destroy)
    other.start()
    with pytest.raises(InvalidSession):
        job.wait_started(LONG)
    other.join(LONG)
    assert not other.is_alive()
    with MonitoringSession():
        job.terminate()


def test_a_signal_handler_runs_during_a_wait(session: JobSession) -> None:
    job = session.run_job(shell("exit 0", submit_as_hold=True))
    running = session.run_job(sleeper())
    handled: list[int] = []

    def handler(number: int, _: object) -> None:
        handled.append(number)
        job.release()

    def kill() -> None:
        running.wait_started(LONG)
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        other = threading.Thread(target=kill)
        other.start()
        # Ends because the handler runs meanwhile, and goes on after it.
        job.wait_terminated(LONG)
        other.join(LONG)
        assert not other.is_alive()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert handled == [signal.SIGUSR1]


INTERRUPTED = """
import os, signal, sys, threading
sys.path[:0] = eval(sys.argv[1])
from common import sleeper
from drmaa2 import JobSession
session = JobSession.open(sys.argv[2])
running, held = session.run_job(sleeper()), session.run_job(sleeper(submit_as_hold=True))
def interrupt():
    running.wait_started()
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt).start()
try:
    {wait}
except KeyboardInterrupt:
    running.terminate()
    held.terminate()
    print("interrupted")
"""


@pytest.mark.parametrize("wait", ["held.wait_started()", "session.wait_any_started([held])"])
def test_ctrl_c_ends_a_wait(session: JobSession, wait: str) -> None:
    ended = python(INTERRUPTED.format(wait=wait), repr(sys.path), session.name)
    assert (ended.returncode, ended.stdout) == (0, "interrupted\n"), ended.stderr
