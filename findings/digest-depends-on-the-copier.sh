#!/usr/bin/env bash
# Guess:  one image (one configuration, one uncompressed layer) has one manifest digest, wherever and with
#         whichever version of skopeo it is pushed.
# Fact:   skopeo compresses the layer on the way, and what its compressor makes of the same bytes changes
#         with its version; the manifest names the compressed bytes, so that its digest changes too.
# Matters: a job that names its image by digest finds it or not, depending on which machine pushed it.
#
# Seen:   skopeo 1.9.3   sha256:53003e4835d2...    skopeo 1.22.0  sha256:03cfc88a8cb6...
#         the configuration, and so the image id, is the same
set -euo pipefail
# shellcheck source=findings/lib/images.sh
. "$(dirname "$0")/lib/images.sh"
need jq
make_image
get_skopeo 1.9.3 1.22.0
digests() {
    rm -rf "$WORK/copy"
    skopeo "$1" copy --quiet "oci:$WORK/image" "oci:$WORK/copy:1"
    jq -r .manifests[0].digest "$WORK/copy/index.json"
}
config() { jq -r .config.digest "$WORK/copy/blobs/sha256/${1#sha256:}"; }
OLD=$(digests 1.9.3) && OLD_CONFIG=$(config "$OLD")
NEW=$(digests 1.22.0) && NEW_CONFIG=$(config "$NEW")
echo "1.9.3 makes $OLD, 1.22.0 makes $NEW"
expect "one configuration" "$OLD_CONFIG" "$NEW_CONFIG"
expect "two manifests" differ "$([ "$OLD" = "$NEW" ] && echo same || echo differ)"
verdict
