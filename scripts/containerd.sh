# shellcheck shell=bash
# The containerd that a script works with; sourced after lib.sh and needs.sh. The caller has set DIR,
# where it works, and LOGS, and calls clean_up_at_exit.

CONTAINERD_DIR=
CONTAINERD_USED=
CLUSTER_DIR=
# The steps of the caller that run beside others, by their pids.
declare -A ASIDE=()

# A containerd of our own. Its directory is a short one, for the sake of the socket's name.
private_containerd() {
    local kept=$LOGS/containerd-dir
    # The leftovers of a run that was killed before it could clean up.
    if [ -s "$kept" ]; then remove_private_containerd "$(cat "$kept")"; fi
    CONTAINERD_DIR=$(mktemp -d "${TMPDIR:-/var/tmp}/drmaa2.XXXXXX")
    # A test may let another user in, by the socket's own rights.
    chmod 711 "$CONTAINERD_DIR"
    echo "$CONTAINERD_DIR" >"$kept"
    "$SCRIPTS/private-containerd" start "$CONTAINERD_DIR"
    eval "$("$SCRIPTS/private-containerd" env "$CONTAINERD_DIR")"
}

# remove_private_containerd DIR
remove_private_containerd() {
    rm -f "$LOGS/containerd-dir"
    [ -e "$1/config.toml" ] || return 0
    "$SCRIPTS/private-containerd" stop "$1" >>"$LOGS/stop.log" 2>&1 && rm -rf "$1"
}

# use_containerd NAMESPACE: export how it is reached, and give it the busybox image.
use_containerd() {
    CONTAINERD_USED=$1
    export CONTAINERD_ADDRESS CONTAINERD_NAMESPACE=$1
    export CONTAINERD_SNAPSHOTTER=${CONTAINERD_SNAPSHOTTER:-overlayfs}
    "$SCRIPTS/make-image" "$LOGS/busybox.tar"
    quietly "$LOGS/import.log" "import the image $IMAGE" \
        in_containerd images import --snapshotter "$CONTAINERD_SNAPSHOTTER" "$LOGS/busybox.tar"
}

in_containerd() {
    ctr --address "$CONTAINERD_ADDRESS" --namespace "$CONTAINERD_USED" "$@"
}

# Take all that is ours from containerd: the daemon if we started it, else our namespace in it.
leave_containerd() {
    local id
    if [ -n "$CONTAINERD_DIR" ]; then
        remove_private_containerd "$CONTAINERD_DIR"
    elif [ -n "$CONTAINERD_USED" ]; then
        for id in $(in_containerd tasks ls -q); do in_containerd tasks rm --force "$id"; done
        for id in $(in_containerd containers ls -q); do in_containerd containers rm "$id"; done
        for id in $(in_containerd images ls -q); do in_containerd images rm --sync "$id"; done
        ctr --address "$CONTAINERD_ADDRESS" namespaces rm "$CONTAINERD_USED"
    fi >>"$LOGS/stop.log" 2>&1 || true
}

# A cluster with Slurm of our own, in a directory with a short name as well; sets CLUSTER_DIR and SLURM_CONF.
private_cluster() {
    local kept=$LOGS/cluster-dir
    # The leftovers of a run that was killed before it could clean up.
    if [ -s "$kept" ]; then CLUSTER_DIR=$(cat "$kept") && leave_cluster; fi
    CLUSTER_DIR=$(mktemp -d "${TMPDIR:-/var/tmp}/drmaa2.XXXXXX")
    echo "$CLUSTER_DIR" >"$kept"
    "$SCRIPTS/cluster" start "$CLUSTER_DIR"
    eval "$("$SCRIPTS/cluster" env "$CLUSTER_DIR")"
}

leave_cluster() {
    rm -f "$LOGS/cluster-dir"
    [ -d "$CLUSTER_DIR" ] || return 0
    "$SCRIPTS/cluster" stop "$CLUSTER_DIR" >>"$LOGS/stop.log" 2>&1 || true
    rm -rf "$CLUSTER_DIR"
}

# Leave the machine as it was, however the script ends.
clean_up_at_exit() {
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

clean_up() {
    local status=$? pid
    trap '' INT TERM
    # A step that runs beside the others ends what it has started; the shell that started it would leave it behind.
    for pid in "${!ASIDE[@]}"; do { pkill -P "$pid" && wait "$pid"; } 2>/dev/null || true; done
    release_services
    leave_containerd
    leave_cluster
    rm -rf "$DIR/state"
    exit $status
}
