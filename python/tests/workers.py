"""What runs in processes that are spawned, which import it by its name."""

from __future__ import annotations

from common import LONG

from drmaa2 import Job, JobSession


def exit_status(job: Job) -> int | None:
    """Wait for a job of another process."""
    assert job.session_name is not None
    with JobSession.open(job.session_name):
        job.wait_terminated(LONG)
        return job.get_info().exit_status
