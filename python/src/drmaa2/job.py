"""Jobs and job arrays."""

from __future__ import annotations

from collections.abc import Iterator
from ctypes import byref, c_void_p

from ._handle import Handle, NamedArray
from ._lib import free, lib
from ._memory import read_string, take_list
from ._time import Span
from ._wait import wait
from .constants import INFINITE_TIME
from .enums import JobState
from .info import JobInfo
from .template import JobTemplate


class Job(Handle):
    """A job.

    A value: it can be copied, compared, pickled, and made anew from an id and the name of a session. A
    process that uses it has its session open, or a monitoring session.
    """

    __slots__ = ()
    _kind = "j"

    def get_state(self) -> tuple[JobState, str | None]:
        """Its state, and a detail within that state in words of the implementation."""
        substate = c_void_p()
        state: int = self._call(lib.drmaa2_j_get_state, byref(substate))
        try:
            return JobState(state), read_string(substate.value)
        finally:
            if substate.value:
                free("drmaa2_string_free", substate.value)

    def get_info(self) -> JobInfo:
        """What is known of it now."""
        return JobInfo.take(self._call(lib.drmaa2_j_get_info))

    def get_template(self) -> JobTemplate:
        """What it was submitted with."""
        return JobTemplate.take(self._call(lib.drmaa2_j_get_jtemplate))

    def suspend(self) -> None:
        """Suspend it, if it runs. Returns once that is accepted, as all of these do."""
        self._call(lib.drmaa2_j_suspend)

    def resume(self) -> None:
        """Resume it, if it is suspended."""
        self._call(lib.drmaa2_j_resume)

    def hold(self) -> None:
        """Keep it from starting, if it waits."""
        self._call(lib.drmaa2_j_hold)

    def release(self) -> None:
        """Let it start, if it is on hold."""
        self._call(lib.drmaa2_j_release)

    def terminate(self, forced: bool = False) -> None:
        """End it, whether it waits or has started.

        :param forced: kill it, without asking it and without a time to end by itself
        """
        self._call(lib.drmaa2_j_terminate_forced if forced else lib.drmaa2_j_terminate)

    def reap(self) -> None:
        """Forget it, if it has ended. From then on its id is unknown."""
        self._call(lib.drmaa2_j_reap)

    def wait_started(self, timeout: Span = INFINITE_TIME) -> None:
        """Wait until it has started; one that has ended counts as well.

        :raises Timeout: when the time is over
        """
        wait(lambda seconds: self._call(lib.drmaa2_j_wait_started, seconds), timeout)

    def wait_terminated(self, timeout: Span = INFINITE_TIME) -> None:
        """Wait until it has ended.

        :raises Timeout: when the time is over
        """
        wait(lambda seconds: self._call(lib.drmaa2_j_wait_terminated, seconds), timeout)


def take_jobs(address: int) -> list[Job]:
    """The jobs of a list, which is freed."""
    return take_list(address, Job.read)


class JobArray(Handle):
    """A job array: jobs with one template. A value, as a job is; iterating gives its jobs."""

    __slots__ = ()
    _kind = "jarray"
    _layout = NamedArray

    def get_jobs(self) -> list[Job]:
        """Its jobs in the order of their indices, without those that are reaped."""
        return take_jobs(self._call(lib.drmaa2_jarray_get_jobs))

    def __iter__(self) -> Iterator[Job]:
        return iter(self.get_jobs())

    def get_template(self) -> JobTemplate:
        """What it was submitted with."""
        return JobTemplate.take(self._call(lib.drmaa2_jarray_get_jtemplate))

    def suspend(self) -> None:
        """Suspend its running jobs. Returns once that is accepted, as all of these do."""
        self._call(lib.drmaa2_jarray_suspend)

    def resume(self) -> None:
        """Resume its suspended jobs."""
        self._call(lib.drmaa2_jarray_resume)

    def hold(self) -> None:
        """Keep its waiting jobs from starting."""
        self._call(lib.drmaa2_jarray_hold)

    def release(self) -> None:
        """Let its held jobs start."""
        self._call(lib.drmaa2_jarray_release)

    def terminate(self) -> None:
        """End its jobs that have not ended."""
        self._call(lib.drmaa2_jarray_terminate)

    def reap(self) -> None:
        """Forget it, if all its jobs have ended."""
        self._call(lib.drmaa2_jarray_reap)
