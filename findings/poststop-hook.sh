#!/usr/bin/env bash
# Guess:  a failing `poststop` hook is logged and nothing else: the OCI runtime specification wants the
#         lifecycle to go on as if the hook had succeeded.
# Fact:   in runc 1.3 `delete` fails with exit status 1, although the container is gone (the state directory
#         too); runc 1.1 and crun succeed. containerd 2 hands this on: the first Tasks.Delete is an error.
# Matters: a job service that takes a failed deletion for "still there" tries again and finds nothing, or
#         reports a job as broken that has ended well.
#
# Seen:   runc 1.1.15  delete: [0]   runc 1.3.6  delete: unable to destroy container: error running
#         poststop hook #0: exit status 1 [1], then: container does not exist [1]   crun 1.28  delete: [0]
set -euo pipefail
# shellcheck source=findings/lib/runtimes.sh
. "$(dirname "$0")/lib/runtimes.sh"
need_root
hide_unified_cgroup
get_runtimes runc-1.1.15 runc-1.3.6 crun-1.28
spec '.process.args = ["true"]' '.hooks.poststop = [{"path": "/bin/false", "args": ["false"]}]'

# shellcheck disable=SC2317
stopped() { [ "$(runtime "$1" state finding | jq -r .status)" = stopped ]; }
deleted() {
    local status=0
    runtime "$1" create finding >"$WORK/output" 2>&1
    runtime "$1" start finding
    within 10 stopped "$1"
    runtime "$1" delete finding >"$WORK/output" 2>&1 || status=$?
    echo "$status, then $(find "$WORK/state.$1" -mindepth 1 -maxdepth 1 -type d | wc -l) left"
}
expect "runc-1.1.15, delete" "0, then 0 left" "$(deleted runc-1.1.15)"
expect "runc-1.3.6, delete" "1, then 0 left" "$(deleted runc-1.3.6)"
GOT=$(sed 's/.*msg=//' "$WORK/output")
expect "runc-1.3.6, words" \
    '"unable to destroy container: error running poststop hook #0: exit status 1, stdout: , stderr: "' "$GOT"
spec '.process.args = ["echo", "ran"]' '.hooks.poststop = [{"path": "/bin/false", "args": ["false"]}]'
GOT=$(outcome crun-1.28)
expect "crun-1.28, run" "ran poststop hook failed with exit code: 1 [0]" "$GOT"
verdict
