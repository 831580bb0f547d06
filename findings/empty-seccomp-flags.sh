#!/usr/bin/env bash
# Guess:  an empty list of `flags` in `linux.seccomp` is as good as none, as with the other lists of the
#         specification.
# Fact:   it is not. Where the list is missing, newer runtimes set SPEC_ALLOW by themselves; an empty one they take by
#         its word. Without that flag, kernels before 5.16, and later ones with `spec_store_bypass_disable=seccomp` or
#         `spectre_v2_user=seccomp`, turn off speculation in every process of the container.
# Matters: programs that always write the field, as languages write an empty list, make jobs slower on such machines,
#         and neither an error nor a log tells why.
#
# Seen, the flag with which the filter is loaded, for a missing and an empty list:
#         runc 1.1.15:           none, none
#         runc 1.3.6, crun 1.28: SPEC_ALLOW, none
set -euo pipefail
# shellcheck source=findings/lib/runtimes.sh
. "$(dirname "$0")/lib/runtimes.sh"
need_root
hide_unified_cgroup
NAMES=(runc-1.1.15 runc-1.3.6 crun-1.28)
get_runtimes "${NAMES[@]}"
get bookworm strace=6.1-0.1 libunwind8
TRACE=$(tool bookworm strace)

# flags NAME FLAGS: whether the filter is loaded with SPEC_ALLOW. A trace that shows no filter is no answer.
flags() {
    local runtime
    runtime=$(cat "$WORK/state.$1/runtime")
    # shellcheck disable=SC2016
    spec '.linux.seccomp = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls":
            [{"names": ["swapon"], "action": "SCMP_ACT_ERRNO"}]}' "$2"
    (cd "$BUNDLE" && timeout 60 "$TRACE" -f -qq -e trace=seccomp,prctl -o "$WORK/trace" \
        "$runtime" --root "$WORK/state.$1" run finding </dev/null) >&2 || cannot "$1 does not run"
    "$runtime" --root "$WORK/state.$1" delete --force finding >/dev/null 2>&1 || true
    grep -E 'MODE_FILTER.*\{len=' "$WORK/trace" >"$WORK/loads" || cannot "$1 loads no filter"
    if grep -q SPEC_ALLOW "$WORK/loads"; then echo SPEC_ALLOW; else echo none; fi
}

for name in "${NAMES[@]}"; do
    case $name in
    runc-1.1.15) WANTED="none, none" ;;
    *) WANTED="SPEC_ALLOW, none" ;;
    esac
    expect "$name" "$WANTED" "$(flags "$name" .), $(flags "$name" '.linux.seccomp.flags = []')"
done
verdict
