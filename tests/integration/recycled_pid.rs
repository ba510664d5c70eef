//! The number of a program that has ended is another process's now: that one is never taken for the program, and never
//! signalled.
//!
//! In a pid namespace of its own a process can be given the number that one chooses: `/proc/sys/kernel/ns_last_pid`,
//! see `proc_sys_kernel(5)`. Those who get one are stopped by SIGSTOP: any signal, even SIGCONT, would leave a trace.

use crate::harness::{Home, has, is_root, skip};

/// Functions for the scripts that run in the namespace.
const PRELUDE: &str = r#"#!/bin/sh
set -u
fail() { echo "failed: $*"; $RPM list; exit 1; }
# until_so COMMAND: waits until it succeeds.
until_so() { tries=0
    until "$@"; do
        tries=$((tries + 1)); [ $tries -lt 1000 ] || fail "waited in vain: $*"
        sleep 0.01
    done; }
is_gone() { ! [ -e /proc/$1 ]; }
is_stopped() { grep -q '^State:.T' /proc/$1/status; }
is_state() { $RPM list $1 | grep -q $2; }
# freeze PID...
freeze() { kill -STOP "$@"; for pid; do until_so is_stopped $pid; done; }
kill_daemons() {
    until_so grep -qsx rpmd-log /proc/[0-9]*/comm
    writer=$(grep -lsx rpmd-log /proc/[0-9]*/comm | cut -d/ -f3)
    supervisor=$(cat $RPM_HOME/rpmd.pid)
    freeze $supervisor $writer
    kill -9 $supervisor $writer
    until_so is_gone $supervisor; until_so is_gone $writer; }
# take PID [setsid]: a bystander that has this number, perhaps as the leader of a session.
take() { number=$1; shift; tries=0
    while :; do
        echo $((number - 1)) > /proc/sys/kernel/ns_last_pid
        "$@" sleep 1000 < /dev/null > /dev/null 2>&1 &
        [ $! = $number ] && break
        kill -9 $!
        tries=$((tries + 1)); [ $tries -lt 500 ] || fail "$number was not to be had, but $!"
    done
    until_so grep -qx sleep /proc/$number/comm
    freeze $number; }
# untouched PID...: nobody has signalled these bystanders.
untouched() { for pid; do
    seen=$(grep -E '^(State|SigPnd|ShdPnd):' /proc/$pid/status | tr -d '0 \t\n')
    [ "$seen" = 'State:T(stopped)SigPnd:ShdPnd:' ] || fail "$pid was signalled: $seen"
    done; }
# left PID...: the same for the last time, then they end.
left() { untouched "$@"; kill -9 "$@"; wait "$@"; }
"#;

/// Runs a script, after the functions, where numbers can be chosen.
#[track_caller]
fn inside(script: &str) {
    if !is_root() || !has("unshare") {
        return skip("only root, with unshare, can make a pid namespace");
    }
    let home = Home::new();
    home.script("inside", &format!("{PRELUDE}{script}\necho done\n"));
    // The first process waits, and so it reaps whoever is left to it.
    let output = home.shell(
        "exec unshare --pid --fork --kill-child --mount-proc sh -c './inside 2>&1 & wait $!'",
    );
    assert!(output.stdout.ends_with("\ndone\n"), "{}", output.shown());
}

#[test]
fn who_got_the_number_while_no_daemon_ran_is_not_adopted_and_not_signalled() {
    inside(
        r#"
for command in 'stop x y' 'restart x y' 'delete x y' kill; do
    for name in x y; do $RPM start sleep --name $name -- 1000; done
    x=$($RPM pid x) y=$($RPM pid y)
    kill_daemons
    kill -9 $x $y
    until_so is_gone $x; until_so is_gone $y
    take $x setsid; take $y
    $RPM $command || fail "$command"
    untouched $x $y
    $RPM list | grep -w -e $x -e $y && fail 'adopted'
    $RPM kill
    left $x $y
done"#,
    );
}

/// A program whose leader is killed while a member of its group lives on, which ignores the kill signal. The supervisor
/// sleeps when the last member ends and a bystander leads a group of that number.
fn a_group_that_is_anothers(when_the_leader_dies: &str) {
    inside(&format!(
        r#"
cat > parent.sh <<'END'
[ -e child ] && exec sleep 1000
trap '' INT TERM
sleep 1000 &
echo $! > child
wait
END
for command in 'stop x' 'restart x' 'delete x' kill; do
    rm -f child
    $RPM start parent.sh --name x --kill-timeout 1h
    until_so [ -s child ]
    x=$($RPM pid x)
    {when_the_leader_dies}
    until_so is_state x stopping
    $RPM $command &
    asked=$!
    until_so is_state x stopping
    supervisor=$(cat $RPM_HOME/rpmd.pid)
    freeze $supervisor
    kill -9 $(cat child)
    until_so is_gone $(cat child)
    take $x setsid
    kill -CONT $supervisor
    wait $asked || fail "$command"
    untouched $x
    $RPM kill
    left $x
done"#
    ));
}

#[test]
fn the_group_of_an_adopted_program_is_not_signalled_when_it_is_anothers() {
    a_group_that_is_anothers("kill_daemons; $RPM ping; kill -9 $x; until_so is_gone $x");
}

#[test]
fn the_group_of_a_program_that_ended_unseen_is_not_signalled_when_it_is_anothers() {
    a_group_that_is_anothers("kill_daemons; kill -9 $x; until_so is_gone $x; $RPM ping");
}

#[test]
fn a_member_outside_the_group_is_not_signalled_when_its_number_is_anothers() {
    inside(
        r#"
cat > parent.sh <<'END'
trap '' INT TERM
setsid sh -c 'echo $$ > child; exec sleep 1000' &
wait
exec sleep 1000
END
for adopted in no yes; do
    rm -f child
    $RPM start parent.sh --name x --kill-timeout 2s
    until_so [ -s child ]
    child=$(cat child)
    [ $adopted = no ] || { kill_daemons; $RPM ping; }
    $RPM stop x &
    stop=$!
    until_so is_state x stopping
    supervisor=$(cat $RPM_HOME/rpmd.pid)
    freeze $supervisor
    kill -9 $child
    until_so is_gone $child
    take $child setsid
    kill -CONT $supervisor
    wait $stop || fail stop
    untouched $child
    $RPM kill
    left $child
done"#,
    );
}

/// A home that one container leaves to the next: the machine is the same, and every number means another process.
#[test]
fn in_another_container_no_number_is_taken_for_a_program() {
    inside(
        r#"
$RPM start sleep --name x -- 1000
$RPM start sleep --name y -- 1000
$RPM stop y
x=$($RPM pid x)
kill_daemons
cat > other <<'END'
. ./functions
# A group whose leader is gone, as that of a daemon.
until
    echo $(($1 - 1)) > /proc/sys/kernel/ns_last_pid
    setsid sh -c 'sleep 1000 < /dev/null > /dev/null 2>&1 & echo $! $$ > daemon' &
    wait $!
    read -r pid group < daemon
    [ $group = $1 ]
do
    kill -9 $pid
done
freeze $pid
$RPM list
untouched $pid
until is_state x online; do is_state x 'launching' || is_state x online || fail 'x was wanted up'; done
is_state y stopped || fail 'y was not'
$RPM kill
left $pid
echo well
END
sed -n '1,/^left()/p' inside > functions
unshare --pid --fork --kill-child --mount-proc sh -c "sh ./other $x & wait \$!" > said 2>&1
cat said
grep -qx well said || fail other
kill -9 $x"#,
    );
}
