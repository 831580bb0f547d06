#!/usr/bin/env bash
# Guess:  `squeue --states=all` shows a job that was cancelled while it waited, like any other that has ended, for as long
#         as the controller keeps it (MinJobAge).
# Fact:   so it does, but not for a task of a job array: one that is cancelled alone while it waits is not shown from that
#         moment on, under any state. Cancelled together, all of them are shown.
# Matters: a program that asks for the states of its tasks cannot tell such a task from one that the controller has
#         forgotten in a crash, and may submit it again, though its user has cancelled it.
#
# Seen (22.05.8, 24.11.5, 26.05.5): a job: CANCELLED; one of three tasks: not shown; all three: CANCELLED each
set -euo pipefail
# shellcheck source=findings/lib/slurm.sh
. "$(dirname "$0")/lib/slurm.sh"
clusters "${ALL_OF_SLURM[@]}"

# shown VERSION JOB: task and state of each line.
shown() {
    slurm "$1" squeue --noheader --array --states=all --jobs="$2" --format='%K %T' | sort | tr '\n' ';'
}

for version in "${ALL_OF_SLURM[@]}"; do
    JOB=$(submit "$version" true --hold)
    slurm "$version" scancel "$JOB"
    within 30 becomes "$version" "$JOB" JobState CANCELLED
    expect "$version: a job" "N/A CANCELLED;" "$(shown "$version" "$JOB")"
    JOB=$(submit "$version" true --hold --array=0-2)
    slurm "$version" scancel "${JOB}_1"
    expect "$version: one of three tasks" "0 PENDING;2 PENDING;" "$(shown "$version" "$JOB")"
    JOB=$(submit "$version" true --hold --array=0-2)
    slurm "$version" scancel "$JOB"
    within 30 becomes "$version" "$JOB" JobState CANCELLED
    expect "$version: all three" "0 CANCELLED;1 CANCELLED;2 CANCELLED;" "$(shown "$version" "$JOB")"
done
verdict
