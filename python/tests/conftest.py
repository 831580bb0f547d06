"""What the tests share. They need a containerd that has the image DRMAA2_TEST_IMAGE, and a state directory
of their own; scripts/test-python provides both. They import the package that is installed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# The library reads its configuration once.
SITE = Path(tempfile.mkdtemp(prefix="drmaa2-python."))
(SITE / "drmaa2.toml").write_text(
    f'sendmail = "{SITE}/sendmail"\n[queues.urgent]\npriority = 10\n[categories.tests]\n'
    f'image = "{os.environ["DRMAA2_TEST_IMAGE"]}"\n'
)
(SITE / "sendmail").write_text("#!/bin/sh\nexec cat >/dev/null\n")
(SITE / "sendmail").chmod(0o755)
os.environ["DRMAA2_CONFIG"] = str(SITE / "drmaa2.toml")

from common import end, state  # noqa: E402

from drmaa2 import JobSession, JobState, MonitoringSession, ReservationSession  # noqa: E402


def pytest_unconfigure() -> None:
    shutil.rmtree(SITE)


@pytest.fixture(autouse=True, scope="session")
def nothing_is_left() -> Iterator[None]:
    """No session, and no job that has not ended."""
    before = JobSession.names(), ReservationSession.names()
    yield
    assert (JobSession.names(), ReservationSession.names()) == before
    with MonitoringSession() as monitoring:
        assert [job for job in monitoring.get_all_jobs() if state(job) < JobState.DONE] == []


@pytest.fixture
def session() -> Iterator[JobSession]:
    """A new session. Its jobs are ended with it."""
    with JobSession() as session:
        yield session
    if session.name in JobSession.names():
        with JobSession.open(session.name) as again:
            end(again)
            again.destroy()


@pytest.fixture
def reservations() -> Iterator[ReservationSession]:
    """A new reservation session. Its reservations are given up with it."""
    with ReservationSession() as reservations:
        yield reservations
        for reservation in reservations:
            reservation.terminate()
        reservations.destroy()
