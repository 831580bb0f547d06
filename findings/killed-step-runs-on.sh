#!/usr/bin/env bash
# Guess:  when the process that supervises a job on its node dies, the job is over: failed, or lost.
# Fact:   the script runs on without it and ends, and the controller goes on to say RUNNING, with the node occupied;
#         a restart of slurmd on the node does not change that at once either.
# Matters: a wait for the job does not return although its work is done, its exit code is nowhere, and if the job is
#         requeued later it runs a second time. What has run, and how it ended, must be noted by the job itself.
#
# Seen (22.05.8, 24.11.5, 26.05.5): the script has ended, RUNNING 0:0 ten seconds later and after the restart
set -euo pipefail
# shellcheck source=findings/lib/slurm.sh
. "$(dirname "$0")/lib/slurm.sh"
need pgrep
clusters "${ALL_OF_SLURM[@]}"
for version in "${ALL_OF_SLURM[@]}"; do
    NOTES=$WORK/notes-$version
    JOB=$(submit "$version" "echo begun >>$NOTES; sleep 5; echo ended >>$NOTES; exit 4" --comment="$WORK")
    within 30 test -s "$NOTES"
    # The one whose cluster this is: others may have the same number.
    for pid in $(pgrep -f "^slurmstepd: \[$JOB\.batch\]"); do
        [ "$(readlink "/proc/$pid/cwd")" != "$WORK/cluster-$version" ] || kill -KILL "$pid"
    done
    within 30 grep -q ended "$NOTES"
    sleep 10
    expect "$version" "RUNNING 0:0" "$(field "$version" "$JOB" JobState) $(field "$version" "$JOB" ExitCode)"
    cluster "$version" kill n1
    cluster "$version" start 1
    expect "$version: after a restart of slurmd" "RUNNING, begun once" \
        "$(field "$version" "$JOB" JobState), begun $(grep -c begun "$NOTES" | sed 's/^1$/once/')"
done
verdict
