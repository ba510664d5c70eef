#!/bin/sh
# Boots machines for real, each in a container with an init of its own, and finds whether `rpm startup` holds what it
# promises: boot.sh [systemd|openrc|runit|s6|sysv]...
#
# In each: a user starts programs; root runs the line that `rpm startup` prints; the daemon is killed, and no program
# notices; the service restarts; the machine reboots and is powered off, and each program gets its own signal and the
# time that it needs, and no other signal; each boot finds the list as it was; `rpm unstartup` takes everything back.
#
# Needs root, debootstrap, systemd-nspawn, and the network for the first run. The images stay in BOOT_DIR.
set -eu
umask 022
here=$(CDPATH='' cd "$(dirname "$0")" && pwd)
project=$(CDPATH='' cd "$here/../.." && pwd)
images=${BOOT_DIR:-$project/target/boot}
suite=bookworm
mirror=${BOOT_MIRROR:-http://deb.debian.org/debian}

fail() {
    echo "boot: $init: $*" >&2
    exit 1
}
say() { printf '%s: %s\n' "$init" "$*"; }

init=all machine='' leader='' nspawn='' shown='' others=''
# However it ends, it leaves no process and no copy of an image.
leave() {
    code=$?
    trap '' HUP INT TERM
    set +e
    if [ "$code" != 0 ] && [ -n "$shown" ]; then
        echo "--- the console of $init"
        tail -n 40 "$shown"
        echo "--- rpmd.log and events"
        tail -n 40 "$machine/home/app/.rpm/rpmd.log" "$machine/home/app/events"
    fi >&2
    for other in $others; do
        kill -TERM "$other" 2>/dev/null
        wait "$other"
    done
    # It passes SIGTERM on as SIGKILL to process 1, whose end is that of the whole machine.
    [ -z "$nspawn" ] || { kill -TERM "$nspawn"; wait "$nspawn"; }
    [ -z "$machine" ] || rm -rf "${machine%/*}"
    exit "$code"
}
trap leave EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# until_so SECONDS WHAT COMMAND...: tries the command until it succeeds.
until_so() {
    tries=$(($1 * 10)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || fail "waited in vain: $what"
        sleep 0.1
    done
}

# image NAME PACKAGE...: makes the image of a machine, once.
image() {
    [ ! -e "$images/$1.made" ] || return 0
    folder=$images/$1
    say "making the image $1"
    rm -rf "$folder"
    mkdir -p "$images"
    if [ "$1" = base ]; then
        debootstrap --variant=minbase "$suite" "$folder" "$mirror" >"$folder.log" 2>&1 || fail "see $folder.log"
    else
        cp -a "$images/base" "$folder"
        # Nothing is started where nothing runs.
        printf '#!/bin/sh\nexit 101\n' >"$folder/usr/sbin/policy-rc.d"
        chmod 755 "$folder/usr/sbin/policy-rc.d"
        shift
        DEBIAN_FRONTEND=noninteractive chroot "$folder" \
            apt-get install -y --no-install-recommends "$@" >"$folder.log" 2>&1 || fail "see $folder.log"
        rm "$folder/usr/sbin/policy-rc.d"
    fi
    : >"$folder.made"
}

# What differs: the packages, process 1, how it is seen that the machine is up, and how it is told to end.
packages() {
    case $init in
        systemd) echo systemd systemd-sysv dbus libpam-systemd procps ;;
        openrc) echo openrc sysvinit-core procps ;;
        runit) echo runit runit-init procps ;;
        s6) echo s6 procps ;;
        sysv) echo sysvinit-core procps ;;
    esac
}
process_1() {
    case $init in
        systemd) echo /lib/systemd/systemd ;;
        s6) echo /usr/bin/s6-svscan /etc/service ;;
        *) echo /sbin/init ;;
    esac
}
is_up() {
    case $init in
        systemd) inside systemctl is-system-running --wait | grep -q 'running\|degraded' ;;
        openrc | sysv) inside pgrep -x getty ;;
        runit) inside pgrep -x runsvdir ;;
        # Fails where nobody listens.
        s6) inside s6-svscanctl -a /etc/service ;;
    esac
}
# Under s6 both are the end of process 1, which takes the machine with it.
halt() {
    case $init in
        systemd) inside systemctl "$1" ;;
        s6) inside s6-svscanctl -t /etc/service ;;
        *) inside "$1" ;;
    esac
}
restart() {
    case $init in
        systemd) inside systemctl restart rpm-app ;;
        openrc) inside rc-service rpm-app restart ;;
        runit) inside sv -w 60 restart /etc/sv/rpm-app ;;
        s6) inside s6-svc -wR -T 60000 -r /etc/s6/sv/rpm-app ;;
        sysv) inside /etc/init.d/rpm-app restart ;;
    esac
}
file() {
    case $init in
        systemd) echo /etc/systemd/system/rpm-app.service ;;
        openrc | sysv) echo /etc/init.d/rpm-app ;;
        runit) echo /etc/sv/rpm-app/run ;;
        s6) echo /etc/s6/sv/rpm-app/run ;;
    esac
}

