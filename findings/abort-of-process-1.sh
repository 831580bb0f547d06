#!/usr/bin/env bash
# Guess:  a program that ends by abort() or a failed assert() leaves exit status 134 (128 + SIGABRT).
# Fact:   as process 1 of its container it leaves 139, as after a segmentation fault: the kernel ignores a
#         process's own SIGABRT where no handler is set and the process is the first of its namespace, and
#         abort() of the C library then executes an illegal instruction of its own. Below a shell it is 134.
# Matters: whoever reads the status of a job looks for a bad pointer, not for the assertion; and the status
#         of one and the same program depends on whether the image has an init.
#
# Seen:   runc 1.1.15, 1.3.6, crun 1.28:  as process 1: [139]    below a shell: Aborted [134]
set -euo pipefail
# shellcheck source=findings/lib/runtimes.sh
. "$(dirname "$0")/lib/runtimes.sh"
need_root
need cc
hide_unified_cgroup
NAMES=(runc-1.1.15 runc-1.3.6 crun-1.28)
get_runtimes "${NAMES[@]}"
printf '#include <stdlib.h>\nint main(void) { abort(); }\n' >"$WORK/abort.c"
cc -static -o "$BUNDLE/rootfs/bin/abort" "$WORK/abort.c" 2>"$WORK/output" || cannot "cc makes no static program"
for name in "${NAMES[@]}"; do
    spec '.process.args = ["abort"]'
    expect "$name, process 1" "[139]" "$(outcome "$name")"
    spec '.process.args = ["sh", "-c", "abort; exit $?"]'
    expect "$name, below a shell" "Aborted [134]" "$(outcome "$name")"
done
verdict
