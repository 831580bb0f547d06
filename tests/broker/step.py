"""What the broker of a node does to jobs of a cluster: their containers are below their steps.

step.py IMAGE PLACE BROKER...

PLACE/broker.pid is that of the broker, which is started anew by the command BROKER.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from drmaa2 import JobSession, JobState, JobTemplate

IMAGE, PLACE = sys.argv[1], Path(sys.argv[2])
BROKER = sys.argv[3:]
# Nothing here takes so long unless it hangs.
LONG = 60


def template(script: str, **more: object) -> JobTemplate:
    return JobTemplate(remote_command="sh", args=["-c", script], job_category=IMAGE, **more)


def check(holds: bool, what: object) -> None:
    if not holds:
        sys.exit(f"step.py: {what}")


def eventually(what: str, holds: object) -> None:
    deadline = time.monotonic() + LONG
    while not holds():
        check(time.monotonic() < deadline, what)
        time.sleep(0.05)


def kill_broker() -> None:
    os.kill(int((PLACE / "broker.pid").read_text()), signal.SIGKILL)
    (PLACE / "broker.sock").unlink(missing_ok=True)


def start_broker() -> None:
    with (PLACE / "broker.log").open("ab") as log:
        broker = subprocess.Popen(BROKER, stdout=log, stderr=log, start_new_session=True)
    (PLACE / "broker.pid").write_text(f"{broker.pid}\n")
    eventually("the broker listens", (PLACE / "broker.sock").exists)


def groups() -> list[str]:
    """The control groups of the containers."""
    # Others come and go meanwhile.
    return [group for group, _, _ in os.walk("/sys/fs/cgroup") if "/drmaa2-step-" in group]


def processes(words: str) -> list[int]:
    found = subprocess.run(["pgrep", "-f", words], stdout=subprocess.PIPE, text=True, check=False)
    return [int(pid) for pid in found.stdout.split()]


def main() -> None:
    session = JobSession("steps")
    out = PLACE / "out"

    # It is below its step, as whose limits hold: memory that is more than what Slurm gives is not there.
    job = session.run_job(template("sleep 60"))
    job.wait_started(LONG)
    eventually("it has a group", groups)
    check(all("/step_batch/" in group for group in groups()), groups())
    job.terminate()
    job.wait_terminated(LONG)
    eventually("its groups go with it", lambda: not groups())
    small = template("head -c 150m /dev/zero | tail -c 149m | wc -c", min_phys_memory=40 << 10, output_path=str(out))
    job = session.run_job(small)
    job.wait_terminated(LONG)
    check(out.read_text().strip() != str(149 << 20), "a job had more memory than it was given")

    # A broker that is killed leaves the jobs alone, and the next one sees to their containers.
    go = PLACE / "go"
    job = session.run_job(template("until test -e /place/go; do sleep 0.1; done; exit 7", implementation_specific=mounts()))
    job.wait_started(LONG)
    eventually("it has a group", groups)
    kill_broker()
    check(job.get_state()[0] == JobState.RUNNING, job.get_state())
    start_broker()
    go.touch()
    job.wait_terminated(LONG)
    info = job.get_info()
    check(info.exit_status == 7, info)
    eventually("its groups go with it", lambda: not groups())

    # Nothing survives the batch script, be it the job or a broker that was not there.
    for killed in (False, True):
        job = session.run_job(template("sleep 4361 & exec sleep 4361"))
        job.wait_started(LONG)
        eventually("both run", lambda: len(processes("^sleep 4361")) == 2)
        if killed:
            kill_broker()
        for pid in processes(f"drmaa2-node .*{PLACE}"):
            os.kill(pid, signal.SIGKILL)
        job.wait_terminated(LONG)
        check(job.get_state()[0] == JobState.FAILED, job.get_state())
        if killed:
            start_broker()
        eventually("nothing runs", lambda: not processes("^sleep 4361"))
        eventually("its groups go with it", lambda: not groups())

    # Without a broker the job says so.
    kill_broker()
    job = session.run_job(template("true"))
    job.wait_terminated(LONG)
    said = job.get_info().annotation
    check(f"the broker at {PLACE}/broker.sock: No such file or directory" in said, said)
    start_broker()
    session.destroy()


def mounts() -> dict[str, str]:
    return {"containerd_jt_mounts": f"{PLACE}:/place"}


main()
