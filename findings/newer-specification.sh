#!/usr/bin/env bash
# Guess:  a runtime refuses a specification of a version that it does not know ("the runtime MUST generate
#         an error" for an unsupported one), so that no field of it is lost without a word.
# Fact:   runc and crun from 1.21 on run `ociVersion` 2.0.0 and even the empty one; only crun 1.8 refuses.
#         Fields that the runtime is too old for are dropped in silence: under runc 1.1 a job that asks for
#         the 32-bit personality or for a domain name runs without either.
# Matters: a job service cannot rely on an error to learn that a request was not met; it must ask
#         `runc features` or know the versions.
#
# Seen:   personality LINUX32   runc 1.1.15: x86_64   runc 1.3.6: i686   crun 1.21: i686
#         domainname            runc 1.1.15: (none)   runc 1.3.6: test   crun 1.21: test
#         ociVersion 2.0.0      runc 1.1.15, 1.3.6, crun 1.21: ran   crun 1.8.1: unknown version specified [1]
set -euo pipefail
# shellcheck source=findings/lib/runtimes.sh
. "$(dirname "$0")/lib/runtimes.sh"
need_root
[ "$(uname -m)" = x86_64 ] || cannot "the personality is that of x86_64"
hide_unified_cgroup
get_runtimes runc-1.1.15 runc-1.3.6 crun-1.8.1 crun-1.21

spec '.process.args = ["uname", "-m"]' '.linux.personality = {"domain": "LINUX32"}'
expect "runc-1.1.15, personality" "x86_64 [0]" "$(outcome runc-1.1.15)"
expect "runc-1.3.6, personality" "i686 [0]" "$(outcome runc-1.3.6)"
expect "crun-1.21, personality" "i686 [0]" "$(outcome crun-1.21)"

spec '.process.args = ["cat", "/proc/sys/kernel/domainname"]' '.domainname = "test"'
expect "runc-1.1.15, domain name" "(none) [0]" "$(outcome runc-1.1.15)"
expect "runc-1.3.6, domain name" "test [0]" "$(outcome runc-1.3.6)"
expect "crun-1.21, domain name" "test [0]" "$(outcome crun-1.21)"

for version in 2.0.0 ''; do
    spec '.process.args = ["echo", "ran"]' ".ociVersion = \"$version\""
    for name in runc-1.1.15 runc-1.3.6 crun-1.21; do
        expect "$name, version '$version'" "ran [0]" "$(outcome "$name")"
    done
    expect "crun-1.8.1, version '$version'" "unknown version specified [1]" "$(outcome crun-1.8.1)"
done
verdict
