#!/bin/sh
# A program with children and grandchildren, one of them in a session of its own. All of them ignore SIGINT.
trap '' INT
sleep 1000 &
sh -c 'sleep 1000 & wait' &
setsid sh -c 'sleep 1000 & wait' &
echo ready
wait
