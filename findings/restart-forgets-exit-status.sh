#!/usr/bin/env bash
# Guess:  the exit status of a task is kept until somebody deletes the task, over a restart of the daemon
#         too; its documentation says that containers live on through a restart.
# Fact:   containerd 1.6 keeps it. From 1.7 on, the daemon removes stopped tasks as it starts, those that it
#         had already shown as STOPPED and those that ended while it was down: Get and Wait answer NOT_FOUND.
#         Running tasks are found again by all.
# Matters: after an update of the package (which restarts the daemon) the result of every job that was
#         not yet fetched is lost; a job needs its own record of how it ended.
#
# Seen:   1.6.20  before STOPPED 7, after STOPPED 7, ended meanwhile STOPPED 8, still running RUNNING 0
#         1.7.24, 2.1.9  before STOPPED 7, after NOT_FOUND, ended meanwhile NOT_FOUND, still running RUNNING 0
set -euo pipefail
# shellcheck source=findings/lib/containerd.sh
. "$(dirname "$0")/lib/containerd.sh"
daemons 1.6 1.7 2.1
for version in 1.6 1.7 2.1; do
    BEFORE=$(python "$version" <<'END'
daemon.run("ended", ["sh", "-c", "exit 7"])
daemon.ended("ended")
daemon.run("meanwhile", ["sh", "-c", "sleep 3; exit 8"])
daemon.run("running", ["sleep", "600"])
print(daemon.state("ended"))
END
)
    kill_daemon "$version"
    sleep 4
    start_daemon "$version"
    AFTER=$(python "$version" <<'END'
print(", ".join(daemon.state(id).split(":")[0] for id in ("ended", "meanwhile", "running")))
END
)
    expect "$version, before" "STOPPED 7" "$BEFORE"
    case $version in
    1.6) expect "$version, after" "STOPPED 7, STOPPED 8, RUNNING 0" "$AFTER" ;;
    *) expect "$version, after" "NOT_FOUND, NOT_FOUND, RUNNING 0" "$AFTER" ;;
    esac
done
verdict
