#!/usr/bin/env bash
# Guess:  a requeued job whose start is brought forward, by `scontrol update StartTime=now`, runs again.
# Fact:   its node refuses it if that is the second in which its first run has ended: the end has revoked the credential of
#         the job, and seconds are compared. The controller then takes the job for over: FAILED, NonZeroExitCode, 1:0. It
#         has not run again, and is not queued again, although that was asked for. 26.05 runs it.
# Matters: whoever does not want to wait for the two minutes after a requeue has, now and then, a job that has failed with
#         an exit code of 1 that it has never returned, and which --requeue does not bring back.
#
# Seen: 22.05.8 and 24.11.5: some of ten FAILED 1:0 after one run; 26.05.5: all of ten COMPLETED after two
set -euo pipefail
# shellcheck source=findings/lib/slurm.sh
. "$(dirname "$0")/lib/slurm.sh"

# next_second: it has just begun.
next_second() { sleep "0.$(printf '%09d' $((1000000000 - 10#$(date +%N))))"; }

# shellcheck disable=SC2317 # within calls it
is_over() { [[ $(field "$1" "$2" JobState) == @(COMPLETED|FAILED) ]]; }

clusters "${ALL_OF_SLURM[@]}"
for version in "${ALL_OF_SLURM[@]}"; do
    SEEN=
    for try in 1 2 3 4 5 6 7 8 9 10; do
        RUNS=$WORK/runs-$version-$try
        JOB=$(submit "$version" "echo run >>$RUNS; [ \$(wc -l <$RUNS) = 2 ] || exec sleep 60" --requeue)
        within 30 test -s "$RUNS"
        next_second
        slurm "$version" scontrol requeue "$JOB"
        within 60 becomes "$version" "$JOB" Reason BeginTime
        slurm "$version" scontrol update "JobId=$JOB" StartTime=now
        within 60 is_over "$version" "$JOB"
        SEEN+="$(field "$version" "$JOB" JobState) $(field "$version" "$JOB" ExitCode), runs: $(wc -l <"$RUNS")"$'\n'
    done
    SEEN=$(sort -u <<<"${SEEN%$'\n'}" | paste -sd '|')
    if [ "$version" = 26.05 ]; then
        expect "$version: all" "COMPLETED 0:0, runs: 2" "$SEEN"
    else
        expect "$version: some of ten" "FAILED 1:0, runs: 1" "${SEEN#*|}"
    fi
done
verdict
