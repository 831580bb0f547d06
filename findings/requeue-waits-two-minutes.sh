#!/usr/bin/env bash
# Guess:  a job that is requeued on an idle cluster runs again at once.
# Fact:   it may not start before some two minutes have passed, whatever is free; the reason that is shown is BeginTime,
#         as for a job that was submitted for a later time.
# Matters: a checkpointed job that is requeued every hour loses two minutes each time, a test of a requeue seems to
#         hang, and "it waits for its start time" is no answer for a user who has set none.
#
# Seen (22.05.8, 24.11.5, 26.05.5): PENDING BeginTime, eligible 100 to 140 s later
set -euo pipefail
# shellcheck source=findings/lib/slurm.sh
. "$(dirname "$0")/lib/slurm.sh"
clusters "${ALL_OF_SLURM[@]}"
for version in "${ALL_OF_SLURM[@]}"; do
    JOB=$(submit "$version" "sleep 60")
    within 30 becomes "$version" "$JOB" JobState RUNNING
    BEGUN=$(date +%s)
    slurm "$version" scontrol requeue "$JOB"
    within 60 becomes "$version" "$JOB" Reason BeginTime
    LATER=$(($(date -d "$(field "$version" "$JOB" EligibleTime)" +%s) - BEGUN))
    if [ $LATER -ge 100 ] && [ $LATER -le 140 ]; then LATER="100 to 140 s later"; fi
    expect "$version" "PENDING, eligible 100 to 140 s later" "$(field "$version" "$JOB" JobState), eligible $LATER"
done
verdict
