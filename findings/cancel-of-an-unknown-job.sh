#!/usr/bin/env bash
# Guess:  to cancel a job that does not exist is an error.
# Fact:   `scancel` of an unknown number says nothing and exits with 0; with `--signal` the same number is an error.
# Matters: a typing error, or a job that the controller has forgotten, looks like a job that was cancelled; a script
#         that goes on to remove its files removes those of a job that runs under another number.
#
# Seen (22.05.8, 24.11.5, 26.05.5): scancel: 0, nothing said; scancel --signal=TERM: 1, "Invalid job id specified"
set -euo pipefail
# shellcheck source=findings/lib/slurm.sh
. "$(dirname "$0")/lib/slurm.sh"
clusters "${ALL_OF_SLURM[@]}"
for version in "${ALL_OF_SLURM[@]}"; do
    STATUS=0
    SAID=$(slurm "$version" scancel 999999 2>&1) || STATUS=$?
    expect "$version: scancel" "0, nothing" "$STATUS, ${SAID:-nothing}"
    STATUS=0
    SAID=$(slurm "$version" scancel --signal=TERM 999999 2>&1) || STATUS=$?
    expect "$version: scancel --signal" "1, Invalid job id specified" "$STATUS, ${SAID##*: }"
done
verdict
