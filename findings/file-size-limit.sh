#!/usr/bin/env bash
# Guess:  a resource limit of the process (`rlimits`) holds for the user's process only.
# Fact:   crun sets the limits on itself before it has set the container up. With RLIMIT_FSIZE 0 ("this job
#         writes no files") it cannot write to the control group's files and fails, and its message is lost where standard error is a file; runc
#         runs the job.
#         runc 1.3 in turn needs more than RLIMIT_NPROC 1 and 2 for a user that has no process at all: the
#         threads of its own init count when it executes the command.
# Matters: a limit that is valid for the job makes the start fail, in words that speak of control groups or
#         of missing resources, and only under some runtimes.
#
# Seen:   FSIZE 0            runc 1.1.15, 1.3.6: ran [0]
#                            crun 1.8.1: writing file `.../cgroup.procs`: File too large [1]
#                            crun 1.21:  write file `.../cgroup.procs`: File too large [1]
#                            crun 1.28:  write to `.../cgroup.procs`: File too large [1]
#         NPROC 1, own user  runc 1.1.15, crun 1.28: ran [0]
#                            runc 1.3.6:  exec /bin/echo: resource temporarily unavailable [255]
set -euo pipefail
# shellcheck source=findings/lib/runtimes.sh
. "$(dirname "$0")/lib/runtimes.sh"
need_root
hide_unified_cgroup
get_runtimes runc-1.1.15 runc-1.3.6 crun-1.8.1 crun-1.21 crun-1.28
spec '.process.args = ["echo", "ran"]' '.process.rlimits = [{"type": "RLIMIT_FSIZE", "soft": 0, "hard": 0}]'
for name in runc-1.1.15 runc-1.3.6; do expect "$name, no files" "ran [0]" "$(outcome "$name")"; done
for name in crun-1.8.1 crun-1.21 crun-1.28; do
    expect "$name, no files" "cgroup.procs: File too large [1]" \
        "$(outcome "$name" | sed -E 's,.*/(cgroup.procs)`,\1,')"
done

# A user that nobody else is.
spec '.process.args = ["echo", "ran"]' '.process.user = {"uid": 2147480001, "gid": 2147480001}' \
    '.process.rlimits = [{"type": "RLIMIT_NPROC", "soft": 1, "hard": 1}]'
expect "runc-1.1.15, one process" "ran [0]" "$(outcome runc-1.1.15)"
expect "runc-1.3.6, one process" "exec /bin/echo: resource temporarily unavailable [255]" "$(outcome runc-1.3.6)"
expect "crun-1.28, one process" "ran [0]" "$(outcome crun-1.28)"
verdict
