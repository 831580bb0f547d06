#!/usr/bin/env bash
# Guess:  in a container with a network namespace of its own, 127.0.0.1 can be reached, whichever runtime has made it.
# Fact:   runc and crun set the loopback interface up. youki leaves it as the kernel makes it, down. The specification of
#         OCI says nothing of it.
# Matters: a job without a network still speaks to itself: MPI, Java, Python's multiprocessing, a test and its server. Under
#         youki the same image and the same specification fail with "Network is unreachable".
#
# Seen, for a connection to a port of 127.0.0.1 that nobody listens on:
#         runc 1.1.15, 1.3.6, crun 1.21, 1.28    Connection refused
#         youki 0.7.0                            Network is unreachable
set -euo pipefail
# shellcheck source=findings/lib/runtimes.sh
. "$(dirname "$0")/lib/runtimes.sh"
need_root
hide_unified_cgroup
NAMES=(runc-1.1.15 runc-1.3.6 crun-1.21 crun-1.28)
get_runtimes "${NAMES[@]}"
get_youki 0.7.0
spec '.process.args = ["busybox", "nc", "127.0.0.1", "9"]'
for name in "${NAMES[@]}" youki-0.7.0; do
    case $name in
    youki-*) expected="Network is unreachable" ;;
    *) expected="Connection refused" ;;
    esac
    expect "$name" "$expected" "$(outcome "$name" | sed -E 's/^.*\(127.0.0.1\): //; s/ *\[1\]$//')"
done
verdict
