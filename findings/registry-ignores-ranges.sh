#!/usr/bin/env bash
# Guess:  a chunk of an upload is put where its `Content-Range` says, or refused (416) if it is out of
#         order; a list of tags is sorted and has at most the `n` that was asked for: the OCI distribution
#         specification demands both.
# Fact:   the registry does not look at `Content-Range`: bytes 100-104 and then 0-4 are accepted and make a
#         blob of ten bytes in the order of arrival. `n` and `last` of the tag list are ignored: all the
#         tags come, in no order.
# Matters: a client that sends a chunk again after a broken connection makes a wrong blob and learns it only
#         from the digest at the end; one that reads tags page by page reads all of them for ever.
#
# Seen (docker-registry 2.8.2, 2.8.3):
#         PATCH 100-104 "hello": 202, PATCH 0-4 "world": 202, PUT with the digest of "helloworld": 201
#         tags/list?n=2: all 5   tags/list?n=2&last=e: all 5
set -euo pipefail
# shellcheck source=findings/lib/images.sh
. "$(dirname "$0")/lib/images.sh"
make_image
get_skopeo 1.9.3
for version in 2.8.2 2.8.3; do
    start_registry "$version"
    answer -X POST -H 'Content-Length: 0' "$HOST/v2/job/blobs/uploads/" >"$WORK/output"
    STATUS=
    for chunk in 100-104:hello 0-4:world; do
        STATUS+=$(answer -X PATCH -H 'Content-Type: application/octet-stream' -H "Content-Range: ${chunk%:*}" \
            --data-binary "${chunk#*:}" "$(header location)")
    done
    DIGEST=$(printf helloworld | sha256sum | cut -d' ' -f1)
    STATUS+=$(answer -X PUT "$(header location)&digest=sha256:$DIGEST")
    expect "$version, chunks" " 202 202 201" "$STATUS"

    skopeo 1.9.3 copy --quiet --dest-tls-verify=false "oci:$WORK/image" "docker://$HOST/job:a"
    answer -H "Accept: $MANIFEST" "$HOST/v2/job/manifests/a" | sed 's/ 200$//' >"$WORK/manifest"
    for tag in b c d e; do
        answer -X PUT -H "Content-Type: $MANIFEST" --data-binary @"$WORK/manifest" "$HOST/v2/job/manifests/$tag" >"$WORK/output"
    done
    for query in 'n=2' 'n=2&last=e'; do
        expect "$version, tags, $query" 5 "$(curl -s "$HOST/v2/job/tags/list?$query" | jq '.tags | length')"
    done
done
verdict
