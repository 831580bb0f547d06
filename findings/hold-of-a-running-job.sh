#!/usr/bin/env bash
# Guess:  to hold a job that runs is an error.
# Fact:   `scontrol hold` succeeds, the job runs on and is shown with the reason of a held one; if it is ever requeued,
#         it stays held.
# Matters: who asks whether a hold came in time must look at the state, not at the answer; and a job that was requeued
#         after the loss of its node never runs again, for a hold that everybody has forgotten.
#
# Seen (22.05.8, 24.11.5, 26.05.5): 0, RUNNING JobHeldAdmin; after a requeue PENDING JobHeldAdmin
set -euo pipefail
# shellcheck source=findings/lib/slurm.sh
. "$(dirname "$0")/lib/slurm.sh"
clusters "${ALL_OF_SLURM[@]}"
for version in "${ALL_OF_SLURM[@]}"; do
    JOB=$(submit "$version" "sleep 60")
    within 30 becomes "$version" "$JOB" JobState RUNNING
    STATUS=0
    slurm "$version" scontrol hold "$JOB" || STATUS=$?
    expect "$version: held" "0, RUNNING JobHeldAdmin" \
        "$STATUS, $(field "$version" "$JOB" JobState) $(field "$version" "$JOB" Reason)"
    slurm "$version" scontrol requeue "$JOB"
    within 60 becomes "$version" "$JOB" JobState PENDING
    expect "$version: requeued" JobHeldAdmin "$(field "$version" "$JOB" Reason)"
done
verdict
