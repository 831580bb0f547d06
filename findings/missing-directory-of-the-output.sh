#!/usr/bin/env bash
# Guess:  an output file in a directory that does not exist fails the job in a way that says so, in each version.
# Fact:   22.05 does not run the script and ends it as FAILED with ExitCode 0:53, which reads as "signal 53"; 24.11 and
#         later make the directory, and its parents.
# Matters: ExitCode's second number is not always a signal, so a tool that takes it for one tells users nonsense; and a
#         typing error in a path is either a lost job or a new tree of directories, by version.
#
# Seen:   22.05.8: FAILED 0:53, no directory
#         24.11.5, 26.05.5: COMPLETED 0:0, the directory is there
set -euo pipefail
# shellcheck source=findings/lib/slurm.sh
. "$(dirname "$0")/lib/slurm.sh"
clusters "${ALL_OF_SLURM[@]}"
declare -A SEEN=([22.05]="FAILED 0:53, missing" [24.11]="COMPLETED 0:0, made" [26.05]="COMPLETED 0:0, made")
for version in "${ALL_OF_SLURM[@]}"; do
    DIR=$WORK/missing-$version/parent
    JOB=$(submit "$version" true --output="$DIR/out")
    # shellcheck disable=SC2317 # It is called by within.
    has_ended() { [[ $(field "$version" "$JOB" JobState) =~ ^(COMPLETED|FAILED)$ ]]; }
    within 30 has_ended
    GOT="$(field "$version" "$JOB" JobState) $(field "$version" "$JOB" ExitCode)"
    if [ -d "$DIR" ]; then GOT+=", made"; else GOT+=", missing"; fi
    expect "$version" "${SEEN[$version]}" "$GOT"
done
verdict
