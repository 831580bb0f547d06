# shellcheck shell=bash
# Daemons of containerd from three suites of Debian, and Python that calls them; sourced, never run.
# shellcheck source=findings/lib/runtimes.sh
. "$(dirname "${BASH_SOURCE[0]}")/runtimes.sh"

declare -A SUITE=([1.6]=bookworm [1.7]=trixie [2.1]=sid)
declare -A DAEMON=([1.6]=containerd=1.6.20~ds1-1+deb12u3 [1.7]=containerd=1.7.24~ds1-6+deb13u1 [2.1]=containerd=2.1.9+ds1-5)
declare -A WITH=([1.6]=runc-1.1.5 [1.7]=runc-1.1.15 [2.1]=runc-1.3.6)
GRPCIO=grpcio==1.85.3

# daemons VERSION...: start one of each. The runc of the same suite comes with it.
daemons() {
    local version suite
    need python3
    need_root
    if [ ! -x "$CACHE/venv/bin/python" ]; then
        { python3 -m venv "$CACHE/venv" && "$CACHE/venv/bin/pip" install --quiet "$GRPCIO"; } >&2 ||
            cannot "$GRPCIO is not to be had"
    fi
    for version in "$@"; do
        suite=${SUITE[$version]}
        get "$suite" "${DAEMON[$version]}"
        get_runtimes "${WITH[$version]}"
        DAEMONS+=("$suite")
        start_daemon "$version"
    done
}

start_daemon() {
    local suite=${SUITE[$1]}
    in_tools "$suite" "$CONTAINERD_SCRIPT" start "$WORK/$suite.d" >&2
}

# kill_daemon VERSION: with SIGKILL; what it runs goes on.
kill_daemon() {
    local suite=${SUITE[$1]}
    in_tools "$suite" "$CONTAINERD_SCRIPT" kill "$WORK/$suite.d" >&2
}

# python VERSION [ARGUMENTS...] <<PROGRAM: a program that has the daemon as `daemon`, arguments in sys.argv.
# Each daemon has a namespace of its own, see two-daemons-one-state.sh.
python() {
    local suite=${SUITE[$1]} namespace=finding-$$-$1
    shift
    { echo "from wire import *; daemon = Daemon('$WORK/$suite.d/sock', '$BUNDLE', '$namespace')" && cat; } |
        PYTHONPATH=$FINDINGS PYTHONDONTWRITEBYTECODE=1 timeout 120 "$CACHE/venv/bin/python" - "$@"
}
