"""Processes that share jobs: forked ones, and spawned ones."""

from __future__ import annotations

import multiprocessing
import threading
from concurrent.futures import ProcessPoolExecutor

import workers
from common import LONG, in_child, shell, sleeper, state

from drmaa2 import JobSession, JobState, MonitoringSession


def test_a_forked_child_goes_on(session: JobSession) -> None:
    running = session.run_job(sleeper())
    running.wait_started(LONG)

    def child() -> None:
        own = session.run_job(shell("exit 5"))
        own.wait_terminated(LONG)
        assert own.get_info().exit_status == 5
        assert state(running) == JobState.RUNNING
        running.terminate()
        running.wait_terminated(LONG)
        session.close()

    in_child(child)
    # Closed in the child, open here.
    running.wait_terminated(LONG)
    assert len(session.get_jobs()) == 2
    with MonitoringSession() as monitoring:
        assert running in monitoring.get_all_jobs()


def test_a_child_forked_by_a_thread_during_a_wait(session: JobSession) -> None:
    held = session.run_job(shell("exit 0", submit_as_hold=True))
    waiter = threading.Thread(target=held.wait_terminated)
    waiter.start()
    in_child(held.release)
    waiter.join(LONG)
    assert not waiter.is_alive()


def test_a_forked_pool(session: JobSession) -> None:
    jobs = [session.run_job(shell(f"exit {number}")) for number in range(3)]
    with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as pool:
        assert list(pool.map(workers.exit_status, jobs, timeout=LONG)) == [0, 1, 2]


def test_spawned_workers_wait_for_a_job(session: JobSession) -> None:
    held = session.run_job(shell("exit 7", submit_as_hold=True))
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        statuses = [pool.submit(workers.exit_status, held) for _ in range(2)]
        held.release()
        assert [status.result(LONG) for status in statuses] == [7, 7]
    assert state(held) == JobState.FAILED
