"""Job arrays."""

from __future__ import annotations

from pathlib import Path

import pytest
from common import LONG, shell, sleeper, state

from drmaa2 import InvalidArgument, InvalidState, JobArray, JobSession, JobState


def test_an_array(session: JobSession, tmp_path: Path) -> None:
    template = shell("echo $TASK_ID; exit $TASK_ID", output_path=f"{tmp_path}/$DRMAA2_INDEX$")
    array = session.run_bulk_jobs(template, 1, 10, step=3)
    jobs = array.get_jobs()
    assert [job.id for job in jobs] == [f"{array.id}.{index}" for index in (1, 4, 7, 10)]
    for job, index in zip(array, (1, 4, 7, 10), strict=True):
        job.wait_terminated(LONG)
        info = job.get_info()
        assert info.exit_status == index, info
        assert (tmp_path / str(index)).read_text() == f"{index}\n"
    assert session.get_job_array(array.id) == array == JobArray(array.id, session.name)
    assert session.get_jobs() == jobs
    array.reap()
    assert session.get_jobs() == []
    with pytest.raises(InvalidArgument):
        session.get_job_array(array.id)


def test_a_limit(session: JobSession) -> None:
    array = session.run_bulk_jobs(sleeper(), 1, 3, max_parallel=1)
    first, *others = array
    first.wait_started(LONG)
    assert [job.get_state() for job in others] == [(JobState.QUEUED, "array-limit")] * 2
    array.terminate()
    session.wait_all_terminated(array, LONG)


def test_control(session: JobSession) -> None:
    array = session.run_bulk_jobs(sleeper(submit_as_hold=True), 1, 2)
    assert {state(job) for job in array} == {JobState.QUEUED_HELD}
    with pytest.raises(InvalidState):
        array.hold()
    with pytest.raises(InvalidState):
        array.reap()
    array.release()
    for job in array:
        job.wait_started(LONG)
    array.suspend()
    assert {state(job) for job in array} == {JobState.SUSPENDED}
    array.resume()
    assert {state(job) for job in array} == {JobState.RUNNING}
    array.terminate()
    for job in array:
        job.wait_terminated(LONG)
    assert {state(job) for job in array} == {JobState.FAILED}
    with pytest.raises(InvalidState):
        array.terminate()


def test_what_is_refused(session: JobSession) -> None:
    for begin, end, step in [(0, 1, 1), (2, 1, 1), (1, 2, 0), (1, (1 << 64) + 1, 1)]:
        with pytest.raises(InvalidArgument):
            session.run_bulk_jobs(shell("exit 0"), begin, end, step)
    with pytest.raises(InvalidArgument):
        session.get_job_array("unknown")
    assert session.get_jobs() == []
