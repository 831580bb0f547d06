# shellcheck shell=bash
# Installs what is missing on the machine; sourced after lib.sh.

# need_commands COMMAND=PACKAGE...: install the packages whose command is missing.
need_commands() {
    local pair missing=()
    for pair in "$@"; do
        have "${pair%%=*}" || missing+=("${pair#*=}")
    done
    if ! have busybox || ! is_static "$(command -v busybox)"; then missing+=(busybox-static); fi
    # A C library to compile against comes with no command of its own.
    [ -e /usr/include/stdio.h ] || missing+=(libc6-dev)
    [ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
    [ ${#missing[@]} = 0 ] && return
    mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
    apt_install "${missing[@]}"
}

# Valgrind checks nothing without the symbols of the C library.
need_working_valgrind() {
    valgrind -q /bin/true >/dev/null 2>&1 || apt_install libc6-dbg
}

# Python that is new enough, and can make virtual environments.
need_python() {
    python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install python3 python3-venv
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
        die "use Python 3.10 or later" "python3 is $(python3 --version 2>&1)"
}

apt_install() {
    have apt-get || die "install $*" "there is no apt-get here; install it by other means"
    need_root "install $*"
    say "installing $*"
    hold_services
    if ! apt_quietly install --yes --no-install-recommends "$@"; then
        apt_quietly update || die "install $*" "apt-get update failed: $(tail -n 1 "$LOGS/apt.log")"
        apt_quietly install --yes --no-install-recommends "$@" ||
            die "install $*" "$(grep -m 1 '^E:' "$LOGS/apt.log" || tail -n 1 "$LOGS/apt.log")"
    fi
    release_services
}

apt_quietly() {
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 "$@" \
        >>"$LOGS/apt.log" 2>&1 </dev/null
}

# Nothing that is installed here is started as a service: that is for the machine's owner to decide.
POLICY=/usr/sbin/policy-rc.d
hold_services() {
    [ ! -e $POLICY ] || return 0
    printf '#!/bin/sh\n# made by drmaa2-containerd, for the time of one installation\nexit 101\n' >$POLICY
    chmod 755 $POLICY
}
release_services() {
    if grep -qs 'made by drmaa2-containerd' $POLICY; then rm -f $POLICY; fi
}

# A Rust compiler that is new enough, with cargo.
need_rust() {
    local wanted
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml" | head -n 1)
    rust_is "$wanted" || get_rust "$wanted"
    rust_is "$wanted" || die "use Rust $wanted" "what was installed is $(rustc --version 2>&1)"
}

# need_rust_tools rustfmt|clippy...
need_rust_tools() {
    local tool
    for tool in "$@"; do
        cargo "${tool/rustfmt/fmt}" --version >/dev/null 2>&1 || get_rust_tool "$tool"
    done
}

# rust_is VERSION: do rustc and cargo run, at least as new as this?
rust_is() {
    local found
    have cargo || return 1
    found=$(rustc --version 2>/dev/null | cut -d' ' -f2) && at_least "$1" "$found"
}

# at_least WANTED FOUND
at_least() { [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

apt_offers() { apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: \([0-9].*\)/\1/p'; }

get_rust() {
    local wanted=$1 offered why
    if ! have rustup; then
        offered=$(apt_offers rustc)
        if [ -n "$offered" ] && at_least "$wanted" "$offered"; then
            apt_install rustc cargo
            return
        elif [ -n "$(apt_offers rustup)" ]; then
            apt_install rustup
        else
            have curl || apt_install curl ca-certificates
            say "installing rustup by its own installer, for Rust $wanted"
            why=$(curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs \
                -o "$LOGS/rustup-init.sh" 2>&1) ||
                die "install Rust $wanted" "apt has none that is new enough, and rustup: $why"
            quietly "$LOGS/rustup.log" "install rustup" sh "$LOGS/rustup-init.sh" -y \
                --no-modify-path --default-toolchain none
        fi
    fi
    say "installing Rust, the stable toolchain"
    quietly "$LOGS/rustup.log" "install Rust $wanted" \
        rustup toolchain install stable --profile minimal
    export RUSTUP_TOOLCHAIN=stable
}

get_rust_tool() {
    say "installing $1"
    if have rustup; then
        quietly "$LOGS/rustup.log" "install $1" rustup component add "$1"
    else
        apt_install "${1/clippy/rust-clippy}"
    fi
}
