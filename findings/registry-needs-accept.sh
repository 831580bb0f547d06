#!/usr/bin/env bash
# Guess:  GET and HEAD of a manifest that is there find it; `Accept` is a preference, `*/*` takes anything.
# Fact:   the registry answers 404 MANIFEST_UNKNOWN for an OCI manifest unless `Accept` names its media type
#         literally, for `*/*` too, by tag and by digest.
# Matters: a check whether a job's image exists, with curl or any plain HTTP library, says that it does not.
#
# Seen (docker-registry 2.8.2, 2.8.3):
#         {"errors":[{"code":"MANIFEST_UNKNOWN","message":"OCI manifest found, but accept header does not
#         support OCI manifests"}]} 404      with the media type: 200
set -euo pipefail
# shellcheck source=findings/lib/images.sh
. "$(dirname "$0")/lib/images.sh"
make_image
get_skopeo 1.9.3
REFUSED='{"errors":[{"code":"MANIFEST_UNKNOWN","message":"OCI manifest found, but accept header does not support OCI manifests"}]} 404'
for version in 2.8.2 2.8.3; do
    start_registry "$version"
    skopeo 1.9.3 copy --quiet --dest-tls-verify=false "oci:$WORK/image" "docker://$HOST/job:1"
    URL=$HOST/v2/job/manifests
    expect "$version, by tag" "$REFUSED" "$(answer "$URL/1")"
    expect "$version, with the type" 200 "$(answer -H "Accept: $MANIFEST" "$URL/1" | sed 's/.* //')"
    DIGEST=$(header docker-content-digest)
    expect "$version, by digest, any type" "$REFUSED" "$(answer -H 'Accept: */*' "$URL/$DIGEST")"
    expect "$version, HEAD" 404 "$(answer -I -o "$WORK/output" "$URL/1" | tr -d ' ')"
done
verdict
