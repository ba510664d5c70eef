#!/bin/sh
# A program with children and grandchildren, one of them in a session of its own. All of them ignore SIGINT and SIGTERM.
trap '' INT TERM
sleep 1000 &
sh -c 'sleep 1000 & wait' &
setsid sh -c 'sleep 1000 & wait' &
echo ready
wait
