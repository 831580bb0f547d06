#!/usr/bin/env bash
# Guess:  namespaces keep containers apart; the same id in two of them are two containers.
# Fact:   without a `cgroupsPath` in the specification runc makes the control group from the id alone, so
#         that both containers share one group. To pause one freezes the other, which is still said to be
#         RUNNING; limits and usage are those of both together. runc 1.3 (containerd 2.1 of the same suite)
#         refuses the second start instead.
# Matters: a job is frozen, or charged and killed for the memory of another one, by somebody else's
#         namespace; after an update it cannot be started.
#
# Seen (control groups v1):
#         1.6.20 with runc 1.1.5, 1.7.24 with runc 1.1.15:  first RUNNING 0, its process: D (disk sleep)
#         2.1.9 with runc 1.3.6:  runc create failed: container's cgroup is not empty: 1 process(es) found
set -euo pipefail
# shellcheck source=findings/lib/containerd.sh
. "$(dirname "$0")/lib/containerd.sh"
need_cgroup_v1
daemons 1.6 1.7 2.1
for version in 1.6 1.7 2.1; do
    GOT=$(python "$version" "job-$$-$version" <<'END'
job, first, second = sys.argv[1], daemon.namespace, daemon.namespace + "-b"
pid = daemon.run(job, ["sleep", "600"], own_group=False)[1][0]
daemon.container(job, ["sleep", "600"], namespace=second, own_group=False)
answer = daemon.create(job, namespace=second)
if isinstance(answer, str):
    print(answer[answer.index("container's"):])
    raise SystemExit
daemon.task("Start", job, namespace=second)
daemon.task("Pause", job, namespace=second)
print(daemon.state(job), [line for line in open(f"/proc/{pid}/status") if line.startswith("State")][0].split()[1])
daemon.task("Resume", job, namespace=second)
END
)
    case $version in
    2.1) expect "$version" "container's cgroup is not empty: 1 process(es) found" "$GOT" ;;
    *) expect "$version" "RUNNING 0 D" "$GOT" ;;
    esac
done
verdict
