#!/bin/sh
# Tells the time once a second, and counts from 1 in every new life.
second=1
while :; do
    echo "$(date +%T)  second $second of process $$"
    second=$((second + 1))
    sleep 1
done
