# shellcheck shell=bash
# A registry on the loopback interface; sourced.

# serve_registry DIR LOG: one that keeps its images below DIR; sets REGISTRY_PID, which the caller ends, and
# REGISTRY_HERE, its address. Its port is the kernel's choice, as it tells in its log.
serve_registry() {
    cat >"$1/registry.yml" <<END
version: 0.1
log: { level: info }
storage: { filesystem: { rootdirectory: $1/registry } }
http: { addr: "127.0.0.1:0" }
END
    docker-registry serve "$1/registry.yml" >"$2" 2>&1 </dev/null &
    REGISTRY_PID=$!
    REGISTRY_HERE=$(grep -m 1 -oE 'listening on 127\.0\.0\.1:[0-9]+' \
        < <(timeout 60 tail -n +1 -F --pid=$REGISTRY_PID "$2" 2>/dev/null))
    REGISTRY_HERE=${REGISTRY_HERE#listening on }
}

# serve_busybox DIR LOG: a registry with the busybox image; sets IMAGE_HERE as well.
serve_busybox() {
    serve_registry "$1" "$2"
    IMAGE_HERE=$REGISTRY_HERE/busybox:1
    "$SCRIPTS/make-image" "$1/busybox.tar"
    quietly "$2.push" "push an image" skopeo copy --dest-tls-verify=false "oci-archive:$1/busybox.tar" \
        "docker://$IMAGE_HERE"
}
