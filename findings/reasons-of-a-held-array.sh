#!/usr/bin/env bash
# Guess:  `squeue` has a line for those tasks of an array that wait for the same reason: its line is "task, task, reason".
# Fact:   all tasks that wait are one line, whatever each waits for, with all their reasons in it: after one of three held
#         tasks was released, the line is "0-2 JobHeldUser,BeginTime", and does not say which is which.
# Matters: a program that reads a held task from this line takes the released one for held, or all three for released.
#         `squeue --array` tells the reason of each.
#
# Seen (22.05.8, 24.11.5, 26.05.5): together: 0-2 JobHeldUser,BeginTime; with --array: 0 JobHeldUser, 1 BeginTime,
#       2 JobHeldUser (None in place of BeginTime at first)
set -euo pipefail
# shellcheck source=findings/lib/slurm.sh
. "$(dirname "$0")/lib/slurm.sh"
clusters "${ALL_OF_SLURM[@]}"

# shown VERSION JOB [OPTION]: task and reason of each line. What was released waits for its time; Slurm finds that out later.
shown() {
    slurm "$1" squeue --noheader --jobs="$2" --format='%K %r' "${@:3}" | sort | sed -E 's/None|BeginTime/its time/' |
        tr '\n' ';'
}

for version in "${ALL_OF_SLURM[@]}"; do
    JOB=$(submit "$version" true --hold --begin=now+1hour --array=0-2)
    slurm "$version" scontrol release "${JOB}_1"
    expect "$version: together" "0-2 JobHeldUser,its time;" "$(shown "$version" "$JOB")"
    expect "$version: alone" "0 JobHeldUser;1 its time;2 JobHeldUser;" "$(shown "$version" "$JOB" --array)"
done
verdict
