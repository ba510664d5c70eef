#!/bin/sh
# Notes its start and every signal in ~/events; ends on SIGINT and SIGUSR1, after so many seconds.
name=$1 seconds=$2
note() { echo "$* $name $$" >>"$HOME/events"; }
end() {
    note "$1"
    kill -KILL "$!"
    sleep "$seconds"
    note bye
    exit 0
}
trap 'end INT' INT
trap 'end USR1' USR1
trap 'note TERM' TERM
trap 'note HUP' HUP
note start
while :; do
    sleep 1000 &
    wait "$!"
done
