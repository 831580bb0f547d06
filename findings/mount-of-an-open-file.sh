#!/usr/bin/env bash
# Guess:  /proc/PID/fd/N as the source of a mount gives the container the open file, whatever has become of its name, as
#         the same path does wherever else a runtime or a shim opens it. The process is in the machine's own namespace
#         of mounts, and so is the runtime.
# Fact:   both runtimes fail: invalid argument. They mount from within the container's copy of the namespace, and the
#         kernel takes no file for a source that was opened in another one. The message does not say so.
# Matters: a service that opens a user's files with the user's rights, and has root's runtime mount what it has
#         opened, can not pass a descriptor. It has to give each file a name by a mount of its own first.
#
# Seen:   runc 1.1.15, 1.3.6, crun 1.21, 1.28:  by name: data [0];  by descriptor: invalid argument [1]
set -euo pipefail
# shellcheck source=findings/lib/runtimes.sh
. "$(dirname "$0")/lib/runtimes.sh"
need_root
hide_unified_cgroup
NAMES=(runc-1.1.15 runc-1.3.6 crun-1.21 crun-1.28)
get_runtimes "${NAMES[@]}"
echo data >"$WORK/file"
exec 8<"$WORK/file"
bind() { echo '.mounts += [{"destination": "/place", "type": "bind", "source": "'"$1"'", "options": ["bind"]}]'; }
for name in "${NAMES[@]}"; do
    spec '.process.args = ["cat", "/place"]' "$(bind "$WORK/file")"
    expect "$name, by name" "data [0]" "$(outcome "$name")"
    spec '.process.args = ["cat", "/place"]' "$(bind "/proc/$$/fd/8")"
    expect "$name, by descriptor" "invalid argument [1]" \
        "$(outcome "$name" | tr -d '"' | sed 's/.*: \([Ii]nvalid argument\)/\1/; s/^I/i/')"
    # The descriptor itself is good.
    expect "$name, its descriptor" data "$(cat "/proc/$$/fd/8")"
done
verdict
