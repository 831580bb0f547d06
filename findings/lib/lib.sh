# shellcheck shell=bash
# Common parts of the findings; sourced, never run. Exit status of a finding: 0 the behaviour is as its
# head says, 1 it has changed, 2 it cannot be looked at here.
#
# FINDINGS_CACHE=DIR keeps what was downloaded from one finding to the next.
FINDINGS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CONTAINERD_SCRIPT=$FINDINGS/../../scripts/private-containerd
WORK=$(mktemp -d /tmp/finding.XXXXXX)
CACHE=${FINDINGS_CACHE:-$WORK/cache}
CHANGED=0
PIDS=()
DAEMONS=()
CLUSTERS=()

cannot() {
    echo "cannot be looked at here: $*" >&2
    exit 2
}

clean_up() {
    local status=$? daemon pid container
    trap '' INT TERM
    exec >"$WORK/clean-up.log" 2>&1
    for daemon in "${CLUSTERS[@]}"; do cluster "$daemon" stop; done
    for daemon in "${DAEMONS[@]}"; do in_tools "$daemon" "$CONTAINERD_SCRIPT" stop "$WORK/$daemon.d"; done
    for pid in "${PIDS[@]}"; do kill -KILL "$pid" || true; done
    for container in "$WORK"/state.*/*/; do
        [ -d "$container" ] || continue
        "$(cat "${container%/*/}/runtime")" --root "${container%/*/}" delete --force "$(basename "$container")" || true
    done
    rm -rf "$WORK"
    rmdir /run/containerd/runc/finding-$$* /sys/fs/cgroup/*/finding-$$* || true
    exit $status
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

need() {
    local tool
    for tool in "$@"; do command -v "$tool" >/dev/null || cannot "$tool is missing"; done
}

need_root() { [ "$(id -u)" = 0 ] || cannot "this needs root"; }

# in_suite SUITE APT-COMMAND...: apt with lists of its own, for one suite of the machine's own mirror.
in_suite() {
    local dir=$CACHE/apt/$1 command=$2
    shift 2
    "$command" -qq -o Dir::Etc="$dir" -o Dir::Etc::sourceparts=- -o Dir::State="$dir" \
        -o Dir::State::status=/dev/null -o Dir::Cache="$dir" -o APT::Sandbox::User=root \
        -o DPkg::Lock::Timeout=120 "$@"
}

# lists SUITE: let apt know what the suite has.
lists() {
    local suite=$1 dir=$CACHE/apt/$1 mirror
    need apt-get dpkg-deb
    [ ! -e "$dir/sources.list" ] || return 0
    mkdir -p "$dir"/{lists/partial,archives/partial,apt.conf.d,preferences.d,debs}
    # shellcheck disable=SC2016
    mirror=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' |
        sed -n 's/^Debian|Debian|//p' | head -n 1)
    [ -n "$mirror" ] || cannot "apt knows no mirror of Debian"
    echo "deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" \
        >"$dir/sources.list"
    in_suite "$suite" apt-get update >&2 || cannot "apt-get update for $suite fails"
}

# get SUITE PACKAGE[=VERSION]...: unpack them in $WORK/SUITE, with the suite's own C library, and let
# the programs use that.
get() {
    local suite=$1 dir=$CACHE/apt/$1 package file interpreter
    local -a packages=(libc6 libgcc-s1 "${@:2}")
    need patchelf
    lists "$suite"
    for package in "${packages[@]}"; do
        file=$dir/debs/$package.deb
        if [ ! -e "$file" ]; then
            (cd "$dir/archives" && in_suite "$suite" apt-get download "$package" >&2 &&
                mv ./*.deb "$file") || cannot "$package of $suite is not to be had"
        fi
        dpkg-deb -x "$file" "$WORK/$suite"
    done
    interpreter=$(find "$WORK/$suite" -name ld-linux-x86-64.so.2 | head -n 1)
    for file in "$WORK/$suite"/{usr/bin,usr/sbin}/*; do
        if [ ! -f "$file" ] || [ -L "$file" ]; then continue; fi
        # A program that needs no library has nothing to set.
        patchelf --set-interpreter "$interpreter" --force-rpath --set-rpath \
            "$WORK/$suite/usr/lib/x86_64-linux-gnu:$WORK/$suite/lib/x86_64-linux-gnu" "$file" 2>/dev/null || true
    done
}

# tool SUITE NAME: the path of an unpacked program.
tool() { find "$WORK/$1/usr" -path "*bin/$2" | head -n 1; }

in_tools() {
    local suite=$1
    shift
    PATH=$WORK/$suite/usr/bin:$WORK/$suite/usr/sbin:$PATH "$@"
}

# within SECONDS COMMAND...: until the command succeeds.
within() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || cannot "'$*' does not come true"
        sleep 0.1
    done
}

# expect WHAT WANTED GOT
expect() {
    if [ "$2" = "$3" ]; then
        echo "as said:  $1: $3"
    else
        echo "CHANGED:  $1: $3 (was: $2)"
        CHANGED=1
    fi
}

verdict() { exit "$CHANGED"; }
