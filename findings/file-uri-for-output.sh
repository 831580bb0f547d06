#!/usr/bin/env bash
# Guess:  `file:///a` for standard output and `file:///b` for standard error, as a task's Create takes
#         them, are two files; and a plain path means the same as its file URI.
# Fact:   with a file URI both streams go to the first file, and the second is not even made; the shim copies
#         them through two pipes, so that their order is lost. A plain path is opened by the shim as it is:
#         two files, but they must exist, where the URI makes file and directories.
# Matters: a job's messages are in its results, in any order, and the error file that a user looks for is
#         missing; with plain paths a job fails to start unless its files were made before.
#
# Seen (1.6.20, 1.7.24, 2.1.9):
#         file URIs    a: err,out  (sorted), b: missing
#         plain paths  UNKNOWN: ... opening file ".../a" failed: no such file or directory; once made, a: out, b: err
set -euo pipefail
# shellcheck source=findings/lib/containerd.sh
. "$(dirname "$0")/lib/containerd.sh"
daemons 1.6 1.7 2.1
content() {
    local file
    for file in "$WORK/$1"/{a,b}; do
        echo -n "${file##*/}:" && { [ -e "$file" ] && sort "$file" | paste -sd, || echo missing; }
    done | paste -sd' '
}
for version in 1.6 1.7 2.1; do
    mkdir -p "$WORK/$version.plain"
    GOT=$(python "$version" "$WORK/$version" <<'END'
def job(id, prefix, directory):
    daemon.container(id, ["sh", "-c", "echo out; echo err >&2"])
    answer = daemon.create(id, f"{prefix}{directory}/a", f"{prefix}{directory}/b")
    if isinstance(answer, str):
        return answer.split(": ")[-1].replace("unknown", answer.split(": ")[-2])
    daemon.task("Start", id)
    daemon.ended(id)
    daemon.task("Delete", id)
job("uri", "file://", sys.argv[1] + ".uri")
print(job("missing", "", sys.argv[1] + ".plain"))
for name in "ab":
    open(f"{sys.argv[1]}.plain/{name}", "w").close()
job("plain", "", sys.argv[1] + ".plain")
END
)
    expect "$version, file URIs" "a:err,out b:missing" "$(content "$version.uri")"
    expect "$version, plain, missing" "no such file or directory" "$GOT"
    expect "$version, plain" "a:out b:err" "$(content "$version.plain")"
done
verdict
