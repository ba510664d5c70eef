#!/bin/sh
# Works for two or three seconds, then crashes.
echo "process $$ begins to work"
sleep $((2 + $$ % 2))
echo "process $$ crashes" >&2
exit 1
