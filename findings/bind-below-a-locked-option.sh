#!/usr/bin/env bash
# Guess:  a bind mount that asks for more restrictions (nosuid, noexec) adds them to those that its source has. So it
#         works for any directory, in a user namespace as well, where restrictions may be added and not taken away.
# Fact:   runc 1.1 sets exactly the options that are named. If the source is on a mount with another one, nodev say, that
#         one would be taken away, and the kernel refuses: the container does not start, "operation not permitted". runc
#         1.3 tries again with what the source has.
# Matters: /tmp is a tmpfs with nodev on Debian 13, and homes are often mounted so. Whoever runs containers without root
#         there gets an error that speaks of the file, which is his own and may be written. Without any option, or with
#         all that the source has, the same mount is made.
#
# Seen:   runc 1.1.5, 1.1.15:  nosuid, noexec below nodev: operation not permitted [1];  with nodev: data [0];  none: data [0]
#         runc 1.3.6:  data [0], data [0], data [0]
set -euo pipefail
# shellcheck source=findings/lib/runtimes.sh
. "$(dirname "$0")/lib/runtimes.sh"
need_root
# Mounts of a namespace of its own; in the one of a user below it they are locked.
if [ -z "${FINDING_INSIDE:-}" ]; then
    rm -rf "$WORK"
    exec env FINDING_INSIDE=yes unshare --mount --propagation private -- bash "$(realpath "$0")"
fi
NAMES=(runc-1.1.5 runc-1.1.15 runc-1.3.6)
get_runtimes "${NAMES[@]}"
for name in "${NAMES[@]}"; do
    printf '#!/bin/sh\nexec unshare --user --map-root-user --mount -- %s "$@"\n' \
        "$(cat "$WORK/state.$name/runtime")" >"$WORK/$name"
    chmod +x "$WORK/$name"
    echo "$WORK/$name" >"$WORK/state.$name/runtime"
done
mkdir "$WORK/locked"
mount -t tmpfs -o nodev tmpfs "$WORK/locked"
echo data >"$WORK/locked/file"

# bound NAME OPTION...: what a container reads of the file that is bound with these options.
bound() {
    local name=$1 options
    shift
    options=$(printf '"%s", ' bind "$@")
    spec '.process.args = ["cat", "/place"]' \
        '.mounts += [{"destination": "/place", "type": "bind", "source": "'"$WORK"'/locked/file", "options": ['"${options%, }"']}]'
    outcome "$name" | sed -E 's/.*(operation not permitted|Operation not permitted).*\[/operation not permitted [/'
}
for name in "${NAMES[@]}"; do
    case $name in
    runc-1.1.*) fewer="operation not permitted [1]" ;;
    *) fewer="data [0]" ;;
    esac
    for case in "$fewer|nosuid noexec" "data [0]|nosuid noexec nodev" "data [0]|"; do
        # shellcheck disable=SC2086 # words
        expect "$name, options ${case#*|}" "${case%|*}" "$(bound "$name" ${case#*|})"
    done
done
verdict
