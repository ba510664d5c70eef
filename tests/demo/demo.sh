#!/bin/sh
# Ten seconds with rpm: a daemon of its own in a temporary folder, one program that works, one that crashes. Kills the
# daemon, then a program. Takes rpm and rpmd from RPM_BIN_DIR; fails when a program does not survive or come back.
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

# The pid of a program once it is there and is not this one.
pid_after() {
    tries=0
    until after=$(rpm pid clock 2>/dev/null) && [ "${after:-0}" != 0 ] && [ "$after" != "$1" ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 50 ] || { echo 'The clock did not come back within five seconds.' >&2; exit 1; }
        sleep 0.1
    done
}

cd "$here"
say 'Two programs: one prints the time, the other crashes every few seconds.'
show rpm start ./clock.sh --name clock
show rpm start ./flaky.sh --name flaky
sleep 3
show rpm list

say 'Kill the daemon with SIGKILL. Programs run on, and a new daemon adopts them.'
daemon=$(cat "$RPM_HOME/rpmd.pid") before=$(rpm pid clock)
show kill -KILL "$daemon"
show rpm list
[ "$(rpm pid clock)" = "$before" ] || { echo 'The clock did not outlive the daemon.' >&2; exit 1; }
[ "$(cat "$RPM_HOME/rpmd.pid")" != "$daemon" ] || { echo 'The daemon was not killed.' >&2; exit 1; }
say "The clock is still process $before. The daemon was process $daemon and is process $(cat "$RPM_HOME/rpmd.pid") now."

say 'Kill the clock, as the kernel does when memory is short.'
show kill -KILL "$before"
pid_after "$before"
say "The clock was process $before and is process $after now."
sleep 3
show rpm list
show rpm logs clock --lines 8 --nostream
show rpm logs flaky --lines 6 --nostream

say 'Stop everything, the daemon too.'
show rpm kill
