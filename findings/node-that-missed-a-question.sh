#!/usr/bin/env bash
# Guess:  a node whose daemon did not answer for some seconds gets jobs as soon as it answers again; and one that gets none is
#         not among the idle ones.
# Fact:   one question of the controller that is not answered in time takes the node's jobs away until the next one, a third
#         of SlurmdTimeout later: 100 s by default, although the daemon is well meanwhile. A job for it waits for
#         ReqNodeNotAvail. `sinfo --states=idle` counts the node as idle all the time; `idle*` is what tells, or
#         `--responding`.
# Matters: after a short stall of a node its jobs wait for up to a hundred seconds for nothing, and a script that waits for
#         idle nodes before it submits goes on too early.
#
# Seen: 22.05.8, 24.11.5 and 26.05.5, with SlurmdTimeout=60: the job waits for more than five seconds after the daemon goes on,
#       and starts with the next question
set -euo pipefail
# shellcheck source=findings/lib/slurm.sh
. "$(dirname "$0")/lib/slurm.sh"

# shellcheck disable=SC2317 # has_missed_it calls it
state() { slurm "$1" sinfo --noheader --nodes=n1 --format=%T; }

# shellcheck disable=SC2317 # within calls it
has_missed_it() { [ "$(state "$1")" = 'idle*' ]; }

# idle VERSION [OPTION]: the number of idle nodes.
idle() { slurm "$1" sinfo --noheader --states=idle --format=%D "${@:2}" | awk '{ sum += $1 } END { print sum + 0 }'; }

clusters "${ALL_OF_SLURM[@]}"
for version in "${ALL_OF_SLURM[@]}"; do
    conf=$WORK/cluster-$version/slurm.conf
    expect "$version: a question each 20 s" "SlurmdTimeout=60" "$(grep ^SlurmdTimeout= "$conf")"
    daemon=$(cat "$WORK/cluster-$version/n1.pid")
    kill -STOP "$daemon"
    within 60 has_missed_it "$version"
    kill -CONT "$daemon"
    job=$(submit "$version" true --nodelist=n1)
    expect "$version: idle nodes, and those of them that respond" "1 0" "$(idle "$version") $(idle "$version" --responding)"
    expect "$version: the daemon runs again" "S (sleeping)" "$(sed -n 's/^State:\t//p' "/proc/$daemon/status")"
    begun=$SECONDS
    within 60 becomes "$version" "$job" JobState COMPLETED
    expect "$version: the job waits for more than five seconds" yes "$([ $((SECONDS - begun)) -gt 5 ] && echo yes || echo no)"
done
verdict
