#!/usr/bin/env bash
# Guess:  Events.Subscribe, called like every other method with a namespace, gives the events of that
#         namespace; it answers (headers) when the subscription is there; and a /tasks/exit whose `id` is
#         that of the container is the end of the container.
# Fact:   it gives the events of all namespaces. Nothing is sent, no headers either, until the first event,
#         so that an asynchronous client's call does not return before. And an exec may have the id of its
#         container: its end is a /tasks/exit with `id` = `container_id` while the container runs on.
# Matters: jobs of equal ids in two namespaces end each other in a client's books, as does an exec; and a
#         client that awaits the subscription before it submits waits for ever on a quiet machine.
#
# Seen (1.6.20, 1.7.24, 2.1.9):
#         no headers within 3 s; then at the first event of another namespace
#         /tasks/exit container_id=job id=job exit_status=4 while the task is RUNNING 0
set -euo pipefail
# shellcheck source=findings/lib/containerd.sh
. "$(dirname "$0")/lib/containerd.sh"
daemons 1.6 1.7 2.1
for version in 1.6 1.7 2.1; do
    GOT=$(python "$version" <<'END'
call = daemon.stream("events.v1.Events/Subscribe", namespace="finding-quiet")
headers = threading.Event()
threading.Thread(target=lambda: (call.initial_metadata(), headers.set()), daemon=True).start()
print("headers" if headers.wait(3) else "no headers")
daemon.run("job", ["sleep", "600"])
print("headers" if headers.wait(10) else "no headers")
daemon.exec("job", "job", ["sh", "-c", "exit 4"])
for event in call:
    event = parse(event)
    if event[3][0] == b"/tasks/exit":
        exit = parse(parse(event[4][0])[2][0])
        print("same namespace" if event[2][0] == b"finding-quiet" else "other namespace")
        print(exit[1][0].decode(), exit[2][0].decode(), exit[4][0], daemon.state("job"))
        call.cancel()
        break
END
)
    expect "$version" "no headers; headers; other namespace; job job 4 RUNNING 0" "$(paste -sd';' <<<"$GOT" | sed 's/;/; /g')"
done
verdict
