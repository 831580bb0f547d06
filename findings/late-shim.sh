#!/usr/bin/env bash
# Guess:  when the shim of a task does not answer, Get waits for it, or fails with a code that says so; List says at least
#         that something is missing.
# Fact:   after two seconds both succeed. Get tells the state UNKNOWN, the pid 0 and the exit status 0; the same in List,
#         which asks one shim after the other, so that three that are late take six seconds. A moment later all is as
#         before. Only calls that change something wait longer, or for ever.
# Matters: on a machine that is short of CPU or memory, a running job has for a moment the pid 0: who sends it a signal
#         by kill(2) hits his own process group, who looks for /proc/0 takes the job for gone, and a table of tasks
#         comes late by two seconds for each.
#
# Seen, with shims that are stopped as a loaded machine might stop them:
#         1.6.20, 1.7.24, 2.1.9:  Get: UNKNOWN, pid 0, exit status 0 after 2 s; List of three: the same after 6 s;
#         afterwards RUNNING
set -euo pipefail
# shellcheck source=findings/lib/containerd.sh
. "$(dirname "$0")/lib/containerd.sh"
daemons 1.6 1.7 2.1

for version in 1.6 1.7 2.1; do
    python "$version" >"$WORK/answers" <<'END'
import os, signal

def look(process):
    fields = parse(process)
    return f"{STATES[fields.get(4, [0])[0]]} pid {'0' if fields.get(3, [0])[0] == 0 else 'N'} exit {fields.get(9, [0])[0]}"

def timed(what, call):
    begun = time.monotonic()
    answer = call()
    seconds = round(time.monotonic() - begun)
    if isinstance(answer, str):
        print(f"{what}: {answer} after {seconds} s")
    else:
        print(f"{what}: {', '.join(look(process) for process in answer[1])} after {seconds} s")

jobs = ["job1", "job2", "job3"]
shims = set()
for job in jobs:
    daemon.run(job, ["sleep", "1000"])
    pid = parse(daemon.task("Get", job)[1][0])[3][0]
    status = open(f"/proc/{pid}/status").read()
    shims.add(int(status.split("PPid:")[1].split()[0]))
assert len(shims) == 3
for shim in shims:
    os.kill(shim, signal.SIGSTOP)
try:
    timed("Get", lambda: daemon.task("Get", "job1"))
    timed("List", lambda: daemon("tasks.v1.Tasks/List"))
finally:
    for shim in shims:
        os.kill(shim, signal.SIGCONT)
timed("Get", lambda: daemon.task("Get", "job1"))
for job in jobs:
    daemon.task("Kill", job, (3, 9))
    daemon.ended(job)
    daemon.task("Delete", job)
END
    expect "$version" "Get: UNKNOWN pid 0 exit 0 after 2 s
List: UNKNOWN pid 0 exit 0, UNKNOWN pid 0 exit 0, UNKNOWN pid 0 exit 0 after 6 s
Get: RUNNING pid N exit 0 after 0 s" "$(cat "$WORK/answers")"
done
verdict
