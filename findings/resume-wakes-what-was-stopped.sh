#!/usr/bin/env bash
# Guess:  `scontrol suspend` and `resume` leave a job as it was: a process that the job has stopped itself, before, is
#         stopped afterwards.
# Fact:   it runs: Slurm continues every process of the job.
# Matters: a job that stops a part of itself, as a debugger, a shell with job control or a checkpoint does, goes on with it
#         because an administrator, or a gang schedule, has suspended the job in between.
#
# Seen (22.05.8, 24.11.5, 26.05.5): before T, suspended T, resumed Z: it has run to its end
set -euo pipefail
# shellcheck source=findings/lib/slurm.sh
. "$(dirname "$0")/lib/slurm.sh"
clusters "${ALL_OF_SLURM[@]}"

# letter VERSION: the kernel's letter for the process that has stopped itself; nothing if it is gone.
letter() { sed 's/.*) \(.\).*/\1/' "/proc/$(cat "$WORK/pid.$1")/stat" 2>/dev/null || true; }
# shellcheck disable=SC2317 # within calls it
is() { [ "$(letter "$1")" = "$2" ]; }
# shellcheck disable=SC2317
is_noted() { [ -s "$WORK/pid.$1" ]; }

for version in "${ALL_OF_SLURM[@]}"; do
    JOB=$(submit "$version" "sh -c 'echo \$\$ >$WORK/pid.$version; kill -STOP \$\$' & exec sleep 60")
    within 30 is_noted "$version"
    within 30 is "$version" T
    expect "$version: before" T "$(letter "$version")"
    slurm "$version" scontrol suspend "$JOB"
    within 30 becomes "$version" "$JOB" JobState SUSPENDED
    # Slurm stops it some time after it says so.
    sleep 4
    expect "$version: suspended" T "$(letter "$version")"
    slurm "$version" scontrol resume "$JOB"
    within 30 becomes "$version" "$JOB" JobState RUNNING
    within 30 is "$version" Z
    expect "$version: resumed" Z "$(letter "$version")"
    slurm "$version" scancel "$JOB"
done
verdict
