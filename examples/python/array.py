"""A job array: the same command for several indices, two at a time, and who was through first.

array.py IMAGE
"""

import sys

from drmaa2 import JobSession, JobTemplate


def main(image: str) -> int:
    template = JobTemplate(job_category=image, remote_command="/bin/sh", args=["-c", "exit $TASK_ID"])
    with JobSession() as session:
        array = session.run_bulk_jobs(template, 1, 6, max_parallel=2)
        waiting = set(array)
        while waiting:
            job = session.wait_any_terminated(waiting)
            waiting.remove(job)
            print(f"{job.id}: exit status {job.get_info().exit_status}")
        session.destroy()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
