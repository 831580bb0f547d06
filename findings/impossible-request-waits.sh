#!/usr/bin/env bash
# Guess:  a job that asks for more processors than the partition has is refused, or waits, in each version alike.
# Fact:   by default 22.05 and 26.05 accept it, and it waits for ever with the reason PartitionConfig; 24.11 refuses it.
#         One that asks for more memory than any node has is refused by all.
# Matters: "submitted" does not mean "can run": a workflow waits for a job that never starts, and the same script
#         fails at once on a cluster with another version.
#
# Seen:   1000 tasks on 8 processors: 22.05.8, 26.05.5: PENDING PartitionConfig; 24.11.5: refused
#         999 GiB on a node with 8 GB: refused by all three
set -euo pipefail
# shellcheck source=findings/lib/slurm.sh
. "$(dirname "$0")/lib/slurm.sh"
clusters "${ALL_OF_SLURM[@]}"
declare -A SEEN=([22.05]="PENDING PartitionConfig" [24.11]=refused [26.05]="PENDING PartitionConfig")
for version in "${ALL_OF_SLURM[@]}"; do
    GOT=refused
    if JOB=$(submit "$version" true --ntasks=1000 2>/dev/null); then
        GOT="$(field "$version" "$JOB" JobState) $(field "$version" "$JOB" Reason)"
    fi
    expect "$version: processors" "${SEEN[$version]}" "$GOT"
    if submit "$version" true --mem=999G >/dev/null 2>&1; then GOT=accepted; else GOT=refused; fi
    expect "$version: memory" refused "$GOT"
done
verdict
