#!/usr/bin/env bash
# Guess:  a process whose program is given by an absolute path, `/bin/true`, needs no PATH in its environment: there is
#         nothing to look up.
# Fact:   runc and crun run it. youki refuses to make the container, and says that PATH is missing.
# Matters: an image without PATH in its configuration, as builders make them of a single static program, and a job that
#         clears its environment, run under two of three runtimes.
#
# Seen, for `/bin/busybox true` with an empty environment:
#         runc 1.1.15, 1.3.6, crun 1.21, 1.28    [0]
#         youki 0.7.0                            create refused, its message names PATH [255]
set -euo pipefail
# shellcheck source=findings/lib/runtimes.sh
. "$(dirname "$0")/lib/runtimes.sh"
need_root
hide_unified_cgroup
NAMES=(runc-1.1.15 runc-1.3.6 crun-1.21 crun-1.28)
get_runtimes "${NAMES[@]}"
get_youki 0.7.0
spec '.process.args = ["/bin/busybox", "true"]' '.process.env = []'
for name in "${NAMES[@]}"; do
    expect "$name" "[0]" "$(outcome "$name")"
done
expect "youki-0.7.0" "PATH [255]" "$(outcome youki-0.7.0 | sed -E 's/^.*(PATH).*( \[[0-9]+\])$/\1\2/')"
spec '.process.args = ["/bin/busybox", "true"]' '.process.env = ["PATH=/nowhere"]'
expect "youki-0.7.0, any PATH" "[0]" "$(outcome youki-0.7.0)"
verdict
