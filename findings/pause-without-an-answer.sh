#!/usr/bin/env bash
# Guess:  when containerd dies while it pauses a container, the container is paused or it runs, and after the restart it
#         can be resumed or paused.
# Fact:   if the runtime had frozen it by then, it stays frozen, containerd says that it runs, and refuses both: its
#         shim will resume only what it has paused itself, and the runtime will not pause what is paused. The runtime
#         itself says "paused", and can resume it; so can a write to the freezer of its control group.
# Matters: a job that was suspended at that moment never ends, keeps its memory and its slot, and what manages it takes
#         it for running.
#
# Seen, with a runtime that takes two seconds to return from `pause`:
#         1.6.20, 1.7.24, 2.1.9:  RUNNING; `OCI runtime pause failed: container not running`;
#         `cannot resume a running process`; runc 1.1.15, 1.3.6: paused, resume 0, then running
set -euo pipefail
# shellcheck source=findings/lib/containerd.sh
. "$(dirname "$0")/lib/containerd.sh"
need jq
daemons 1.6 1.7 2.1

# A runtime that returns late when it has paused a container.
late() {
    cat >"$WORK/late-$1" <<END
#!/bin/sh
"$(tool "${SUITE[$1]}" runc)" "\$@"
result=\$?
for word; do [ "\$word" != pause ] || { : >"$WORK/paused-$1"; sleep 2; }; done
exit \$result
END
    chmod +x "$WORK/late-$1"
}

for version in 1.6 1.7 2.1; do
    late "$version"
    python "$version" "$WORK/late-$version" <<'END'
options = message((1, "containerd.runc.v1.Options"), (2, message((6, sys.argv[1]))))
daemon.container("job", ["sleep", "1000"])
rootfs = message((1, "bind"), (2, daemon.rootfs), (4, "rbind"), (4, "rw"))
daemon.task("Create", "job", (3, rootfs), (5, "/dev/null"), (6, "/dev/null"), (9, options))
daemon.task("Start", "job")
END
    python "$version" <<<'daemon.task("Pause", "job")' &
    PAUSE=$!
    PIDS+=("$PAUSE")
    within 20 test -e "$WORK/paused-$version"
    kill_daemon "$version"
    wait "$PAUSE" || true
    sleep 3
    start_daemon "$version"
    python "$version" >"$WORK/answers" <<'END'
print(daemon.state("job"))
for what in ("Pause", "Resume"):
    answer = daemon.task(what, "job")
    print(answer.removesuffix(": unknown") if isinstance(answer, str) else what + " is done")
print(daemon.state("job"))
END
    expect "$version, containerd" "RUNNING 0
UNKNOWN: OCI runtime pause failed: container not running
UNKNOWN: cannot resume a running process
RUNNING 0" "$(cat "$WORK/answers")"
    # The runtime by itself.
    runc() { "$(tool "${SUITE[$version]}" runc)" --root "/run/containerd/runc/finding-$$-$version" "$@"; }
    BEFORE=$(runc state job | jq -r .status) RESUME=0
    runc resume job || RESUME=$?
    expect "$version, runc" "paused, resume 0, then running" \
        "$BEFORE, resume $RESUME, then $(runc state job | jq -r .status)"
done
verdict
