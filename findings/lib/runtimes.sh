# shellcheck shell=bash
# Runtimes from three suites of Debian, a bundle to run under them; sourced, never run.
# shellcheck source=findings/lib/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

declare -A RUNC=([1.1.5]=bookworm [1.1.15]=trixie [1.3.6]=sid)
declare -A CRUN=([1.8.1]=bookworm [1.21]=trixie [1.28]=sid)
declare -A PACKAGE=(
    [runc-1.1.5]=runc=1.1.5+ds1-1+deb12u1 [runc-1.1.15]=runc=1.1.15+ds1-2+b4 [runc-1.3.6]=runc=1.3.6+ds1-1
    [crun-1.8.1]=crun=1.8.1-1+deb12u1 [crun-1.21]=crun=1.21-1 [crun-1.28]=crun=1.28-1
)
BUSYBOX=busybox-static=1:1.35.0-4+deb12u1+b1
BUNDLE=$WORK/bundle

# The memory, cpu and freezer controllers of version 1, with or without systemd's unified tree.
need_cgroup_v1() { [ -d /sys/fs/cgroup/memory ] || cannot "this is about control groups v1"; }

# crun refuses v1 beside a v2 tree that has a controller: run the whole finding without that tree.
hide_unified_cgroup() {
    mountpoint -q /sys/fs/cgroup/unified || return 0
    rm -rf "$WORK"
    # shellcheck disable=SC2016
    exec unshare --mount --propagation private -- \
        bash -c 'umount -l /sys/fs/cgroup/unified && exec bash "$0"' "$(realpath "$0")"
}

# The libraries of crun, beside those of runc.
crun_libraries() {
    echo libseccomp2 libcap2 libsystemd0 libyajl2 libgcrypt20 libgpg-error0 liblzma5 libzstd1 liblz4-1
    if [ "$1" = sid ]; then echo libblake3-0 libtbb12 libstdc++6; fi
}

# get_runtimes runc-VERSION|crun-VERSION...: unpack them, and the bundle with BusyBox.
get_runtimes() {
    local name suite
    local -a libraries
    need jq
    for name in "$@"; do
        case $name in
        runc-*) suite=${RUNC[${name#*-}]} libraries=(libseccomp2) ;;
        crun-*) suite=${CRUN[${name#*-}]} && mapfile -t libraries < <(crun_libraries "$suite" | tr ' ' '\n') ;;
        esac
        get "$suite" "${libraries[@]}" "${PACKAGE[$name]}"
        mkdir -p "$WORK/state.$name"
        tool "$suite" "${name%-*}" >"$WORK/state.$name/runtime"
    done
    make_bundle
}

# get_youki VERSION: from the registry of crates, compiled without what needs other libraries. It takes minutes.
get_youki() {
    need cargo
    if [ ! -x "$CACHE/youki-$1/bin/youki" ]; then
        cargo install --quiet --locked --no-default-features --features v1,v2 --root "$CACHE/youki-$1" "youki@$1" >&2 ||
            cannot "youki $1 is not to be had"
    fi
    mkdir -p "$WORK/state.youki-$1"
    echo "$CACHE/youki-$1/bin/youki" >"$WORK/state.youki-$1/runtime"
}

make_bundle() {
    local applet rootfs=$BUNDLE/rootfs
    get bookworm "$BUSYBOX"
    mkdir -p "$rootfs"/{bin,dev,etc,proc,sys,tmp,root}
    cp "$WORK/bookworm/bin/busybox" "$rootfs/bin/busybox"
    for applet in sh cat echo sleep env pwd ls stat touch true uname kill; do ln -sf busybox "$rootfs/bin/$applet"; done
    cat >"$BUNDLE/base.json" <<'END'
{"ociVersion": "1.0.2", "hostname": "job", "root": {"path": "rootfs"},
 "process": {"user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["true"], "env": ["PATH=/bin"]},
 "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
  {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536k"]}],
 "linux": {"namespaces": [{"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}, {"type": "network"}]}}
END
}

# spec JQ...: the bundle's specification, changed by the expressions.
spec() {
    local expression
    cp "$BUNDLE/base.json" "$BUNDLE/config.json"
    for expression in "$@"; do
        jq "$expression" "$BUNDLE/config.json" >"$BUNDLE/next.json"
        mv "$BUNDLE/next.json" "$BUNDLE/config.json"
    done
}

# runtime NAME ARGUMENTS...: the runtime with a state directory of its own.
runtime() {
    local state=$WORK/state.$1
    shift
    (cd "$BUNDLE" && timeout 60 "$(cat "$state/runtime")" --root "$state" "$@" </dev/null)
}

# outcome NAME: run the container; what it and the runtime print in one line, with the status. The output
# is a pipe, since a job may have no right to write to files.
outcome() {
    local status=0 output
    output=$(runtime "$1" run finding 2>&1) || status=$?
    runtime "$1" delete --force finding >/dev/null 2>&1 || true
    sed -E 's/^time=[^ ]* level=[a-z]* msg=//' <<<"$output" | tr '\n' ' ' | sed 's/^ $//'
    echo "[$status]"
}
