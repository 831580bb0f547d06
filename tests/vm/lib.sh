# shellcheck shell=bash
# Common parts of what runs in the virtual machine; sourced, never run. A row is a line `ok ROW` or
# `FAIL ROW: WHY`; the script exits with $FAILED.

export FAILED=0 IMAGE

# row NAME COMMAND...: the row is good if the command is; if not, what it says that it could not do and the end of its
# output say why.
row() {
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then
        echo "ok $name"
    else
        echo "FAIL $name: $({ grep ': cannot ' <<<"$output"; tail -n 8 <<<"$output"; } | tr '\n' ';')"
        FAILED=1
    fi
}

# The program of drm.c.
if [ drm.c -nt /usr/local/bin/drm ]; then
    read -ra FLAGS <<<"$(pkg-config --cflags --libs drmaa2)"
    gcc -std=gnu11 -Wall -Wextra -o /usr/local/bin/drm drm.c "${FLAGS[@]}"
fi

# until_settled STATE_DIR: until the agent, if there is one, has nothing more to do.
until_settled() {
    timeout 900 flock "$1/drmaa2d.lock" true || { echo "the agent of $1 has not left"; return 1; }
}

# states STATE_DIR SESSION: the states of a session's jobs in the store, for who must not open the session; they are
# sorted and in one line.
states() {
    sqlite3 "file:$1/drmaa2.db?mode=ro" "SELECT j.state FROM jobs j JOIN submissions b ON b.number = j.submission
        JOIN sessions s ON s.id = b.session WHERE s.name = '$2' AND NOT s.destroyed ORDER BY j.state" | tr '\n' ' '
}

# are_done COUNT: is what `drm list` prints on standard input so many jobs, and all of them DONE?
are_done() {
    local list
    list=$(cat)
    if [ "$(grep -c '^DONE 0 ' <<<"$list")" != "$1" ] || [ "$(wc -l <<<"$list")" != "$1" ]; then
        printf '%s\n' "$1 jobs were to be DONE:" "$list"
        return 1
    fi
}
