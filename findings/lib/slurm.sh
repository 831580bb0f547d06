# shellcheck shell=bash
# Clusters of Slurm on the loopback, from three suites of Debian; sourced, never run.
# shellcheck source=findings/lib/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

CLUSTER_SCRIPT=$FINDINGS/../../scripts/cluster
declare -A SLURM_SUITE=([22.05]=bookworm [24.11]=trixie [26.05]=sid)
declare -A SLURM=([22.05]=22.05.8-4+deb12u3 [24.11]=24.11.5-4+deb13u1 [26.05]=26.05.5-1)
# shellcheck disable=SC2034 # The findings use it.
ALL_OF_SLURM=(22.05 24.11 26.05)

# get_slurm VERSION [PACKAGE...]: unpack its programs, these, and all that they need, for with_slurm.
get_slurm() {
    local version=$1 suite=${SLURM_SUITE[$1]} dir deb program
    need_root
    need unshare
    dir=$CACHE/apt/$suite
    lists "$suite"
    mkdir -p "$dir/slurm-$version/partial"
    in_suite "$suite" apt-get --yes --no-install-recommends --download-only \
        -o Dir::Cache::archives="$dir/slurm-$version" install \
        slurmctld="${SLURM[$version]}" slurmd="${SLURM[$version]}" slurm-client="${SLURM[$version]}" munge "${@:2}" \
        >&2 || cannot "Slurm ${SLURM[$version]} of $suite is not to be had"
    for deb in "$dir/slurm-$version"/*.deb; do dpkg-deb -x "$deb" "$WORK/slurm-$version"; done
    # An installation makes these links.
    for program in slurmctld slurmd slurmstepd; do
        [ -e "$WORK/slurm-$version/usr/sbin/$program" ] ||
            ln -s "$program-wlm" "$WORK/slurm-$version/usr/sbin/$program"
    done
    chmod 755 "$WORK"
}

# get_slurm_with_accounting VERSION: the same with slurmdbd and its database.
get_slurm_with_accounting() {
    need slurmdbd
    get_slurm "$1" slurmdbd mariadb-server-core
    # The library of MariaDB 11.8.9 refuses what slurmdbd asks first; the machine's, of 10.11, does not.
    rm -f "$WORK/slurm-$1"/usr/lib/*/libmariadb.so.3
}

# clusters_with_accounting VERSION...: start one of each, with a node.
clusters_with_accounting() {
    local version
    for version in "$@"; do
        get_slurm_with_accounting "$version"
        CLUSTERS+=("$version")
        cluster "$version" start 1 --accounting
    done
}

# clusters VERSION...: start one of each, with a node.
clusters() {
    local version
    for version in "$@"; do
        get_slurm "$version"
        CLUSTERS+=("$version")
        cluster "$version" start 1
    done
}

# with_slurm VERSION COMMAND...: with the programs of the suite over those of the machine.
with_slurm() {
    local root=$WORK/slurm-$1
    shift
    # shellcheck disable=SC2016
    unshare --mount sh -c 'mount -t overlay -o "lowerdir=$0/usr:/usr" overlay /usr && exec "$@"' "$root" "$@"
}

# cluster VERSION start|kill|stop [ARGUMENT]: see scripts/cluster.
cluster() { with_slurm "$1" "$CLUSTER_SCRIPT" "$2" "$WORK/cluster-$1" "${@:3}" >&2; }

# slurm VERSION COMMAND...: a command of a user of the cluster.
slurm() {
    local version=$1
    shift
    with_slurm "$version" env SLURM_CONF="$WORK/cluster-$version/slurm.conf" timeout 60 "$@"
}

# submit VERSION SCRIPT [OPTION...]: a batch job; prints its number.
submit() {
    local version=$1 script=$2
    shift 2
    slurm "$version" sbatch --parsable --output=/dev/null --chdir=/ "$@" <<<"#!/bin/sh
$script"
}

# field VERSION JOB NAME: what the controller says of a job; nothing if it does not know the job.
field() {
    { slurm "$1" scontrol --oneliner show job "$2" 2>/dev/null || true; } | tr ' ' '\n' | sed -n "s/^$3=//p" | head -n 1
}

# becomes VERSION JOB NAME VALUE: does the controller say that?
becomes() { [ "$(field "$1" "$2" "$3")" = "$4" ]; }
