#!/usr/bin/env bash
# Guess:  to delete a task that was created and never started is quick, and its answer shows that it did not run.
# Fact:   it takes more than two seconds, and answers exit status 0, as for a job that ended well; only the
#         time of the exit (the year 1) tells that there was none.
# Matters: withdrawing a queue of prepared jobs takes two seconds for each, and whoever trusts the status
#         records "ended with 0" for jobs that have never run.
#
# Seen (1.6.20, 1.7.24, 2.1.9):  exit status 0, seconds of the exit time -62135596800, after 2.1 s
set -euo pipefail
# shellcheck source=findings/lib/containerd.sh
. "$(dirname "$0")/lib/containerd.sh"
daemons 1.6 1.7 2.1
for version in 1.6 1.7 2.1; do
    GOT=$(python "$version" <<'END'
daemon.container("job", ["true"])
daemon.create("job")
start = time.monotonic()
answer = daemon.task("Delete", "job")
took = time.monotonic() - start
seconds = parse(answer[4][0])[1][0] - (1 << 64)
print(f"status {answer.get(3, [0])[0]}, exit time {seconds},", "two seconds or more" if took >= 2 else "at once")
END
)
    expect "$version" "status 0, exit time -62135596800, two seconds or more" "$GOT"
done
verdict
