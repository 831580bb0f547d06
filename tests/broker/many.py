"""Many jobs of one user, for a process that may be ended at any time: run again, it goes on.

many.py SESSION COUNT SLOTS IMAGE DIRECTORY SHARED

Half of the jobs are one array. Each writes its number to DIRECTORY/ran, which tells how often it ran, and ends with a status
by its number. While it runs it has a file in SHARED, as those of other users have: there are never more than SLOTS.
"""

import sys
import threading
from collections import Counter
from pathlib import Path

from drmaa2 import (
    InvalidArgument,
    Job,
    JobSession,
    JobState,
    JobTemplate,
    Notification,
    register_event_notification,
)

ENDS = (JobState.DONE, JobState.FAILED)
# Seconds for the last callbacks to come.
PATIENCE = 60


class Told:
    """The ends that the callback was told."""

    def __init__(self) -> None:
        self.ends: Counter[str] = Counter()
        self.changed = threading.Condition()

    def __call__(self, notification: Notification) -> None:
        if notification.job_state in ENDS and notification.job_id is not None:
            with self.changed:
                self.ends[notification.job_id] += 1
                self.changed.notify_all()

    def wait(self, jobs: set[str]) -> None:
        with self.changed:
            if not self.changed.wait_for(lambda: jobs <= self.ends.keys(), PATIENCE):
                sys.exit(f"no callback told the end of {len(jobs - self.ends.keys())} of {len(jobs)} jobs")


def opened(name: str) -> JobSession:
    for make in (JobSession.open, JobSession):
        try:
            return make(name)
        except InvalidArgument:
            pass
    # It was made by a call whose answer was lost.
    return JobSession.open(name)


class Jobs:
    """The templates of the jobs."""

    def __init__(self, session: str, image: str, directory: Path, shared: Path) -> None:
        self.session, self.image = session, image
        self.mounts = f"{directory}:/log,{shared}:/shared"

    def template(self, number: str, name: str) -> JobTemplate:
        """One whose number the shell finds by this expression."""
        script = (
            f"n=$(({number})); echo $n >>/log/ran; mine=/shared/{self.session}.$n; : >$mine; "
            "ls /shared | wc -l >>/log/most; rm $mine; exit $((n % 7))"
        )
        return JobTemplate(
            job_category=self.image,
            remote_command="/bin/sh",
            args=["-c", script],
            job_name=name,
            implementation_specific={"containerd_jt_mounts": self.mounts},
        )


def numbers(path: Path) -> list[int]:
    return sorted(int(line) for line in path.read_text().split())


def main(name: str, count: int, slots: int, image: str, directory: Path, shared: Path) -> int:
    told, single, new = Told(), count // 2, Jobs(name, image, directory, shared)
    register_event_notification(told)
    with opened(name) as session:
        jobs: dict[int, Job] = {}
        for job in session:
            _, dot, index = job.id.rpartition(".")
            jobs[single + int(index) - 1 if dot else int(job.get_info().job_name or "")] = job
        before = set(jobs)
        if single not in jobs:
            array = session.run_bulk_jobs(new.template(f"TASK_ID + {single - 1}", "array"), 1, count - single)
            jobs.update({single + place: job for place, job in enumerate(array)})
        for number in (number for number in range(single) if number not in jobs):
            jobs[number] = session.run_job(new.template(str(number), str(number)))
        session.wait_all_terminated(jobs.values())
        told.wait({job.id for number, job in jobs.items() if number not in before})
        often = {job: times for job, times in told.ends.items() if times != 1}
        if often:
            sys.exit(f"callbacks told an end more than once: {often}")
        for number, job in sorted(jobs.items()):
            info = job.get_info()
            expected = (JobState.FAILED if number % 7 else JobState.DONE, number % 7)
            if (info.job_state, info.exit_status) != expected:
                sys.exit(f"job {number}: {info.job_state} with {info.exit_status}, not {expected}: {info.annotation}")
        ran, most = numbers(directory / "ran"), numbers(directory / "most")[-1]
        if ran != list(range(count)):
            twice = [number for number, times in Counter(ran).items() if times > 1]
            sys.exit(f"{len(ran)} of {count} ran; more than once: {twice}; never: {set(range(count)) - set(ran)}")
        if most > slots:
            sys.exit(f"{most} jobs ran at one time, in {slots} slots")
        session.destroy()
    print(f"{count} jobs ran once each, {len(before)} of them submitted by an earlier process")
    return 0


if __name__ == "__main__":
    session, count, slots, image, *places = sys.argv[1:]
    sys.exit(main(session, int(count), int(slots), image, *map(Path, places)))
