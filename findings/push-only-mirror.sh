#!/usr/bin/env bash
# Guess:  a host in hosts.toml with `capabilities = ["push"]` is not read from; what it may do is said there.
# Fact:   the capability counts for the name alone: the tag is resolved elsewhere, then manifest, configuration and
#         layers are read from that host all the same, before the others.
# Matters: a place for pushes, which need not have what others have pushed or may be slow or far away, serves the pulls
#         of all jobs, and nothing tells so.
#
# Seen (ctr of containerd 1.6.20, 2.1.9): from the server "HEAD manifests", from the host for pushes
#         "GET blobs, GET manifests"
set -euo pipefail
# shellcheck source=findings/lib/images.sh
. "$(dirname "$0")/lib/images.sh"
make_image
get_skopeo 1.9.3
for version in 2.8.2 2.8.3; do
    start_registry "$version"
    skopeo 1.9.3 copy --quiet --dest-tls-verify=false "oci:$WORK/image" "docker://$HOST/job:1"
    declare "HOST_${version//./_}=$HOST"
done
mkdir -p "$WORK/hosts/registry.invalid"
# shellcheck disable=SC2154
cat >"$WORK/hosts/registry.invalid/hosts.toml" <<END
server = "http://$HOST_2_8_2"
[host."http://$HOST_2_8_3"]
capabilities = ["push"]
END

# requests VERSION FROM: what a registry was asked for, after so many lines of its log.
requests() {
    tail -n "+$(($2 + 1))" "$WORK/registry.$1.log" |
        sed -nE 's/.*"(GET|HEAD) \/v2\/job\/(manifests|blobs)\/.*/\1 \2/p' | sort -u | paste -sd, | sed 's/,/, /g'
}
lines() { wc -l <"$WORK/registry.$1.log"; }

daemons 1.6 2.1
for version in 1.6 2.1; do
    FROM=$(lines 2.8.2) FROM_PUSHES=$(lines 2.8.3)
    options=(--hosts-dir "$WORK/hosts")
    [ "$version" = 1.6 ] || options+=(--local)
    in_tools "${SUITE[$version]}" ctr -a "$WORK/${SUITE[$version]}.d/sock" -n "finding-$$-$version" \
        images pull "${options[@]}" registry.invalid/job:1 >"$WORK/pull.log" 2>&1 ||
        cannot "ctr of $version does not pull: $(tail -n 1 "$WORK/pull.log")"
    expect "$version, the server" "HEAD manifests" "$(requests 2.8.2 "$FROM")"
    expect "$version, the host for pushes" "GET blobs, GET manifests" "$(requests 2.8.3 "$FROM_PUSHES")"
done
verdict