inside() { nsenter -t "$leader" -m -u -i -n -p -C -r -w -- "$@"; }
app() { inside runuser -l app -c "$*"; }

boot() {
    say "booting: $1"
    # shellcheck disable=SC2046 # words
    systemd-nspawn -q -D "$machine" --register=no --keep-unit --machine="rpm-boot-$$-$init" \
        --kill-signal=SIGKILL $(process_1) </dev/null >>"$shown" 2>&1 &
    nspawn=$!
    until_so 60 'for process 1' found_leader
    until_so 60 'for the machine to be up' is_up
}
# The child of systemd-nspawn that is process 1 of another namespace, and no longer systemd-nspawn itself.
found_leader() {
    leader=$(cat "/proc/$nspawn/task/$nspawn/children")
    leader=${leader%% *}
    [ -n "$leader" ] && grep -q '^NSpid:.*[[:space:]]1$' "/proc/$leader/status" &&
        ! grep -q systemd-nspawn "/proc/$leader/cmdline"
}

is_down() { [ ! -e "/proc/$leader" ]; }

# ends reboot|poweroff: the machine ends in good order; nspawn tells a reboot by its exit status.
ends() {
    say "$1"
    # It may not live to see its own success.
    halt "$1" >>"$shown" 2>&1 || :
    until_so 60 "for the $1" is_down
    code=0
    wait "$nspawn" || code=$?
    leader='' nspawn=''
    case $init:$1:$code in
        *:poweroff:0 | *:reboot:133 | s6:*:0) ;;
        *) fail "the end of the machine: $1 gave $code" ;;
    esac
}

pids() { app rpm pid int usr1 slow; }
daemon() { cat "$machine/home/app/.rpm/rpmd.pid"; }
# events -e|-v: what the programs have noted, their starts or all else.
events() { grep "$1" ^start "$machine/home/app/events" | sort; }
forget_events() { : >"$machine/home/app/events"; }

# The programs have ended as they should: each with its own signal, in its own time, and nothing else came.
ended_well() {
    # shellcheck disable=SC2086 # one word each
    set -- $before
    sort >"${machine%/*}/due" <<END
INT int $1
USR1 usr1 $2
INT slow $3
bye int $1
bye usr1 $2
bye slow $3
END
    events -v | diff -u "${machine%/*}/due" - >&2 || fail 'these are not the signals that were due (see above)'
}

have_started() { [ "$(grep -c ^start "$machine/home/app/events")" = 3 ]; }
# The programs have been started, and by a daemon that was there already.
started_well() {
    until_so 60 'for three programs' have_started
    before=$(pids)
    # shellcheck disable=SC2086 # one word each
    set -- $before
    printf 'start %s\n' "int $1" "usr1 $2" "slow $3" | sort >"${machine%/*}/due"
    events -e | diff -u "${machine%/*}/due" - >&2 || fail 'these are not the programs that were due (see above)'
    said=$(app 'rpm list' 2>&1 >/dev/null)
    [ -z "$said" ] || fail "rpm list said: $said"
    code=0
    app 'rpm status down' >/dev/null || code=$?
    [ "$code" = 3 ] || fail "the program that was stopped: exit status $code"
    app 'rpm status int usr1 slow' >/dev/null || fail 'not online'
    forget_events
}

other_daemon() { pid=$(daemon) && [ -n "$pid" ] && [ "$pid" != "$killed" ] && inside kill -0 "$pid"; }
kill_daemon() {
    killed=$(daemon)
    inside kill -KILL "$killed"
    until_so 60 'for another daemon' other_daemon
    unnoticed
}
unnoticed() {
    [ "$(pids)" = "$before" ] || fail 'the programs have other pids'
    app 'rpm status int usr1 slow' >/dev/null || fail 'not online'
    [ ! -s "$machine/home/app/events" ] || fail "a program has noticed: $(cat "$machine/home/app/events")"
}

is_gone() { [ ! -e "$machine$(file)" ] && ! inside pgrep -x rpmd; }

# The same with the user's own systemd.
try_user() {
    inside loginctl enable-linger app
    session=/run/user/$(inside id -u app)
    until_so 60 "for the user's systemd" inside test -S "$session/systemd/private"
    say 'rpm startup systemd-user'
    app XDG_RUNTIME_DIR="$session" rpm startup systemd-user >>"$shown" 2>&1 || fail 'rpm startup systemd-user failed'
    started_well
    kill_daemon
    ends reboot
    ended_well
    boot 'the programs are to be there'
    started_well
    say 'rpm unstartup systemd-user'
    app XDG_RUNTIME_DIR="$session" rpm unstartup systemd-user >>"$shown" 2>&1 || fail 'rpm unstartup systemd-user failed'
    until_so 60 'for nothing to be left' is_gone
    ended_well
}

