#!/usr/bin/env bash
# Guess:  a container's label with an empty value is a label; a filter on a field that does not exist is an error.
# Fact:   the label is dropped when the container is written, without a word; `labels.NAME` ("has it") then
#         does not find the container. A filter on a field that there is not matches nothing with `==` and
#         everything with `!=`; neither is refused.
# Matters: flags and optional values (an empty job name, say) are lost, and a typing error in a filter reads
#         as "there are no jobs", or as "all of them", which is worse for a clean-up.
#
# Seen (1.6.20, 1.7.24, 2.1.9):
#         created with full=x, empty="":  read back: full;  labels.full: 1, labels.empty: 0
#         idd==job: 0, idd!=job: 1, id==job: 1
set -euo pipefail
# shellcheck source=findings/lib/containerd.sh
. "$(dirname "$0")/lib/containerd.sh"
daemons 1.6 1.7 2.1
for version in 1.6 1.7 2.1; do
    GOT=$(python "$version" <<'END'
daemon.container("job", ["true"], labels=[("full", "x"), ("empty", "")])
container = parse(daemon("containers.v1.Containers/Get", (1, "job"))[1][0])
print(*(parse(label)[1][0].decode() for label in container[2]))
for text in ("labels.full", "labels.empty", "idd==job", "idd!=job", "id==job"):
    print(text, len(daemon("containers.v1.Containers/List", (1, text)).get(1, [])))
END
)
    expect "$version" "full, labels.full 1, labels.empty 0, idd==job 0, idd!=job 1, id==job 1" "$(paste -sd, <<<"$GOT" | sed 's/,/, /g')"
done
verdict
