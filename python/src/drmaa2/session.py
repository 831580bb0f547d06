"""Job sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import ClassVar, TypeVar

from ._memory import JOB_LIST, encode, lend_list, take_strings
from ._session import StoredSession
from ._time import Span, number_to_c
from ._wait import wait
from .constants import INFINITE_TIME
from .info import JobInfo
from .job import Job, JobArray, take_jobs
from .template import JobTemplate

T = TypeVar("T")


class JobSession(StoredSession):
    """A job session. Iterating gives its jobs.

    ``JobSession("name")`` creates one, ``JobSession.open("name")`` opens one that is there.
    """

    _kind: ClassVar[str] = "jsession"

    def run_job(self, template: JobTemplate) -> Job:
        """Submit a job. Returns once it is in the queue."""
        with template.lend() as jt:
            return Job.take(self._call("drmaa2_jsession_run_job", jt))

    def run_bulk_jobs(
        self,
        template: JobTemplate,
        begin_index: int,
        end_index: int,
        step: int = 1,
        max_parallel: int | None = None,
    ) -> JobArray:
        """Submit a job for each of the indices ``begin_index``, ``begin_index + step``, ... up to
        ``end_index``.

        :param max_parallel: at most so many jobs at a time; ``None`` for all
        """
        limit = -1 if max_parallel is None else max_parallel
        numbers = [number_to_c(number) for number in (begin_index, end_index, step, limit)]
        with template.lend() as jt:
            return JobArray.take(self._call("drmaa2_jsession_run_bulk_jobs", jt, *numbers))

    def get_jobs(self, filter: JobInfo | None = None) -> list[Job]:
        """The jobs that match a filter, in the order of their submission."""
        with ExitStack() as stack:
            info = None if filter is None else stack.enter_context(filter.lend())
            return take_jobs(self._call("drmaa2_jsession_get_jobs", info))

    def __iter__(self) -> Iterator[Job]:
        return iter(self.get_jobs())

    def get_job_array(self, id: str) -> JobArray:
        """A job array by its id."""
        return JobArray.take(self._call("drmaa2_jsession_get_job_array", encode(id)))

    def get_job_categories(self) -> list[str]:
        """The names that ``job_category`` of a template may have."""
        return take_strings(self._call("drmaa2_jsession_get_job_categories"))

    def wait_any_started(self, jobs: Iterable[Job], timeout: Span = INFINITE_TIME) -> Job:
        """Wait until one of several jobs has started, and return it; one that has ended counts as well.

        :raises Timeout: when the time is over
        """
        return self._wait("any_started", jobs, timeout, Job.take)

    def wait_any_terminated(self, jobs: Iterable[Job], timeout: Span = INFINITE_TIME) -> Job:
        """Wait until one of several jobs has ended, and return it.

        :raises Timeout: when the time is over
        """
        return self._wait("any_terminated", jobs, timeout, Job.take)

    def wait_all_started(self, jobs: Iterable[Job], timeout: Span = INFINITE_TIME) -> list[Job]:
        """Wait until all of several jobs have started, and return them; those that have ended count as well.

        :raises Timeout: when the time is over
        """
        return self._wait("all_started", jobs, timeout, take_jobs)

    def wait_all_terminated(self, jobs: Iterable[Job], timeout: Span = INFINITE_TIME) -> list[Job]:
        """Wait until all of several jobs have ended, and return them.

        :raises Timeout: when the time is over
        """
        return self._wait("all_terminated", jobs, timeout, take_jobs)

    def _wait(self, what: str, jobs: Iterable[Job], timeout: Span, take: Callable[[int], T]) -> T:
        wanted = list(jobs)

        def call(seconds: int) -> T:
            with lend_list(JOB_LIST, (job.lend() for job in wanted)) as handles:
                return take(self._call(f"drmaa2_jsession_wait_{what}", handles, seconds))

        return wait(call, timeout)
