"""A first job: run a command in a container, wait for it, and print how it ended.

    quickstart.py IMAGE OUTPUT_FILE

IMAGE is a job category: an image that containerd has, or a category of the configuration.
OUTPUT_FILE is an absolute path on this machine; the job's standard output goes there.
"""

import sys
from pathlib import Path

from drmaa2 import Drmaa2Exception, JobSession, JobState, JobTemplate

SCRIPT = 'echo "hello from job $DRMAA2_JOB_ID"; uname -s -m; echo "$GREETING"'


def describe(image: str, output: Path) -> JobTemplate:
    """What the job is to run, in which image, with which files and variables."""
    return JobTemplate(
        job_name="quickstart",
        job_category=image,
        remote_command="/bin/sh",
        args=["-c", SCRIPT],
        job_environment={"GREETING": "this text came through the environment"},
        output_path=output,
        join_files=True,
    )


def run(session: JobSession, image: str, output: Path) -> bool:
    """Submit, wait, print, and forget the job."""
    job = session.run_job(describe(image, output))
    job.wait_terminated(60)
    info = job.get_info()
    print(f"job            {info.job_id}")
    print(f"submitted      {info.submission_time}")
    print(f"started        {info.dispatch_time}")
    print(f"finished       {info.finish_time}")
    print(f"wall clock     {info.wallclock_time}")
    print(f"CPU time       {info.cpu_time}")
    if info.terminating_signal:
        print(f"signal         {info.terminating_signal}")
    if info.annotation:
        print(f"reason         {info.annotation}")
    done = info.job_state == JobState.DONE
    if done:
        print(f"output         {output}")
        print("".join(f"    {line}\n" for line in output.read_text().splitlines()), end="")
    print(f"{'DONE' if done else 'FAILED'}, exit status {info.exit_status}")
    job.reap()
    return done


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print("usage: quickstart.py IMAGE OUTPUT_FILE", file=sys.stderr)
        return 2
    try:
        with JobSession("quickstart") as session:
            try:
                done = run(session, arguments[0], Path(arguments[1]))
            finally:
                session.destroy()
    except Drmaa2Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
