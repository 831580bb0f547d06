# shellcheck shell=bash
# A build of the library and of the fuzz targets that finds its own mistakes; sourced after lib.sh.

HOST=$(rustc -vV | sed -n 's/^host: //p')
# Beside the other builds: what cargo keeps there is for these flags alone.
SANITIZED=$(realpath -m "${CARGO_TARGET_DIR:-$ROOT/target}")/sanitized
# The directory of the targets and the library; the library's own tests do not look here.
# shellcheck disable=SC2034 # for those who source this
BUILT=$SANITIZED/$HOST/debug

# sanitizer_runtime: the address sanitizer of this Rust, nothing if it has none.
sanitizer_runtime() {
    compgen -G "$(rustc --print sysroot)/lib/rustlib/$HOST/lib/librustc-*_rt.asan.a" || true
}

# build_sanitized CARGO-ARGUMENTS...: the flags are those of `cargo fuzz`, which is not needed for it. Those of
# libFuzzer's instrumentation are known to the stable compiler, that of the sanitizer only to one that is told
# not to mind. A target is named, or build scripts and macros would be instrumented as well. The library itself
# is not optimized: instrumented, that takes longer than all of its dependencies.
build_sanitized() {
    local flags=(-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
        -Cllvm-args=-sanitizer-coverage-trace-compares)
    [ -z "$(sanitizer_runtime)" ] || flags=(-Zsanitizer=address "${flags[@]}")
    RUSTC_BOOTSTRAP=1 RUSTFLAGS="${flags[*]}" CARGO_PROFILE_DEV_OPT_LEVEL=1 cargo build --locked \
        --config 'profile.dev.package.drmaa2-containerd.opt-level = 0' \
        --manifest-path "$ROOT/Cargo.toml" --target "$HOST" --target-dir "$SANITIZED" "$@"
}
