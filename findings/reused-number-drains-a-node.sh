#!/usr/bin/env bash
# Guess:  a job that the controller forgets in a crash is lost at worst; jobs that are submitted afterwards run.
# Fact:   the next job gets the forgotten job's number. If it is sent to the node on which the forgotten job still runs,
#         before that has ended, the node refuses it, the new job is CANCELLED without having run (JobRequeue off), and
#         the node is drained with the reason "Duplicate jobid", until an administrator resumes it.
# Matters: a crash of seconds cancels jobs of users that were submitted after it, and takes nodes away for good; the job
#         looks as if its user had cancelled it.
#
# Seen (22.05.8, 24.11.5, 26.05.5): the second job has the number of the first and is CANCELLED, and the node is drained
set -euo pipefail
# shellcheck source=findings/lib/slurm.sh
. "$(dirname "$0")/lib/slurm.sh"
clusters "${ALL_OF_SLURM[@]}"
for version in "${ALL_OF_SLURM[@]}"; do
    # After a quiet time the state is written at once, and then not again for some seconds.
    submit "$version" true --hold >/dev/null
    sleep 1
    # It takes its time when it is told to end, which the controller does to what it does not know.
    FORGOTTEN=$(submit "$version" "trap '' TERM; sleep 300" --no-requeue)
    within 4 becomes "$version" "$FORGOTTEN" JobState RUNNING
    cluster "$version" kill slurmctld
    cluster "$version" start 1
    NEXT=$(submit "$version" true --no-requeue)
    expect "$version: the number of the next job" "$FORGOTTEN" "$NEXT"
    within 60 becomes "$version" "$NEXT" JobState CANCELLED || true
    expect "$version: the next job" CANCELLED "$(field "$version" "$NEXT" JobState)"
    STATE=$(slurm "$version" sinfo --noheader --format %T)
    expect "$version: its node" drain "${STATE:0:5}"
done
verdict
