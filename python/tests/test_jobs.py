"""Single jobs: what they do, how they end, how they are controlled and found."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from common import IMAGE, LONG, shell, sleeper, state

from drmaa2 import (
    NOW,
    ZERO_TIME,
    InvalidArgument,
    InvalidState,
    Job,
    JobInfo,
    JobSession,
    JobState,
    JobTemplate,
    SlotInfo,
    Timeout,
)


def test_a_job_that_is_done(session: JobSession, tmp_path: Path) -> None:
    begun = datetime.now(timezone.utc).replace(microsecond=0)
    output = tmp_path / "output"
    job = session.run_job(shell('echo "$GREETING"', output_path=output, job_environment={"GREETING": "Grüße"}))
    job.wait_started(LONG)
    job.wait_terminated(LONG)
    assert output.read_text() == "Grüße\n"
    assert state(job) == JobState.DONE
    info = job.get_info()
    assert (info.job_id, info.exit_status, info.job_state) == (job.id, 0, JobState.DONE)
    assert info.terminating_signal is None
    assert info.job_owner and info.submission_machine and info.queue_name == "default"
    assert info.allocated_machines == [SlotInfo(info.submission_machine, 1)]
    assert info.submission_time and info.dispatch_time and info.finish_time
    assert begun <= info.submission_time <= info.dispatch_time <= info.finish_time
    assert info.wallclock_time is not None and info.cpu_time is not None
    assert timedelta() <= info.wallclock_time <= info.finish_time - begun + timedelta(seconds=1)
    assert info.implementation_specific["containerd_ji_image"] == IMAGE


def test_a_job_that_fails(session: JobSession) -> None:
    job = session.run_job(shell("exit 3"))
    job.wait_terminated(LONG)
    info = job.get_info()
    assert (info.job_state, info.exit_status) == (JobState.FAILED, 3)


def test_a_job_that_cannot_start(session: JobSession) -> None:
    job = session.run_job(JobTemplate(job_category=IMAGE, remote_command="/no/such/program"))
    job.wait_terminated(LONG)
    info = job.get_info()
    assert info.job_state == JobState.FAILED
    assert "/no/such/program" in (info.annotation or "")


def test_a_job_that_a_signal_ends(session: JobSession) -> None:
    job = session.run_job(shell("kill -SEGV $$"))
    job.wait_terminated(LONG)
    info = job.get_info()
    assert (info.job_state, info.terminating_signal) == (JobState.FAILED, "SIGSEGV")


def test_a_running_job(session: JobSession) -> None:
    job = session.run_job(sleeper())
    job.wait_started(LONG)
    info = job.get_info()
    assert (info.exit_status, info.finish_time, info.job_state) == (None, None, JobState.RUNNING)
    with pytest.raises(Timeout):
        job.wait_terminated(ZERO_TIME)
    with pytest.raises(Timeout):
        job.wait_terminated(timedelta(milliseconds=1))
    with pytest.raises(Timeout):
        job.wait_terminated(0.001)
    with pytest.raises(InvalidArgument):
        job.wait_terminated(timedelta(seconds=-1))
    with pytest.raises(InvalidArgument):
        job.wait_terminated(-5)
    with pytest.raises(InvalidState):
        job.reap()


def test_control(session: JobSession) -> None:
    job = session.run_job(sleeper(submit_as_hold=True))
    assert state(job) == JobState.QUEUED_HELD
    job.release()
    job.wait_started(LONG)
    job.suspend()
    assert state(job) == JobState.SUSPENDED
    with pytest.raises(InvalidState, match=job.id):
        job.suspend()
    job.resume()
    assert state(job) == JobState.RUNNING
    job.terminate()
    job.wait_terminated(LONG)
    assert job.get_info().terminating_signal == "SIGTERM"
    with pytest.raises(InvalidState):
        job.terminate()


def test_hold(session: JobSession) -> None:
    job = session.run_job(sleeper(start_time=datetime.now() + timedelta(hours=1)))
    assert job.get_state() == (JobState.QUEUED, "start-time")
    job.hold()
    assert state(job) == JobState.QUEUED_HELD
    with pytest.raises(InvalidState):
        job.hold()
    job.terminate()
    job.wait_terminated(LONG)


def test_reap(session: JobSession) -> None:
    job = session.run_job(shell("exit 0", start_time=NOW))
    job.wait_terminated(LONG)
    job.reap()
    assert session.get_jobs() == []
    for call in (job.get_info, job.get_state, job.get_template, job.reap, job.wait_started):
        with pytest.raises(InvalidArgument):
            call()


def test_a_job_by_its_id(session: JobSession) -> None:
    job = Job(session.run_job(shell("exit 4")).id, session.name)
    job.wait_terminated(LONG)
    assert job.get_info().exit_status == 4
    with pytest.raises(InvalidArgument):
        Job("unknown", session.name).get_info()


def test_wait_any(session: JobSession) -> None:
    waiting = session.run_job(sleeper(submit_as_hold=True))
    running = session.run_job(sleeper())
    assert session.wait_any_started([waiting, running], LONG) == running
    with pytest.raises(Timeout):
        session.wait_any_terminated([waiting, running], ZERO_TIME)
    waiting.terminate()
    assert session.wait_any_terminated(iter([running, waiting]), LONG) == waiting
    with pytest.raises(InvalidArgument):
        session.wait_any_terminated([])
    with pytest.raises(InvalidArgument):
        session.wait_any_started([running, Job("unknown", session.name)])


def test_wait_all(session: JobSession) -> None:
    first, second = jobs = [session.run_job(sleeper(submit_as_hold=True)) for _ in range(2)]
    first.release()
    first.wait_started(LONG)
    with pytest.raises(Timeout):
        session.wait_all_started(jobs, ZERO_TIME)
    second.release()
    assert session.wait_all_started(jobs, LONG) == jobs
    with pytest.raises(Timeout):
        session.wait_all_terminated(iter(jobs), ZERO_TIME)
    for job in jobs:
        job.terminate()
    assert session.wait_all_terminated(jobs, LONG) == jobs
    with pytest.raises(InvalidArgument):
        session.wait_all_started([])


def test_a_job_that_is_killed(session: JobSession) -> None:
    job = session.run_job(sleeper())
    job.wait_started(LONG)
    job.terminate(forced=True)
    job.wait_terminated(LONG)
    assert job.get_info().terminating_signal == "SIGKILL"


def test_filters(session: JobSession) -> None:
    begun = datetime.now(timezone.utc)
    good = session.run_job(shell("exit 0", job_name="good"))
    bad = session.run_job(shell("exit 9", job_name="bad"))
    held = session.run_job(sleeper(submit_as_hold=True))
    for job in (good, bad):
        job.wait_terminated(LONG)
    machine = good.get_info().submission_machine
    hour = timedelta(hours=1)
    for filter, wanted in [
        (JobInfo(), [good, bad, held]),
        (JobInfo(job_name="good"), [good]),
        (JobInfo(job_id=bad.id), [bad]),
        (JobInfo(exit_status=9), [bad]),
        (JobInfo(job_state=JobState.QUEUED_HELD), [held]),
        (JobInfo(job_state=JobState.DONE, exit_status=9), []),
        (JobInfo(submission_time=begun), [good, bad, held]),
        (JobInfo(submission_time=begun + hour), []),
        (JobInfo(finish_time=begun), [good, bad]),
        (JobInfo(wallclock_time=hour), []),
        (JobInfo(allocated_machines=[SlotInfo(machine)]), [good, bad]),
        (JobInfo(allocated_machines=[SlotInfo("elsewhere")]), []),
        (JobInfo(implementation_specific={"containerd_ji_container_id": good.id}), [good]),
    ]:
        assert session.get_jobs(filter) == wanted, filter
    assert list(session) == [good, bad, held]


def test_categories(session: JobSession) -> None:
    assert "tests" in session.get_job_categories()
    job = session.run_job(JobTemplate(job_category="tests", remote_command="true"))
    job.wait_terminated(LONG)
    assert state(job) == JobState.DONE
