#!/usr/bin/env bash
# Guess:  two daemons with their own `root`, `state` and socket have nothing in common.
# Fact:   their shims use one state directory of runc, /run/containerd/runc/NAMESPACE, which no setting
#         of the daemon moves. A task with an id that the other daemon already runs is refused; and the
#         clean-up after that refusal deletes the *other's* container: its running job is killed.
# Matters: a second daemon for tests, or one beside that of Docker or Kubernetes with the same namespace
#         name, kills jobs of the first as soon as an id is the same, and these look like killed by SIGKILL.
#
# Seen (1.6.20 and 1.7.24, both ways):
#         second: UNKNOWN: ... runc create failed: container with given ID already exists
#         first:  RUNNING 0, then STOPPED 137
set -euo pipefail
# shellcheck source=findings/lib/containerd.sh
. "$(dirname "$0")/lib/containerd.sh"
daemons 1.6 1.7
# A namespace that no other daemon of the machine has.
NAMESPACE=finding-$$
both() {
    python "$1" "$NAMESPACE" <<<'daemon.run("job", ["sleep", "600"], namespace=sys.argv[1]); print(daemon.state("job", namespace=sys.argv[1]))'
    python "$2" "$NAMESPACE" <<<'daemon.container("job", ["true"], namespace=sys.argv[1]); print(daemon.create("job", namespace=sys.argv[1]))'
    python "$1" "$NAMESPACE" <<<'daemon.ended("job", namespace=sys.argv[1]); print(daemon.state("job", namespace=sys.argv[1])); daemon.task("Delete", "job", namespace=sys.argv[1])'
    for version in "$@"; do
        python "$version" "$NAMESPACE" <<<'daemon("containers.v1.Containers/Delete", (1, "job"), namespace=sys.argv[1])'
    done
}
WANTED="RUNNING 0, container with given ID already exists, STOPPED 137"
for pair in "1.6 1.7" "1.7 1.6"; do
    expect "$pair" "$WANTED" \
        "$(both "${pair% *}" "${pair#* }" | sed 's/.*\(container with given ID already exists\).*/\1/' | paste -sd, | sed 's/,/, /g')"
done
verdict
