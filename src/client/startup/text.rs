//! The files of services, a function a platform.
//!
//! Each runs `rpmd` in the foreground, brings it back when it dies, and never signals the programs themselves: on
//! SIGTERM the daemon stops each with its own signal and timeout; where the daemon dies they live on, and the next
//! one adopts them. SysV init brings nothing back: there `rpmd` becomes a daemon, and its log writer does.

use super::service::Service;
use crate::client::display::shell;

/// The first comment of every file that is ours to replace and to remove.
pub const MARK: &str = "# Written by rpm startup; rpm unstartup removes it.";

/// What `rpmd` is told.
const FLAGS: &str = "--foreground --standby";

fn purpose(service: &Service) -> String {
    format!("rpmd, which keeps the programs of {} running", service.user)
}

/// A word of a unit file: `systemd.syntax(7)` quotes, `systemd.unit(5)` specifiers.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+@:=,".contains(c);
    let text = text.replace("%", "%%");
    match text.chars().all(plain) {
        true => text,
        false => format!("\"{}\"", text.replace("\\", "\\\\").replace("\"", "\\\"")),
    }
}

/// `systemd.service(5)` for the system.
pub fn systemd(service: &Service) -> String {
    let unit = format!(
        "After=network.target nss-user-lookup.target\nRequiresMountsFor={}\n",
        word(&service.home)
    );
    let user = format!("User={}\n", service.user.replace("%", "%%"));
    unit_file(service, &unit, &user, "multi-user.target")
}

/// `systemd.service(5)` for the user's own manager.
pub fn systemd_user(service: &Service) -> String {
    unit_file(service, "", "", "default.target")
}

fn unit_file(service: &Service, unit: &str, user: &str, target: &str) -> String {
    let purpose = purpose(service).replace("%", "%%");
    let home = word(&format!("RPM_HOME={}", service.home));
    let (daemon, client) = (word(&service.daemon), word(&service.client));
    format!(
        "{MARK}
[Unit]
Description={purpose}
{unit}# However often the daemon dies, there is to be another.
StartLimitIntervalSec=0

[Service]
Type=notify
{user}Environment={home}
ExecStart={daemon} {FLAGS}
# After an installation: the new release goes on with the same programs.
ExecReload={client} update
Restart=always
RestartSec=1
# The daemon alone gets the signal. It stops each program in the program's own way, and tells systemd how long that
# may take. Where the daemon dies, the programs live on and the next daemon adopts them.
KillMode=process
# Each program has a cgroup of its own below that of the daemon: so whatever it starts is ended with it.
Delegate=yes
# A program that is out of memory is no reason to stop the others.
OOMPolicy=continue
TasksMax=infinity

[Install]
WantedBy={target}
"
    )
}

/// `openrc-run(8)`. The shell evaluates the command and the user once more, hence quotes within quotes.
pub fn openrc(service: &Service) -> String {
    let twice = |text: &str| shell::quoted(&shell::quoted(text));
    let user = match service.is_roots() {
        true => String::new(),
        false => format!("command_user={}\n", twice(&service.user)),
    };
    format!(
        "#!/sbin/openrc-run
{MARK}
description={purpose}
supervisor=supervise-daemon
command={daemon}
command_args='{FLAGS}'
{user}# However often the daemon dies, there is to be another.
respawn_delay=1
respawn_max=0
# The daemon alone gets the signal: it stops each program in the program's own way, however long that takes.
retry=TERM/600
export RPM_HOME={home}

depend() {{
    use localmount netmount net
    after bootmisc
}}
",
        purpose = shell::quoted(&purpose(service)),
        daemon = twice(&service.daemon),
        home = shell::quoted(&service.home),
    )
}

/// A script of `/etc/init.d`, with the header of the LSB and the actions that it demands.
pub fn sysv(service: &Service) -> String {
    format!(
        "#!/bin/sh
{MARK}
### BEGIN INIT INFO
# Provides:          {name}
# Required-Start:    $remote_fs $network
# Required-Stop:     $remote_fs $network
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: {purpose}
### END INIT INFO
set -u
export RPM_HOME={home}
user={user}

# By user and name too: whatever the file says, no other process gets the signal.
control() {{
    start-stop-daemon --quiet --user \"$user\" --name rpmd --pidfile \"$RPM_HOME/rpmd.pid\" \"$@\"
}}

case ${{1:-}} in
    start) control --start --oknodo --chuid \"$user\" --startas {daemon} -- --launched ;;
    # The daemon alone gets the signal: it stops each program in the program's own way, however long that takes.
    stop) control --stop --oknodo --retry TERM/600 ;;
    restart | force-reload) \"$0\" stop && \"$0\" start ;;
    status) control --status ;;
    *)
        echo \"usage: $0 start|stop|restart|force-reload|status\" >&2
        exit 2
        ;;
esac
",
        name = service.name,
        purpose = purpose(service),
        home = shell::quoted(&service.home),
        user = shell::quoted(&service.user),
        daemon = shell::quoted(&service.daemon),
    )
}

/// The file `run` of `runsv(8)`. `chpst` gives up the groups that it is not told of.
pub fn runit(service: &Service) -> String {
    let user = shell::quoted(&service.user);
    let groups = format!("\"$(id -Gn {user} | tr ' ' ':')\"");
    run_file(service, &format!("chpst -u {user}:{groups} "))
}

/// The file `run` of `s6-supervise`.
pub fn s6(service: &Service) -> String {
    let user = shell::quoted(&service.user);
    run_file(service, &format!("s6-setuidgid {user} "))
}

fn run_file(service: &Service, become_user: &str) -> String {
    format!(
        "#!/bin/sh
{MARK}
exec 2>&1
export RPM_HOME={home}
exec {become_user}{daemon} {FLAGS}
",
        home = shell::quoted(&service.home),
        daemon = shell::quoted(&service.daemon),
        become_user = if service.is_roots() { "" } else { become_user },
    )
}
