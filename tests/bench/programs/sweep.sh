#!/bin/sh
# sweep.sh MARK CLIENT FOLDER...: cleans up after the benchmark, however it ended.
#
# It reads stdin to its end, which comes when the benchmark ends or dies. Then it asks the daemon of every
# home in the FOLDERs to leave, kills what is left of the processes that have MARK in their environment,
# and removes the FOLDERs.
trap '' INT HUP TERM
while read -r _; do :; done

mark=$1 client=$2
shift 2
for folder; do
    for pidfile in "$folder"/*/rpmd.pid; do
        [ -e "$pidfile" ] && RPM_HOME=${pidfile%/*} timeout 20 "$client" kill >/dev/null 2>&1
    done
done

# Several rounds, because a manager may start a program, or itself, once more before its turn comes.
for _ in 1 2 3 4 5 6 7 8 9 10; do
    left=$(grep -lF "$mark" /proc/[0-9]*/environ 2>/dev/null | sed 's|/proc/||; s|/environ||')
    [ -n "$left" ] || break
    # shellcheck disable=SC2086 # one word each
    kill -9 $left 2>/dev/null
    sleep 0.1
done
for folder; do rm -rf "$folder"; done
