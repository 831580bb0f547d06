#!/usr/bin/env bash
# Guess:  a working directory that does not exist is an error, as it is for a shell's `cd`.
# Fact:   runc and crun create it, with all its parents, owned by root, whoever the process runs as, and
#         on the host too if a bind mount is in the way. `exec` with the same field refuses.
# Matters: a typing error in a job's working directory is no error: the job starts in an empty directory
#         that it cannot write to, and root-owned directories appear in the user's data on the host.
#
# Seen:   runc 1.1.15, 1.3.6, crun 1.21 as user 1000:  /data/typo touch: x: Permission denied [1]
#         on the host:  755 root typo
#         runc exec --cwd /no/where:  chdir to cwd ("/no/where") set in config.json failed: no such file or directory
set -euo pipefail
# shellcheck source=findings/lib/runtimes.sh
. "$(dirname "$0")/lib/runtimes.sh"
need_root
hide_unified_cgroup
NAMES=(runc-1.1.15 runc-1.3.6 crun-1.21)
get_runtimes "${NAMES[@]}"
mkdir "$WORK/data"
chown 1000:1000 "$WORK/data"
spec '.process.args = ["sh", "-c", "exec 2>&1; pwd; touch x"]' '.process.cwd = "/data/typo"' \
    '.process.user = {"uid": 1000, "gid": 1000}' \
    '.mounts += [{"destination": "/data", "type": "bind", "source": "'"$WORK"'/data", "options": ["bind"]}]'
for name in "${NAMES[@]}"; do
    expect "$name" "/data/typo touch: x: Permission denied [1]" "$(outcome "$name")"
    expect "$name, on the host" "755 root typo" "$(cd "$WORK/data" && stat -c '%a %U %n' ./* | sed 's,\./,,')"
    rmdir "$WORK/data/typo"
done

spec '.process.args = ["sleep", "60"]'
for name in "${NAMES[@]}"; do
    runtime "$name" create finding >"$WORK/output" 2>&1
    runtime "$name" start finding
    STATUS=0
    runtime "$name" exec --cwd /no/where finding pwd >"$WORK/output" 2>&1 || STATUS=$?
    expect "$name, exec" "255 no such file or directory" \
        "$STATUS $(grep -io 'no such file or directory' "$WORK/output" | tr '[:upper:]' '[:lower:]')"
    runtime "$name" delete --force finding
done
verdict
