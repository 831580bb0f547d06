#!/usr/bin/env bash
# Guess:  Containers.Delete refuses while the container's task runs, as the clients' libraries do; or ends it.
# Fact:   it succeeds. The process runs on; Tasks.List still shows it, but Get and Kill say that the
#         container is not found. A new container of the same id, for any other command, takes over the old
#         process: its task is RUNNING at once, and its Create is refused.
# Matters: a clean-up in the wrong order makes processes that nobody can end, and the next job of that
#         name reports the state and the exit status of the old one as its own.
#
# Seen (1.6.20, 1.7.24, 2.1.9):
#         deleted; get: NOT_FOUND: container "job": not found; listed: 1
#         new container, command `true`: RUNNING 0; create: ALREADY_EXISTS: task job: already exists;
#         after a kill: STOPPED 137
set -euo pipefail
# shellcheck source=findings/lib/containerd.sh
. "$(dirname "$0")/lib/containerd.sh"
daemons 1.6 1.7 2.1
for version in 1.6 1.7 2.1; do
    GOT=$(python "$version" <<'END'
daemon.run("job", ["sleep", "600"])
print("deleted" if daemon("containers.v1.Containers/Delete", (1, "job")) == {} else "refused")
print(daemon.state("job").split(":")[0], daemon.task("Kill", "job", (3, 9)).split(":")[0])
print("listed", len(daemon("tasks.v1.Tasks/List")[1]))
daemon.container("job", ["true"])
print(daemon.state("job"))
print(daemon.create("job"))
daemon.task("Kill", "job", (3, 9))
daemon.ended("job")
print(daemon.state("job"))
END
)
    expect "$version" "deleted, NOT_FOUND NOT_FOUND, listed 1, RUNNING 0, ALREADY_EXISTS: task job: already exists, STOPPED 137" \
        "$(paste -sd, <<<"$GOT" | sed 's/,/, /g')"
done
verdict
