#!/usr/bin/env bash
# Guess:  SIGKILL ends a paused container.
# Fact:   on control groups v1 `runc kill ID KILL` thaws the container, and it ends. `crun kill` succeeds
#         too, but the container stays paused, and its process frozen, until somebody resumes it; `delete`
#         refuses meanwhile.
# Matters: a job that was suspended and is then terminated keeps its memory and its slot for ever under one
#         of the runtimes, although every call has succeeded.
#
# Seen (control groups v1):
#         runc 1.1.15, 1.3.6:            pause 0, kill 0, then stopped
#         crun 1.8.1, 1.21, 1.28:        pause 0, kill 0, then paused; after resume it is gone
#         crun delete while it is paused: the container `finding` is not in `created` or `stopped` state [1]
set -euo pipefail
# shellcheck source=findings/lib/runtimes.sh
. "$(dirname "$0")/lib/runtimes.sh"
need_root
need_cgroup_v1
hide_unified_cgroup
NAMES=(runc-1.1.15 runc-1.3.6 crun-1.8.1 crun-1.21 crun-1.28)
get_runtimes "${NAMES[@]}"
spec '.process.args = ["sleep", "60"]'

# alive PID: neither gone nor waiting for its parent only.
alive() { grep -qs '^State:.[^Z]' "/proc/$1/status"; }
# shellcheck disable=SC2317
dead() { ! alive "$1"; }
for name in "${NAMES[@]}"; do
    runtime "$name" create finding >"$WORK/output" 2>&1
    runtime "$name" start finding
    PROCESS=$(runtime "$name" state finding | jq .pid)
    PAUSE=0 KILL=0
    runtime "$name" pause finding || PAUSE=$?
    runtime "$name" kill finding KILL || KILL=$?
    case $name in
    runc-*)
        within 10 dead "$PROCESS"
        expect "$name" "pause 0, kill 0, then stopped" "pause $PAUSE, kill $KILL, then $(runtime "$name" state finding | jq -r .status)"
        ;;
    crun-*)
        sleep 2
        alive "$PROCESS" && STATE=frozen || STATE=gone
        expect "$name" "pause 0, kill 0, then paused frozen" \
            "pause $PAUSE, kill $KILL, then $(runtime "$name" state finding | jq -r .status) $STATE"
        # shellcheck disable=SC2016
        expect "$name, delete" 'the container `finding` is not in `created` or `stopped` state' \
            "$(runtime "$name" delete finding 2>&1 || true)"
        runtime "$name" resume finding
        within 10 dead "$PROCESS"
        ;;
    esac
    runtime "$name" delete --force finding
done
verdict
