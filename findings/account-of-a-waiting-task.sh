#!/usr/bin/env bash
# Guess:  sacct --jobs 8_2 tells what has become of task 2 of array 8, as squeue does.
# Fact:   of tasks that were cancelled together before they began it tells nothing; there is one line for all of them, 8_[0-3],
#         that only --jobs 8 shows. Tasks that have begun are found.
# Matters: who asks for the tasks that it has submitted, one by one, takes the cancelled ones for unknown.
#
# Seen (22.05.8, 24.11.5, 26.05.5), a held array of four, cancelled:
#         by task: nothing; by array: N_[0-3]|CANCELLED by 0
set -euo pipefail
# shellcheck source=findings/lib/slurm.sh
. "$(dirname "$0")/lib/slurm.sh"

# account VERSION JOB: what sacct tells of it.
account() { slurm "$1" sacct --noheader --parsable2 --allocations --format=JobID,State --jobs="$2"; }

# 22.05 tells for some seconds that it is no array.
# shellcheck disable=SC2317 # It is called by within.
has_ended() { [[ $(account "$1" "$2") == *_*CANCELLED* ]]; }

clusters_with_accounting "${ALL_OF_SLURM[@]}"
for version in "${ALL_OF_SLURM[@]}"; do
    JOB=$(submit "$version" true --array=0-3 --hold)
    slurm "$version" scancel "$JOB"
    within 30 has_ended "$version" "$JOB"
    expect "$version: by array" "${JOB}_[0-3]|CANCELLED by 0" "$(account "$version" "$JOB")"
    expect "$version: by task" nothing "$(account "$version" "${JOB}_2" | grep . || echo nothing)"
done
verdict
