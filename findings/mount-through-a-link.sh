#!/usr/bin/env bash
# Guess:  where the destination of a mount leads through a link in an earlier mount, all runtimes follow it
#         alike: a directory on the way that is missing is created, as for any other destination.
# Fact:   runc follows the link inside of the root file system and creates what is missing there. crun
#         refuses: no such file or directory. Without the link both create it.
# Matters: a data set with a link such as `latest -> /sets/3` in it works as a mount's place with one runtime and
#         not with the other, and the message names only the destination, not the link.
#
# Seen:   runc 1.1.15, 1.3.6:  data [0]
#         crun 1.21, 1.28:     creating `/set/latest/file`: openat2 `set/latest`: No such file or directory [1]
set -euo pipefail
# shellcheck source=findings/lib/runtimes.sh
. "$(dirname "$0")/lib/runtimes.sh"
need_root
hide_unified_cgroup
NAMES=(runc-1.1.15 runc-1.3.6 crun-1.21 crun-1.28)
get_runtimes "${NAMES[@]}"
mkdir "$WORK/set"
echo data >"$WORK/file"
ln -s /sets/3 "$WORK/set/latest"
bind() { echo '.mounts += [{"destination": "'"$1"'", "type": "bind", "source": "'"$2"'", "options": ["bind"]}]'; }
for name in "${NAMES[@]}"; do
    spec '.process.args = ["cat", "/sets/4/file"]' "$(bind /sets/4/file "$WORK/file")"
    expect "$name, without a link" "data [0]" "$(outcome "$name")"
    spec '.process.args = ["cat", "/sets/3/file"]' "$(bind /set "$WORK/set")" "$(bind /set/latest/file "$WORK/file")"
    case $name in
    runc-*) expect "$name" "data [0]" "$(outcome "$name")" ;;
    crun-*) expect "$name" "set/latest\`: No such file or directory [1]" "$(outcome "$name" | sed 's/.*openat2 `//')" ;;
    esac
    rm -rf "$BUNDLE/rootfs/sets" "$BUNDLE/rootfs/set"
done
verdict
