# shellcheck shell=bash
# The examples against what is installed; sourced after lib.sh.

# compile_examples PREFIX PLACE: all in C, against a copy of PREFIX in PLACE that everybody can read. LIBRARY is the library.
compile_examples() {
    local prefix=$1 place=$2 name libdir
    cp -r "$prefix" "$place/prefix"
    mkdir "$place/examples"
    PKG_CONFIG_PATH=$(dirname "$(find "$place/prefix" -name drmaa2.pc)")
    export PKG_CONFIG_PATH
    libdir=$(pkg-config --variable=libdir drmaa2)
    for name in quickstart array wait_any notify monitor; do
        # shellcheck disable=SC2046 # words of options
        gcc -std=gnu11 -Wall -Werror "$ROOT/examples/$name.c" -o "$place/examples/$name" \
            $(pkg-config --cflags --libs drmaa2) "-Wl,-rpath,$libdir"
    done
    LIBRARY=$libdir/libdrmaa2.so
    cp -r "$ROOT/python/src/drmaa2" "$ROOT/examples/python" "$place/examples"
    chmod -R a+rX "$place/prefix" "$place/examples"
}

# run_examples EXAMPLES DIR CATEGORY MONITOR COMMAND...: run each of EXAMPLES by COMMAND, with files in DIR; what they print
# is what they say that a job has done. MONITOR is a pattern for what there is to monitor.
run_examples() {
    local examples=$1 dir=$2 category=$3 monitor=$4 said
    shift 4
    local run=("$@" "PYTHONPATH=$examples" "DRMAA2_LIBRARY=$LIBRARY" PYTHONDONTWRITEBYTECODE=1)
    said=$("${run[@]}" "$examples/quickstart" "$category" "$dir/q")
    [[ $said == *"DONE, exit status 0"* && $(cat "$dir/q") == *"came through the environment"* ]] ||
        die "run quickstart" "$said"
    said=$("${run[@]}" "$examples/array" "$category" "$dir/a")
    [[ $said == *"6 of 6 are done"* && $(cat "$dir/a.4") == "the square of 4 is 16" ]] || die "run array" "$said"
    said=$("${run[@]}" "$examples/wait_any" "$category")
    [[ $said == *'"exit 3" has ended with exit status 3'* ]] || die "run wait_any" "$said"
    said=$("${run[@]}" "$examples/notify" "$category")
    [[ $said == *"is queued"*"is running"*"is done"* ]] || die "run notify" "$said"
    said=$("${run[@]}" "$examples/monitor" "$category")
    # shellcheck disable=SC2053 # a pattern
    [[ $said == $monitor ]] || die "run monitor" "$said"
    said=$("${run[@]}" python3 "$examples/python/quickstart.py" "$category" "$dir/p")
    [[ $said == *"DONE, exit status 0"* ]] || die "run quickstart.py" "$said"
    said=$("${run[@]}" python3 "$examples/python/array.py" "$category") || die "run array.py" "$said"
}
