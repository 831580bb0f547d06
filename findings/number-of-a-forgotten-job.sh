#!/usr/bin/env bash
# Guess:  a job that sbatch has given a number to survives the controller; a number names one job.
# Fact:   slurmctld writes its state every few seconds at most. If it dies in between, the job is unknown afterwards, and its
#         number is given to the next submission.
# Matters: who keeps the number alone then watches, cancels or counts another job, perhaps of another user. The number
#         has to be kept together with something of one's own, the comment for instance.
#
# Seen (22.05.8, 24.11.5, 26.05.5), two held jobs, one second apart, the controller killed at once and started again:
#         the second job: none; the next job: the same number, another comment
set -euo pipefail
# shellcheck source=findings/lib/slurm.sh
. "$(dirname "$0")/lib/slurm.sh"
clusters "${ALL_OF_SLURM[@]}"
for version in "${ALL_OF_SLURM[@]}"; do
    # After a quiet time the state is written at once, and then not again for some seconds.
    EARLIER=$(submit "$version" true --hold)
    sleep 1
    FIRST=$(submit "$version" true --hold --comment=first)
    cluster "$version" kill slurmctld
    cluster "$version" start 1
    STATE=$(field "$version" "$FIRST" JobState)
    NEXT=$(submit "$version" true --hold --comment=next)
    expect "$version" "none, then next" "${STATE:-none}, then $(field "$version" "$FIRST" Comment)"
    expect "$version: the next number" "$FIRST" "$NEXT"
    expect "$version: the job before" PENDING "$(field "$version" "$EARLIER" JobState)"
done
verdict
