#!/usr/bin/env bash
# Guess:  when the client of a Tasks.Create goes away, containerd ends what it had begun for it, at the latest when it
#         starts the next time.
# Fact:   1.6 gives up on the shim after ten seconds. If the runtime needs longer, the shim may stay, unknown to Get and
#         List: what is still asked of it then, to delete the container and to end, comes in either order. No restart
#         finds it, since the directory of the task is gone. Another Create of that id finds it by its socket; one that
#         must fail, since its root file system does not exist, makes containerd end it. 1.7 and 2.1 leave none here.
# Matters: on a slow disk or a loaded machine a client that dies leaves a process for good. Who removes the container
#         then can never reach it again.
#
# Seen, with a runtime that waits 12 s before `create`, of eight whose client has gone:
#         1.6.20: 8 are left, after a restart 8, after another Create 0;   1.7.24, 2.1.9: none
set -euo pipefail
# shellcheck source=findings/lib/containerd.sh
. "$(dirname "$0")/lib/containerd.sh"
daemons 1.6 1.7 2.1

# A runtime that takes its time to create.
slow() {
    local suite=${SUITE[$1]}
    printf '#!/bin/sh\nfor word; do [ "$word" != create ] || sleep 12; done\nexec %s "$@"\n' \
        "$(tool "$suite" runc)" >"$WORK/slow-$1"
    chmod +x "$WORK/slow-$1"
}

some() { if [ "$1" = 0 ]; then echo none; else echo some; fi; }
same() { if [ "$1" = "$2" ]; then echo as many; else echo "$2"; fi; }
shims() { pgrep -fc -- "-shim.*-namespace finding-$$-$1 " || true; }

for version in 1.6 1.7 2.1; do
    slow "$version"
    python "$version" "$WORK/slow-$version" <<'END'
options = message((1, "containerd.runc.v1.Options"), (2, message((6, sys.argv[1]))))
rootfs = message((1, "bind"), (2, daemon.rootfs), (4, "rbind"), (4, "rw"))
create = daemon.channel.unary_unary("/containerd.services.tasks.v1.Tasks/Create", bytes, bytes)
calls = []
for id in (f"job{number}" for number in range(8)):
    daemon.container(id, ["true"])
    request = message((1, id), (3, rootfs), (5, "/dev/null"), (6, "/dev/null"), (9, options))
    calls.append(create.future(request, metadata=daemon.metadata(None)))
time.sleep(2)
for call in calls:
    call.cancel()
END
done
sleep 28
declare -A WAS=([1.6]=some [1.7]=none [2.1]=none)
for version in 1.6 1.7 2.1; do
    LEFT=$(shims "$version")
    kill_daemon "$version"
    start_daemon "$version"
    AGAIN=$(shims "$version")
    python "$version" <<'END'
rootfs = message((1, "bind"), (2, "/nonexistent"), (4, "rbind"))
for number in range(8):
    daemon("tasks.v1.Tasks/Create", (1, f"job{number}"), (3, rootfs), (5, "/dev/null"), (6, "/dev/null"))
END
    # A shim ends after the answer.
    sleep 2
    echo "$version: $LEFT of 8 are left"
    expect "$version" "${WAS[$version]} are left; after a restart as many; after another Create 0" \
        "$(some "$LEFT") are left; after a restart $(same "$LEFT" "$AGAIN"); after another Create $(shims "$version")"
done
verdict
