#!/bin/sh
# Prints its arguments, a NUL after each.
for word in "$@"; do
    printf '%s\0' "$word"
done
