#!/usr/bin/env bash
# Guess:  `ctr images import` of one archive gives one digest, and an archive without a name is refused.
# Fact:   a docker-archive has no manifest; containerd makes one, and takes for a layer whatever blob of the
#         same uncompressed content it already has: the digest depends on what was imported before. An
#         archive without a name (`skopeo copy ... oci-archive:FILE`) imports nothing, prints nothing and
#         exits with 0; one with a tag only is named after the day, `import-2026-11-29:TAG`.
# Matters: the digest that a job asks for is there on one machine and not on the next, and a set-up script
#         has loaded its image, as its exit status says, although there is none.
#
# Seen (1.6.20, 1.7.24, 2.1.9):
#         docker-archive into an empty store, and after an OCI archive of the same image: two digests
#         oci-archive:FILE  exit 0, images: 0     oci-archive:FILE:v3  import-DATE:v3
set -euo pipefail
# shellcheck source=findings/lib/images.sh
. "$(dirname "$0")/lib/images.sh"
make_image
get_skopeo 1.9.3
skopeo 1.9.3 copy --quiet "oci:$WORK/image" "docker-archive:$WORK/docker.tar:localhost/docker:1"
skopeo 1.9.3 copy --quiet "oci:$WORK/image" "oci-archive:$WORK/named.tar:localhost/named:1"
skopeo 1.9.3 copy --quiet "oci:$WORK/image" "oci-archive:$WORK/nameless.tar"
skopeo 1.9.3 copy --quiet "oci:$WORK/image" "oci-archive:$WORK/tag.tar:v3"
daemons 1.6 1.7 2.1
for version in 1.6 1.7 2.1; do
    suite=${SUITE[$version]}
    images() { in_tools "$suite" ctr --address "$WORK/$suite.d/sock" --namespace "finding-$$-$version" images "$@"; }
    load() { images import --no-unpack "$WORK/$1.tar" >"$WORK/output" 2>&1; }
    digest() { images ls 2>/dev/null | awk '$1 == "localhost/docker:1" { print $3 }'; }
    STATUS=0
    load nameless || STATUS=$?
    expect "$version, no name" "0, 0 images" "$STATUS, $(images ls -q | wc -l) images"
    load tag
    expect "$version, a tag only" "import-DATE:v3" "$(images ls -q | sed -E 's/[0-9]{4}-[0-9]{2}-[0-9]{2}/DATE/')"
    images rm --sync "$(images ls -q)" >"$WORK/output"

    load docker
    EMPTY=$(digest)
    images rm --sync localhost/docker:1 >"$WORK/output"
    images import "$WORK/named.tar" >"$WORK/output" 2>&1
    load docker
    LATER=$(digest)
    echo "$version: $EMPTY, then $LATER"
    expect "$version, digests" differ "$([ "$EMPTY" = "$LATER" ] && echo same || echo differ)"
done
verdict
