# shellcheck shell=bash
# Common parts of the scripts; sourced, never run.

# The script that the user called speaks, also through the scripts that it calls.
PROGRAM=${DRMAA2_SCRIPT:-${0##*/}}
export DRMAA2_SCRIPT=$PROGRAM
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
SCRIPTS=$ROOT/scripts
IMAGE=localhost/drmaa2/busybox:1
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:${CARGO_HOME:-${HOME:-/root}/.cargo}/bin
export ROOT SCRIPTS IMAGE PATH

say() { echo "$PROGRAM: $*"; }

# die WHAT WHY: the one line that tells what cannot be done.
die() {
    echo "$PROGRAM: cannot $1: $2" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

need_root() { [ "$(id -u)" = 0 ] || die "$1" "this needs root"; }

# quietly LOG WHAT COMMAND...: run it with its output in LOG; show the end of that if it fails.
quietly() {
    local log=$1 what=$2
    shift 2
    if ! "$@" >"$log" 2>&1 </dev/null; then
        tail -n 20 "$log" >&2
        die "$what" "'$*' failed, all of its output is in $log"
    fi
}

# as USER COMMAND...: by this user, with no groups but his own.
as() {
    local user=$1
    shift
    setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups "$@"
}

# containerd_answers SOCKET
containerd_answers() {
    [ -S "$1" ] && timeout 5 ctr --address "$1" version >/dev/null 2>&1
}

# only_one DIR: refuse to work in DIR while another run does.
only_one() {
    mkdir -p "$1"
    exec 9>"$1/lock"
    flock -n 9 || die "work in $1" "another run is doing so"
}

# is_static FILE: does this program run without any library?
is_static() {
    local needs
    needs=$(ldd "$1" 2>&1 || true)
    [[ $needs == *"not a dynamic executable"* || $needs == *"statically linked"* ]]
}

# wait_for_agent STATE_DIR: until the agent of that directory, if there is one, has done its work.
wait_for_agent() {
    timeout 60 flock "$1/drmaa2d.lock" true || die "end" "the agent of $1 does not leave"
}

# all_are_listed PLACE NAME...: each C test job_* is among these names, which are those of two lists of the script, and
# nothing else is. PLACE is where those of one list run.
all_are_listed() {
    local there listed place=$1
    shift
    there=$(cd "$ROOT/c-tests" && printf '%s\n' job_*.c | sed 's/^job_//; s/\.c$//' | sort)
    listed=$(printf '%s\n' "$@" | sort)
    [ "$there" = "$listed" ] || die "tell which C tests run $place" \
        "each is in one of two lists of $PROGRAM: $(diff <(echo "$there") <(echo "$listed") | grep '^[<>]' | xargs)"
}

# build_and_install BUILD_DIR PREFIX LOG_DIR TESTS: the library, drmaa2-init, drmaa2d, header, service
# and drmaa2.pc; with TESTS=ON also the C tests.
build_and_install() {
    quietly "$3/configure.log" "configure the build" \
        cmake -S "$ROOT" -B "$1" -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING="$4" -DDRMAA2_SYSTEMD_UNIT=ON \
        -DDRMAA2_TARGET_DIR="$(realpath -m "${CARGO_TARGET_DIR:-$ROOT/target}")"
    cmake --build "$1" -j "$(nproc)" || die "build the library" "see above"
    quietly "$3/install.log" "install to $2" cmake --install "$1" --prefix "$2"
}
