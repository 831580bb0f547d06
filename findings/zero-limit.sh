#!/usr/bin/env bash
# Guess:  0 as a memory limit means the same to every runtime.
# Fact:   to runc 0 is "not set": the container runs without a limit, and `swap: 0`, which reads as
#         "no swap", leaves memory and swap together unlimited. crun writes the 0: with `limit: 0` the
#         container does not start ("OOM: the memory limit could be too low"), with `swap: 0` neither.
# Matters: a default of 0 in a job's description is harmless under one runtime and stops every job under
#         the other; a job that was to have no swap gets all of it, without a word.
#
# Seen (control groups v1):
#         limit 0           runc 1.1.15, 1.3.6: 9223372036854771712 [0]
#                           crun 1.21: OOM: the memory limit could be too low: read from sync socket: ... [1]
#         limit 64m, swap 0 runc 1.1.15, 1.3.6: memsw 9223372036854771712 [0]
#                           crun 1.21: write file `memory.memsw.limit_in_bytes`: Invalid argument [1]
set -euo pipefail
# shellcheck source=findings/lib/runtimes.sh
. "$(dirname "$0")/lib/runtimes.sh"
need_root
need_cgroup_v1
hide_unified_cgroup
get_runtimes runc-1.1.15 runc-1.3.6 crun-1.21
UNLIMITED="9223372036854771712 [0]"
read_group() {
    spec ".process.args = [\"cat\", \"/group/finding-$$/$1\"]" ".linux.cgroupsPath = \"/finding-$$\"" \
        '.mounts += [{"destination": "/group", "type": "bind", "source": "/sys/fs/cgroup/memory", "options": ["rbind", "ro"]}]' \
        ".linux.resources.memory = $2"
}

read_group memory.limit_in_bytes '{"limit": 0}'
expect "runc-1.1.15, limit 0" "$UNLIMITED" "$(outcome runc-1.1.15)"
expect "runc-1.3.6, limit 0" "$UNLIMITED" "$(outcome runc-1.3.6)"
expect "crun-1.21, limit 0" "OOM: the memory limit could be too low" "$(outcome crun-1.21 | cut -d: -f1,2)"

if [ -e /sys/fs/cgroup/memory/memory.memsw.limit_in_bytes ]; then
    read_group memory.memsw.limit_in_bytes '{"limit": 67108864, "swap": 0}'
    expect "runc-1.1.15, swap 0" "$UNLIMITED" "$(outcome runc-1.1.15)"
    expect "runc-1.3.6, swap 0" "$UNLIMITED" "$(outcome runc-1.3.6)"
    # shellcheck disable=SC2016
    expect "crun-1.21, swap 0" 'write file `memory.memsw.limit_in_bytes`: Invalid argument [1]' "$(outcome crun-1.21)"
fi
verdict
