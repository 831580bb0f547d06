#!/usr/bin/env bash
# Guess:  a job whose working directory is not there on the node fails.
# Fact:   it runs in /tmp, and is COMPLETED.
# Matters: relative names lead to files in /tmp of the node: results are lost with success, and two jobs that use the
#         same names write into each other's files. The controller goes on to show the directory that was asked for.
#
# Seen (22.05.8, 24.11.5, 26.05.5): COMPLETED 0:0, ran in /tmp
set -euo pipefail
# shellcheck source=findings/lib/slurm.sh
. "$(dirname "$0")/lib/slurm.sh"
clusters "${ALL_OF_SLURM[@]}"
for version in "${ALL_OF_SLURM[@]}"; do
    JOB=$(submit "$version" "pwd >$WORK/place-$version" --chdir="$WORK/missing-$version")
    within 30 becomes "$version" "$JOB" JobState COMPLETED
    expect "$version" "0:0, ran in /tmp" "$(field "$version" "$JOB" ExitCode), ran in $(cat "$WORK/place-$version")"
    expect "$version: shown" "$WORK/missing-$version" "$(field "$version" "$JOB" WorkDir)"
done
verdict