try() {
    init=$1
    began=$(date +%s)
    # In a folder of its own: the lock of systemd-nspawn is beside it.
    machine=$images/run.$$/$init shown=$images/$init.console
    mkdir -p "${machine%/*}"
    : >"$shown"
    cp -a "$images/$init" "$machine"
    make -s -C "$project" install DESTDIR="$machine" PREFIX=/usr/local >/dev/null
    chroot "$machine" useradd -m -s /bin/bash app
    cp "$here/program.sh" "$machine/home/app/program.sh"
    [ "$init" != s6 ] || mkdir -p "$machine/etc/service"

    boot 'the programs are started by hand'
    app rpm --silent start program.sh --name int -- int 0
    app rpm --silent start program.sh --name usr1 --kill-signal SIGUSR1 -- usr1 0
    app rpm --silent start program.sh --name slow --kill-timeout 20s -- slow 2
    app rpm --silent start sleep --name down -- 1000
    app rpm --silent stop down
    until_so 60 'for three programs' have_started
    forget_events
    before=$(pids)

    say 'rpm startup'
    code=0
    line=$(app rpm startup 2>/dev/null) || code=$?
    [ "$code" = 1 ] || fail "rpm startup without root: exit status $code"
    [ "$line" = "sudo /usr/local/bin/rpm startup $init -u app --hp /home/app" ] || fail "it printed $line"
    line=${line#sudo }
    if [ "$init" = systemd ]; then
        # Shorter than the slow program: what the daemon tells systemd counts, not this.
        mkdir -p "$machine/etc/systemd/system/rpm-app.service.d"
        printf '[Service]\nTimeoutStopSec=1\n' >"$machine/etc/systemd/system/rpm-app.service.d/short.conf"
    fi
    inside sh -c "$line" >>"$shown" 2>&1 || fail "$line"
    inside sh -c "$line" >>"$shown" 2>&1 || fail "$line, once more"
    [ "$(pids)" = "$before" ] || fail 'rpm startup restarted a program'

    if [ "$init" != sysv ]; then
        say 'the daemon that was launched by hand ends: the service takes over'
        killed=$(daemon)
        app rpm --silent kill --keep
        until_so 60 'for another daemon' other_daemon
        unnoticed
    fi
    if [ "$init" = systemd ]; then
        main=$(daemon)
        [ "$(inside systemctl show -p MainPID --value rpm-app)" = "$main" ] || fail 'systemd knows another daemon'
        say 'the service is reloaded'
        inside systemctl reload rpm-app || fail 'systemctl reload rpm-app failed'
        # The log writer writes the line, in its own time.
        until_so 30 'for the updated daemon' grep -q 'rpmd 0.* goes on' "$machine/home/app/.rpm/rpmd.log"
        [ "$(daemon)" = "$main" ] || fail 'the daemon has another pid'
        unnoticed
    fi
    say 'the daemon of the service is killed'
    kill_daemon
    say 'the service is restarted'
    restart >>"$shown" 2>&1
    until_so 60 'for three programs' have_started
    ended_well
    started_well

    ends reboot
    ended_well
    boot 'the programs are to be there'
    started_well
    say 'the daemon is killed'
    kill_daemon
    ends poweroff
    ended_well
    boot 'the programs are to be there'
    started_well
    say 'rpm unstartup'
    line=$(echo "$line" | sed 's/ startup / unstartup /')
    inside sh -c "$line" >>"$shown" 2>&1 || fail 'rpm unstartup failed'
    until_so 60 'for nothing to be left' is_gone
    ended_well
    forget_events
    ends reboot
    boot 'no program is to be there'
    ! inside pgrep -x rpmd || fail 'rpmd runs'
    [ ! -s "$machine/home/app/events" ] || fail "a program was started: $(cat "$machine/home/app/events")"
    [ "$init" != systemd ] || try_user
    ends poweroff
    rm -rf "${machine%/*}"
    machine='' shown=''
    say "all is well, $(($(date +%s) - began)) s"
}

[ $# -gt 0 ] || set -- systemd openrc runit s6 sysv
for init; do
    [ -n "$(packages)" ] || { echo "boot: there is no init $init" >&2 && exit 2; }
    image base
    # shellcheck disable=SC2046 # words
    image "$init" $(packages)
done
[ $# -gt 1 ] || { try "$1" && exit; }
# Several boot at the same time: most of it is waiting.
init=all failed=''
for one; do
    sh "$here/boot.sh" "$one" &
    others="$others $!"
done
for other in $others; do
    wait "$other" || failed=yes
    others=${others#" $other"}
done
[ -z "$failed" ] || fail 'see above'
