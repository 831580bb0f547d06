#!/usr/bin/env bash
# Guess:  a memory limit is about the job: a process of some hundred kilobytes runs within 1 MB.
# Fact:   runc sets the limit while its own init, a Go program, is in the control group, so that 1 MB is
#         refused whatever the job is; the message names a "current usage" that no process of the job has.
#         crun runs the same job within 512 KB.
# Matters: a limit that worked with one runtime does not start with the other, and the peak memory that is
#         reported for small jobs is that of the runtime.
#
# Seen (control groups v1):
#         limit 1 MB   runc 1.1.5, 1.1.15, 1.3.6: ... unable to set memory limit to 1048576
#                      (current usage: N, peak usage: N) [1]       crun 1.8.1, 1.21, 1.28: ran [0]
set -euo pipefail
# shellcheck source=findings/lib/runtimes.sh
. "$(dirname "$0")/lib/runtimes.sh"
need_root
need_cgroup_v1
hide_unified_cgroup
get_runtimes runc-1.1.5 runc-1.1.15 runc-1.3.6 crun-1.8.1 crun-1.21 crun-1.28
spec '.process.args = ["echo", "ran"]' '.linux.resources.memory.limit = 1048576'
for name in runc-1.1.5 runc-1.1.15 runc-1.3.6; do
    GOT=$(outcome "$name")
    expect "$name, 1 MB" "unable to set memory limit to 1048576 (current usage: N, peak usage: N) [1]" \
        "$(sed -E 's/.*(unable to set memory.*\)).*/\1 [1]/; s/usage: [0-9]+/usage: N/g' <<<"$GOT")"
done
for name in crun-1.8.1 crun-1.21 crun-1.28; do expect "$name, 1 MB" "ran [0]" "$(outcome "$name")"; done
spec '.process.args = ["echo", "ran"]' '.linux.resources.memory.limit = 524288'
expect "crun-1.28, 512 KB" "ran [0]" "$(outcome crun-1.28)"
verdict
