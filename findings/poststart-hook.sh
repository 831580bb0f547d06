#!/usr/bin/env bash
# Guess:  a `poststart` hook runs after the user's process has started, as the OCI runtime specification
#         wants it (between the start of that process and the return of the start operation), and a failure
#         of it has one outcome.
# Fact:   runc runs it at the end of `create`, before anybody has called `start`; crun runs it in `start`.
#         A failing hook makes `create` fail in runc, so that the job never runs; crun up to 1.21 says
#         nothing and goes on; crun 1.28 has run the process and then fails.
# Matters: a hook that registers a running job (accounting, monitoring, licences) sees jobs that never
#         start, and a broken hook loses every job or none, depending on the runtime.
#
# Seen:   runc 1.1.5, 1.1.15, 1.3.6:  hook,created,process,started
#         crun 1.8.1, 1.21, 1.28:     created,process,hook,started
set -euo pipefail
# shellcheck source=findings/lib/runtimes.sh
. "$(dirname "$0")/lib/runtimes.sh"
need_root
hide_unified_cgroup
NAMES=(runc-1.1.5 runc-1.1.15 runc-1.3.6 crun-1.8.1 crun-1.21 crun-1.28)
get_runtimes "${NAMES[@]}"

touch "$WORK/log"
LOG='.mounts += [{"destination": "/log", "type": "bind", "source": "'$WORK'/log", "options": ["bind"]}]'
order() {
    spec '.process.args = ["sh", "-c", "echo process >>/log"]' "$LOG" \
        '.hooks.poststart = [{"path": "/bin/sh", "args": ["sh", "-c", "cat >/dev/null; echo hook >>'"$WORK"'/log"]}]'
    : >"$WORK/log"
    runtime "$1" create finding >"$WORK/output" 2>&1
    echo created >>"$WORK/log"
    runtime "$1" start finding
    # The process of crun is started while the hook runs.
    within 10 grep -q process "$WORK/log"
    echo started >>"$WORK/log"
    runtime "$1" delete --force finding
    paste -sd, "$WORK/log"
}
for name in "${NAMES[@]}"; do
    case $name in
    runc-*) expect "$name, order" hook,created,process,started "$(order "$name")" ;;
    crun-*) expect "$name, hook is after create" created "$(order "$name" | cut -d, -f1)" ;;
    esac
done

spec '.process.args = ["echo", "ran"]' '.hooks.poststart = [{"path": "/bin/false", "args": ["false"]}]'
expect "runc-1.1.15, failing hook" \
    '"runc run failed: error running hook #0: error running hook: exit status 1, stdout: , stderr: " [1]' "$(outcome runc-1.1.15)"
expect "runc-1.3.6, failing hook" \
    '"runc run failed: error running poststart hook #0: exit status 1, stdout: , stderr: " [1]' "$(outcome runc-1.3.6)"
expect "crun-1.21, failing hook" "ran [0]" "$(outcome crun-1.21)"
GOT=$(outcome crun-1.28)
expect "crun-1.28, failing hook, status" "[255]" "[${GOT##*[}"
verdict
