#!/usr/bin/env bash
# Guess:  a command that cannot be executed makes `create` fail, as a missing one does, or ends with 126.
# Fact:   a script without an interpreter line, or one with an interpreter that the image lacks, passes
#         `create` and `start`; the failure is then the *container's* exit status: 1 from runc up to 1.1 and
#         from crun, 255 from runc 1.3. The reason goes to the container's standard error only.
# Matters: to every client (containerd tells the same) the job has run and has failed by itself; nothing
#         but a line in the job's own output says that it never did, and the status depends on the version.
#
# Seen:   runc 1.1.15  create [0], start [0]; exec /bin/script: exec format error [1]
#         runc 1.3.6   create [0], start [0]; exec /bin/script: exec format error [255]
#         crun 1.28    exec container process `/bin/script`: Exec format error [1]
#         runc 1.1.15  a missing command: create [1]
set -euo pipefail
# shellcheck source=findings/lib/runtimes.sh
. "$(dirname "$0")/lib/runtimes.sh"
need_root
hide_unified_cgroup
get_runtimes runc-1.1.15 runc-1.3.6 crun-1.28
echo 'echo no interpreter line' >"$BUNDLE/rootfs/bin/script"
printf '#!/bin/nosuch\n' >"$BUNDLE/rootfs/bin/other"
chmod 755 "$BUNDLE/rootfs/bin/script" "$BUNDLE/rootfs/bin/other"

steps() {
    local create=0 start=0
    runtime "$1" create finding >"$WORK/output" 2>&1 || create=$?
    [ $create != 0 ] || runtime "$1" start finding || start=$?
    runtime "$1" delete --force finding >/dev/null 2>&1 || true
    echo "create $create, start $start"
}
for name in runc-1.1.15 runc-1.3.6 crun-1.28; do
    spec '.process.args = ["/bin/script"]'
    expect "$name, no interpreter line" "create 0, start 0" "$(steps "$name")"
    spec '.process.args = ["/bin/nosuch"]'
    expect "$name, missing command" "create 1, start 0" "$(steps "$name")"
done
spec '.process.args = ["/bin/script"]'
expect runc-1.1.15 "exec /bin/script: exec format error [1]" "$(outcome runc-1.1.15)"
expect runc-1.3.6 "exec /bin/script: exec format error [255]" "$(outcome runc-1.3.6)"
# shellcheck disable=SC2016
expect crun-1.28 'exec container process `/bin/script`: Exec format error [1]' "$(outcome crun-1.28)"
spec '.process.args = ["/bin/other"]'
expect "runc-1.3.6, missing interpreter" "exec /bin/other: no such file or directory [255]" "$(outcome runc-1.3.6)"
verdict
