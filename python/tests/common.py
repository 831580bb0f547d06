"""Helpers of the tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from drmaa2 import InvalidState, Job, JobSession, JobState, JobTemplate

IMAGE = os.environ["DRMAA2_TEST_IMAGE"]
#: Nothing here takes so long unless it hangs.
LONG = 120 * int(os.environ.get("DRMAA2_TEST_SLOWNESS", "1"))


def shell(script: str, **attributes: Any) -> JobTemplate:
    """A job that runs a script."""
    return JobTemplate(job_category=IMAGE, remote_command="/bin/sh", args=["-c", script], **attributes)


def sleeper(**attributes: Any) -> JobTemplate:
    """A job that has to be ended."""
    return JobTemplate(job_category=IMAGE, remote_command="sleep", args=["1000"], **attributes)


def state(job: Job) -> JobState:
    """The state of a job, without the detail."""
    return job.get_state()[0]


def end(session: JobSession) -> None:
    """End the jobs of a session."""
    jobs = session.get_jobs()
    for job in jobs:
        with suppress(InvalidState):
            job.terminate()
    for job in jobs:
        job.wait_terminated(LONG)


def in_child(body: Callable[[], None]) -> None:
    """Run this in a forked child, which must come to a good end."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        signal.alarm(LONG)
        status = 1
        try:
            body()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def python(program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program in an interpreter of its own."""
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=LONG,
    )
