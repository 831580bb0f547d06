# shellcheck shell=bash
# The surroundings that the jobs of the service need; sourced. The caller has set DIR, a new directory.

# compile_jobs FLAG...: DIR/jobs, against an installed library.
compile_jobs() {
    gcc -std=gnu11 -Wall -Wextra -Werror "$(dirname "${BASH_SOURCE[0]}")/jobs.c" -o "$DIR/jobs" "$@"
}

# serve_registry: a registry on loopback that has an image; sets REGISTRY_PID, and DRMAA2_TEST_PULL for
# `push_image`. Its port is the kernel's choice, as it tells in its log.
serve_registry() {
    local port
    cat >"$DIR/registry.yml" <<END
version: 0.1
log: { level: info }
storage: { filesystem: { rootdirectory: $DIR/registry } }
http: { addr: "127.0.0.1:0" }
END
    docker-registry serve "$DIR/registry.yml" >"$DIR/registry.log" 2>&1 </dev/null &
    REGISTRY_PID=$!
    port=$(grep -m 1 -oE 'listening on 127\.0\.0\.1:[0-9]+' \
        < <(timeout 60 tail -n +1 -F --pid=$REGISTRY_PID "$DIR/registry.log" 2>/dev/null))
    port=${port##*:}
    DRMAA2_TEST_PULL=127.0.0.1:$port/service/busybox:1
    export DRMAA2_TEST_PULL
}

# push_image CTR...: the image to the registry, by this ctr, with its options.
push_image() {
    "$@" images tag "$DRMAA2_TEST_IMAGE" "$DRMAA2_TEST_PULL" >/dev/null
    "$@" images push --plain-http "$DRMAA2_TEST_PULL" >/dev/null
    "$@" images rm "$DRMAA2_TEST_PULL" >/dev/null
}

# make_sendmail: DIR/sendmail, which needs what Postfix and Exim need: a set-group-ID program, and a spool
# that is another user's.
make_sendmail() {
    install -d -o mail -g mail -m 0730 "$DIR/spool"
    install -o root -g mail -m 2755 "$(readlink -f "$(command -v id)")" "$DIR/postdrop"
    cat >"$DIR/sendmail" <<END
#!/bin/sh
echo "by group \$($DIR/postdrop -gn)" >$DIR/spool/new && cat >/dev/null && mv $DIR/spool/new $DIR/mail.sent
END
    chmod 755 "$DIR/sendmail"
}

# finish_jobs SOCKET: release the jobs where nobody but the service reaches containerd.
finish_jobs() {
    # shellcheck disable=SC2016 # The shell that is started fills them in.
    unshare --mount sh -c 'mount --bind /dev/null "$1" && exec "$2/jobs" finish "$2"' sh "$1" "$DIR"
}
