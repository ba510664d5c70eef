#!/bin/sh
# Ten seconds with rpm: a daemon of its own in a temporary folder, one program that works, one that crashes,
# and a SIGKILL. Takes rpm and rpmd from RPM_BIN_DIR; fails when the killed program does not come back.
set -eu

here=$(CDPATH='' cd "$(dirname "$0")" && pwd)
bin=$(CDPATH='' cd "${RPM_BIN_DIR:-$here/../../target/release}" && pwd)
[ -x "$bin/rpm" ] || { echo "There is no rpm in $bin: run make first." >&2; exit 1; }
PATH=$bin:$PATH
RPM_HOME=$(mktemp -d "${TMPDIR:-/tmp}/rpm-demo.XXXXXX")
export PATH RPM_HOME

# However the demo ends, it leaves no process and no file.
leave() {
    trap '' HUP INT TERM
    rpm kill >/dev/null 2>&1 || :
    rm -rf "$RPM_HOME"
}
trap leave EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '\n# %s\n' "$*"; }
show() {
    printf '\n$ %s\n' "$*"
    "$@"
}

cd "$here"
say 'Two programs: one tells the time, the other crashes every few seconds.'
show rpm start ./clock.sh --name clock
show rpm start ./flaky.sh --name flaky
sleep 4
show rpm list

say 'Kill the clock, as the kernel does when memory is short.'
before=$(rpm pid clock)
show kill -KILL "$before"
tries=0
until after=$(rpm pid clock) && [ "${after:-0}" != 0 ] && [ "$after" != "$before" ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 50 ] || { echo 'The clock did not come back within five seconds.' >&2; exit 1; }
    sleep 0.1
done
say "It is back: process $before was killed, process $after runs."
sleep 4
show rpm list
show rpm logs clock --lines 8 --nostream
show rpm logs flaky --lines 6 --nostream

say 'Stop everything, the daemon too.'
show rpm kill
