#!/usr/bin/env bash
# Guess:  a tmpfs mount without a `mode` among its options has the mode of every new tmpfs, 1777.
# Fact:   runc and crun from 1.21 on give it the mode of the directory in the image. Only if the image has
#         none is it 1777; but then the runtime leaves the directory that it has made, of mode 755, in the
#         root file system, so that the second container there gets 755. crun 1.8 always gives 1777.
# Matters: the scratch directory of an ordinary user's job is writable with one image and not with another,
#         or in the first run and not in the second; only an explicit `mode=1777` is safe.
#
# Seen, as user 1000, twice in one root file system:
#         runc 1.1.5, 1.1.15, 1.3.6 (crun 1.21, 1.28 with 1755):
#           1777 [0]  then  755 touch: /scratch/x: Permission denied [1]
#         crun 1.8.1:
#           1777 [0]  then  1777 [0]
set -euo pipefail
# shellcheck source=findings/lib/runtimes.sh
. "$(dirname "$0")/lib/runtimes.sh"
need_root
hide_unified_cgroup
NAMES=(runc-1.1.5 runc-1.1.15 runc-1.3.6 crun-1.8.1 crun-1.21 crun-1.28)
get_runtimes "${NAMES[@]}"
spec '.process.args = ["sh", "-c", "exec 2>&1; stat -c %a /scratch; touch /scratch/x"]' \
    '.process.user = {"uid": 1000, "gid": 1000}' \
    '.mounts += [{"destination": "/scratch", "type": "tmpfs", "source": "tmpfs"}]'
for name in "${NAMES[@]}"; do
    SECOND="755 touch: /scratch/x: Permission denied [1]"
    case $name in
    crun-1.8.1) SECOND="1777 [0]" ;;
    crun-*) SECOND=1$SECOND ;;
    esac
    expect "$name, first" "1777 [0]" "$(outcome "$name")"
    expect "$name, second" "$SECOND" "$(outcome "$name")"
    rmdir "$BUNDLE/rootfs/scratch"
done
verdict
