#!/usr/bin/env bash
# Guess:  when containerd dies while it deletes a task, the task can be deleted after the restart, whichever runtime it
#         has: that there is nothing left to delete is success.
# Fact:   so it is with runc. If crun had deleted its container by then, the shim never ends: it takes only runc's words
#         "does not exist" for success, and crun says that it cannot open a directory. containerd 1.6 keeps the task and
#         answers every further Delete with that. 1.7 and 2 have forgotten it: Delete and Get find nothing, and Create
#         answers that it is there.
# Matters: jobs that have ended stay in `ctr tasks ls` for good, or keep their id though they are nowhere, each with a
#         shim of some 10 MB. Only killing the shim helps.
#
# Seen, with a runtime that takes two seconds to return from `delete`:
#         runc 1.1.5, 1.1.15, 1.3.6 below 1.6.20, 1.7.24, 2.1.9: deleted, or not found; no shim; another can be made
#         crun 1.8.1 below 1.6.20: UNKNOWN, twice the same; stopped; a shim
#         crun 1.21, 1.28 below 1.7.24, 2.1.9: not found; a shim; file exists
set -euo pipefail
# shellcheck source=findings/lib/containerd.sh
. "$(dirname "$0")/lib/containerd.sh"
hide_unified_cgroup
get_runtimes crun-1.8.1 crun-1.21 crun-1.28
daemons 1.6 1.7 2.1
declare -A CRUN_OF=([1.6]=crun-1.8.1 [1.7]=crun-1.21 [2.1]=crun-1.28)

# late VERSION RUNTIME: a runtime that returns late when it has deleted a container.
late() {
    local program
    case $2 in
    runc) program=$(tool "${SUITE[$1]}" runc) ;;
    crun) program=$(cat "$WORK/state.${CRUN_OF[$1]}/runtime") ;;
    esac
    cat >"$WORK/late-$1-$2" <<END
#!/bin/sh
"$program" "\$@"
result=\$?
for word; do [ "\$word" != delete ] || [ -e "$WORK/deleted-$1-$2" ] || { : >"$WORK/deleted-$1-$2"; sleep 2; }; done
exit \$result
END
    chmod +x "$WORK/late-$1-$2"
}

# shims VERSION RUNTIME: how many there are of the container.
shims() { pgrep -fc -- "-namespace finding-$$-$1 -id $2 " || true; }

for version in 1.6 1.7 2.1; do
    for name in runc crun; do
        late "$version" "$name"
        python "$version" "$WORK/late-$version-$name" "$name" <<'END'
options = message((1, "containerd.runc.v1.Options"), (2, message((6, sys.argv[1]))))
daemon.container(sys.argv[2], ["true"])
rootfs = message((1, "bind"), (2, daemon.rootfs), (4, "rbind"), (4, "rw"))
daemon.task("Create", sys.argv[2], (3, rootfs), (5, "/dev/null"), (6, "/dev/null"), (9, options))
daemon.task("Start", sys.argv[2])
daemon.ended(sys.argv[2])
END
        python "$version" "$name" <<<'daemon.task("Delete", sys.argv[1])' &
        DELETE=$!
        PIDS+=("$DELETE")
        within 20 test -e "$WORK/deleted-$version-$name"
        kill_daemon "$version"
        wait "$DELETE" || true
        sleep 3
        start_daemon "$version"
        python "$version" "$name" >"$WORK/answers" <<'END'
import re
def tell(answer):
    return re.sub(r".*cannot open directory.*: (.*): unknown", r"\1", answer) if isinstance(answer, str) else "done"
for what in ("Delete", "Delete", "Get"):
    print(what + ": " + (daemon.state(sys.argv[1]) if what == "Get" else tell(daemon.task(what, sys.argv[1]))))
END
        echo "shims: $(shims "$version" "$name")" >>"$WORK/answers"
        python "$version" "$name" >>"$WORK/answers" <<'END'
answer = daemon.create(sys.argv[1])
print("Create: " + (answer.split(": ", 1)[1].split(": unknown")[0].split(": ")[-1] if isinstance(answer, str) else "done"))
END
        gone="NOT_FOUND: task $name not found"
        case $version-$name in
        1.6-runc) expected="Delete: done|Delete: $gone|Get: $gone|shims: 0|Create: done" ;;
        1.6-crun)
            expected="Delete: No such file or directory|Delete: No such file or directory|Get: STOPPED 0|shims: 1|Create: already exists"
            ;;
        *-runc) expected="Delete: $gone|Delete: $gone|Get: $gone|shims: 0|Create: done" ;;
        *-crun) expected="Delete: $gone|Delete: $gone|Get: $gone|shims: 1|Create: file exists" ;;
        esac
        expect "$version, $name" "$expected" "$(paste -s -d'|' "$WORK/answers")"
    done
done
verdict
