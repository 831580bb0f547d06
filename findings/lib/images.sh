# shellcheck shell=bash
# A small image, copied by skopeo, and a registry on the loopback; sourced, never run.
# shellcheck source=findings/lib/containerd.sh
. "$(dirname "${BASH_SOURCE[0]}")/containerd.sh"

declare -A SKOPEO=([1.9.3]=bookworm [1.18.0]=trixie [1.22.0]=sid)
declare -A SKOPEO_PACKAGE=([1.9.3]=skopeo=1.9.3+ds1-1+b10 [1.18.0]=skopeo=1.18.0+ds1-1+b5 [1.22.0]=skopeo=1.22.0+ds1-1)
declare -A SKOPEO_LIBRARIES=(
    [1.9.3]="libgpgme11 libassuan0 libgpg-error0 libdevmapper1.02.1 libselinux1 libudev1 libpcre2-8-0"
    [1.18.0]="libgpgme11t64 libassuan9 libgpg-error0 libsubid5"
    [1.22.0]="libgpgme45 libassuan9 libgpg-error0 libsqlite3-0"
)
declare -A REGISTRY_PACKAGE=([2.8.2]=docker-registry=2.8.2+ds1-1 [2.8.3]=docker-registry=2.8.3+ds1-2+b8)
declare -A REGISTRY=([2.8.2]=bookworm [2.8.3]=trixie)
# shellcheck disable=SC2034
MANIFEST=application/vnd.oci.image.manifest.v1+json

# make_image: an OCI layout $WORK/image with one uncompressed layer, always the same bytes.
make_image() {
    need_root
    get bookworm "$BUSYBOX"
    cp "$WORK/bookworm/bin/busybox" "$WORK/busybox"
    DRMAA2_BUSYBOX=$WORK/busybox "$FINDINGS/../../scripts/make-image" "$WORK/image.tar" >&2
    mkdir "$WORK/image"
    tar -C "$WORK/image" -xf "$WORK/image.tar"
}

get_skopeo() {
    local version
    local -a libraries
    for version in "$@"; do
        read -r -a libraries <<<"${SKOPEO_LIBRARIES[$version]}"
        get "${SKOPEO[$version]}" "${libraries[@]}" "${SKOPEO_PACKAGE[$version]}"
    done
}

# skopeo VERSION ARGUMENTS...: without what it remembers of earlier copies, in /var/lib/containers.
skopeo() {
    local program
    program=$(tool "${SKOPEO[$1]}" skopeo)
    shift
    unshare --mount --propagation private -- sh -c 'mount -t tmpfs tmpfs /var/lib && exec "$@"' sh \
        "$program" --insecure-policy --tmpdir "$WORK" "$@" >&2
}

# start_registry VERSION: HOST is its address.
start_registry() {
    local port=$((20000 + $$ % 10000 + ${#PIDS[@]}))
    need curl jq
    get "${REGISTRY[$1]}" "${REGISTRY_PACKAGE[$1]}"
    cat >"$WORK/registry.$1.yml" <<END
version: 0.1
storage: {filesystem: {rootdirectory: $WORK/registry.$1}}
http: {addr: 127.0.0.1:$port}
log: {level: error}
END
    HOST=127.0.0.1:$port
    "$(tool "${REGISTRY[$1]}" docker-registry)" serve "$WORK/registry.$1.yml" >"$WORK/registry.$1.log" 2>&1 &
    PIDS+=($!)
    within 20 curl -sfo "$WORK/output" "$HOST/v2/"
}

# answer CURL-ARGUMENTS...: the status and the body of an answer; its headers are in $WORK/headers.
answer() { curl -s -D "$WORK/headers" -w ' %{http_code}' "$@" | tr -d '\n'; }
header() { tr -d '\r' <"$WORK/headers" | sed -n "s/^$1: //Ip"; }
