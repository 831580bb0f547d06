#!/usr/bin/env bash
# Guess:  after a Tasks.Create that the client has given up (deadline, lost connection) the task is either
#         there or not, and Get tells which.
# Fact:   Get says NOT_FOUND while each further Create of that id fails, until the daemon has cleaned up
#         behind the abandoned one. The refusal is UNKNOWN with "file exists" or ALREADY_EXISTS, whichever
#         of two places in the daemon is first; later the same call succeeds.
# Matters: a client that tries again at once takes the refusal for final and loses the job, or waits for a
#         task that does not exist. A fresh id for each attempt avoids it.
#
# Seen, with a slow `createRuntime` hook (1.6.20, 1.7.24, 2.1.9):
#         UNKNOWN: failed to start shim: mkdir .../job: file exists   or
#         ALREADY_EXISTS: task job: already exists;   meanwhile get: NOT_FOUND;   later: created
set -euo pipefail
# shellcheck source=findings/lib/containerd.sh
. "$(dirname "$0")/lib/containerd.sh"
daemons 1.6 1.7 2.1
for version in 1.6 1.7 2.1; do
    GOT=$(python "$version" <<'END'
daemon.container("job", ["true"], hooks={"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "5"]}]})
first = daemon.create("job", timeout=2)
second = daemon.create("job")
state = daemon.state("job")
for attempt in range(60):
    third = daemon.create("job")
    if not isinstance(third, str):
        break
    time.sleep(1)
print(first.split(":")[0], second.split(":")[0], second.split(": ")[-1], state.split(":")[0],
      "created" if not isinstance(third, str) else third, sep="; ")
END
)
    echo "$version: $GOT"
    expect "$version" "DEADLINE_EXCEEDED; EXISTS; NOT_FOUND; created" \
        "$(sed -E 's/; (UNKNOWN; file exists|ALREADY_EXISTS; already exists);/; EXISTS;/' <<<"$GOT")"
done
verdict
