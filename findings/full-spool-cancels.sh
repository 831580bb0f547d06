#!/usr/bin/env bash
# Guess:  a batch job whose node cannot start it, because the disk of slurmd's spool directory is full, fails with a reason,
#         or waits for another node.
# Fact:   with --no-requeue it is CANCELLED with the exit code 0:0, as if its user had called scancel before it ran. With
#         --requeue it is held, and stays so; and slurmd takes its node out of service.
# Matters: a program that believes the state tells its user that somebody has cancelled a job, which in truth never ran for a
#         full disk; and one that trusts Slurm to start a job that may be requeued waits for ever.
#
# Seen (22.05.8, 24.11.5, 26.05.5): not to be requeued: CANCELLED 0:0; to be requeued: PENDING, held; the node: DRAIN
set -euo pipefail
# shellcheck source=findings/lib/slurm.sh
. "$(dirname "$0")/lib/slurm.sh"

# start_with_small_spool VERSION: a cluster with one node, whose spool directory has a disk of its own.
start_with_small_spool() {
    get_slurm "$1"
    CLUSTERS+=("$1")
    mkdir -p "$WORK/cluster-$1/spool/n1"
    # shellcheck disable=SC2016 # for the shell that has the mounts of the daemons
    with_slurm "$1" sh -c 'mount -t tmpfs -o size=128k,mode=755 tmpfs "$1" && exec "$2" start "$3" 1' sh \
        "$WORK/cluster-$1/spool/n1" "$CLUSTER_SCRIPT" "$WORK/cluster-$1" >&2
}

# fill VERSION: that disk, as its slurmd sees it.
fill() {
    # shellcheck disable=SC2016
    nsenter --target "$(cat "$WORK/cluster-$1/n1.pid")" --mount sh -c 'cat /dev/zero >"$1/fill" 2>/dev/null || true' sh \
        "$WORK/cluster-$1/spool/n1"
}

# shellcheck disable=SC2317 # within calls them
{
    is_held() { [[ $(field "$1" "$2" Reason) == *equeued?held* ]]; }
    is_drained() { [[ $(slurm "$1" sinfo --noheader --format=%T 2>/dev/null) == drain* ]]; }
}

for version in "${ALL_OF_SLURM[@]}"; do
    start_with_small_spool "$version"
    fill "$version"
    JOB=$(submit "$version" true --no-requeue)
    within 60 becomes "$version" "$JOB" JobState CANCELLED
    expect "$version: not to be requeued" "CANCELLED 0:0" \
        "$(field "$version" "$JOB" JobState) $(field "$version" "$JOB" ExitCode)"
    slurm "$version" scontrol update NodeName=n1 State=RESUME 2>/dev/null || true
    JOB=$(submit "$version" true --requeue)
    within 60 is_held "$version" "$JOB"
    expect "$version: to be requeued" PENDING "$(field "$version" "$JOB" JobState)"
    within 60 is_drained "$version"
    expect "$version: the node is drained" yes "$(is_drained "$version" && echo yes)"
done
verdict
