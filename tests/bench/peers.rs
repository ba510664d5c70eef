//! Other process managers, as far as they are installed: what the same work costs there.
//!
//! Their rows have no limit and no target. They stand beside ours.

use crate::measure::{median, wait_until, wall};
use crate::proc;
use crate::restart::Mortal;
use crate::table::{Bound, Quantity, Table};
use crate::workshop::{Place, Workshop};
use rpm::error::{Context, Result};
use std::env;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

const RESTART: &str = "peer restart";
const LIST: &str = "peer list with 10 programs";
const MEMORY: &str = "peer memory with 100 programs";

/// What is measured of each peer, as far as it can do it.
pub const ROWS: &[&str] = &[MEMORY, LIST, RESTART];

/// A life long enough that no peer takes it for a failed start: some wait a second then.
const LIFE: u64 = 1_100;

/// A program for a peer to run.
pub struct Service {
    name: String,
    /// The program and its arguments, none of which holds a blank or a quote.
    words: Vec<String>,
    log: PathBuf,
}

impl Service {
    /// A program, its arguments, and where its standard output goes.
    pub fn new(name: &str, program: &Path, arguments: &[String], log: &Path) -> Service {
        let mut words = vec![program.to_string_lossy().into_owned()];
        words.extend_from_slice(arguments);
        Service {
            name: name.to_string(),
            words,
            log: log.to_path_buf(),
        }
    }
}

/// Another process manager.
pub struct Peer {
    name: &'static str,
    /// Every executable that is needed.
    pub needs: &'static [&'static str],
    /// Writes what the peer has to know into a folder, and gives the command that runs it all.
    prepare: fn(&Workshop, &Path, &[Service]) -> Result<Command>,
    /// The command that prints the table, for a peer that has one.
    list: Option<fn(&Workshop, &Path) -> Command>,
}

/// Supervisor.
pub const SUPERVISORD: Peer = Peer {
    name: "supervisord",
    needs: &["supervisord", "supervisorctl"],
    prepare: supervisord,
    list: Some(supervisorctl),
};

/// pm2.
pub const PM2: Peer = Peer {
    name: "pm2",
    needs: &["pm2"],
    prepare: pm2,
    list: Some(|workshop, folder| pm2_command(workshop, folder, "list")),
};

const PEERS: [Peer; 4] = [
    SUPERVISORD,
    PM2,
    Peer {
        name: "s6",
        needs: &["s6-svscan", "s6-supervise"],
        prepare: |workshop, folder, services| scanned(workshop, folder, services, "s6-svscan"),
        list: None,
    },
    Peer {
        name: "runit",
        needs: &["runsvdir", "runsv"],
        prepare: |workshop, folder, services| scanned(workshop, folder, services, "runsvdir"),
        list: None,
    },
];

/// A peer at work. When it is dropped, it and all else of this run is killed.
pub struct Running<'a> {
    workshop: &'a Workshop,
    /// What it knows.
    pub folder: PathBuf,
    /// What was started of it.
    pub manager: Child,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.workshop.kill_all();
        // Whatever the mark did not reach.
        let _ = self.manager.kill();
        let _ = self.manager.wait();
    }
}

/// All rows of all peers.
pub fn measure(workshop: &Workshop, table: &mut Table) -> Result<()> {
    for peer in &PEERS {
        if let Some(missing) = peer.needs.iter().find(|program| !is_installed(program)) {
            table.remark(&format!(
                "peer {} is left out: {missing} is not installed",
                peer.name
            ));
            continue;
        }
        for part in [memory, list, restart] {
            if let Err(error) = part(workshop, table, peer) {
                table.remark(&format!("peer {}: {error}", peer.name));
            }
        }
    }
    Ok(())
}

fn memory(workshop: &Workshop, table: &mut Table, peer: &Peer) -> Result<()> {
    if !table.wants(MEMORY) {
        return Ok(());
    }
    let _running = run_pausers(workshop, peer, 100)?;
    let programs = workshop.program("");
    let mut bytes = 0;
    for process in proc::all() {
        let owned = workshop.owns(&proc::environment(process.pid));
        if owned && proc::executable(process.pid).is_some_and(|path| !path.starts_with(&programs)) {
            // A helper that ended in the meantime takes up nothing.
            bytes += proc::memory(process.pid).unwrap_or(0);
        }
    }
    row(table, MEMORY, peer, Quantity::Bytes(bytes as f64));
    Ok(())
}

fn list(workshop: &Workshop, table: &mut Table, peer: &Peer) -> Result<()> {
    let Some(command) = peer.list.filter(|_| table.wants(LIST)) else {
        return Ok(());
    };
    let running = run_pausers(workshop, peer, 10)?;
    let runs = 0..workshop.runs(10, 3);
    let seconds = runs
        .map(|_| wall(&mut command(workshop, &running.folder)))
        .collect::<Result<_>>()?;
    row(table, LIST, peer, Quantity::Seconds(median(seconds)));
    Ok(())
}

fn restart(workshop: &Workshop, table: &mut Table, peer: &Peer) -> Result<()> {
    if !table.wants(RESTART) {
        return Ok(());
    }
    let mortal = Mortal::new(workshop, workshop.runs(20, 5), LIFE);
    let log = workshop.fresh(Place::Disk);
    let service = Service::new("mortal", &mortal.program, &mortal.arguments(), &log);
    let _running = run(workshop, peer, &[service])?;
    row(
        table,
        RESTART,
        peer,
        Quantity::Seconds(median(mortal.restarts()?)),
    );
    Ok(())
}

/// Has a peer run programs that do nothing, and waits until they all do.
fn run_pausers<'a>(workshop: &'a Workshop, peer: &Peer, count: usize) -> Result<Running<'a>> {
    let program = workshop.program("pauser");
    let services: Vec<Service> = (0..count)
        .map(|i| Service::new(&format!("p{i}"), &program, &[], Path::new("/dev/null")))
        .collect();
    let running = run(workshop, peer, &services)?;
    let all_run = || {
        let runs = |p: &proc::Process| proc::executable(p.pid).as_ref() == Some(&program);
        proc::all().iter().filter(|p| runs(p)).count() == count
    };
    let (limit, pause) = (Duration::from_secs(120), Duration::from_millis(200));
    wait_until("all programs to run", limit, pause, all_run)?;
    thread::sleep(Duration::from_secs(2));
    Ok(running)
}

/// Has a peer run programs.
pub fn run<'a>(workshop: &'a Workshop, peer: &Peer, services: &[Service]) -> Result<Running<'a>> {
    let folder = workshop.fresh(Place::Disk);
    create_folder(&folder)?;
    let mut command = (peer.prepare)(workshop, &folder, services)?;
    // What it says about itself is not ours to show.
    command.stderr(Stdio::null());
    let manager = command
        .spawn()
        .doing(|| format!("starting {}", peer.name))?;
    Ok(Running {
        workshop,
        folder,
        manager,
    })
}

fn row(table: &mut Table, what: &str, peer: &Peer, value: Quantity) {
    table.row(&format!("{what}: {}", peer.name), value, None, Bound::Free);
}

fn supervisord(workshop: &Workshop, folder: &Path, services: &[Service]) -> Result<Command> {
    let at = folder.display();
    let mut text = format!(
        "[supervisord]\nnodaemon=true\nlogfile={at}/log\npidfile={at}/pid\n\
         [unix_http_server]\nfile={at}/socket\n\
         [supervisorctl]\nserverurl=unix://{at}/socket\n\
         [rpcinterface:supervisor]\n\
         supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
    );
    for Service { name, words, log } in services {
        let (words, log) = (words.join(" "), log.display());
        let _ = write!(
            text,
            "[program:{name}]\ncommand={words}\nautorestart=true\nstartsecs=0\n\
             stdout_logfile={log}\nstdout_logfile_maxbytes=0\nstderr_logfile=NONE\n"
        );
    }
    let file = folder.join("conf");
    write_file(&file, &text)?;
    let mut command = workshop.command("supervisord");
    command.arg("-c").arg(file);
    Ok(command)
}

fn supervisorctl(workshop: &Workshop, folder: &Path) -> Command {
    let mut command = workshop.command("supervisorctl");
    command.arg("-c").arg(folder.join("conf")).arg("status");
    command
}

fn pm2(workshop: &Workshop, folder: &Path, services: &[Service]) -> Result<Command> {
    let apps = services.iter().map(|Service { name, words, log }| {
        let (script, arguments, log) = (&words[0], words[1..].join(" "), log.display());
        format!(
            r#"{{"name":"{name}","script":"{script}","args":"{arguments}","interpreter":"none",
            "exec_mode":"fork","out_file":"{log}","error_file":"/dev/null"}}"#
        )
    });
    let file = folder.join("apps.json");
    write_file(
        &file,
        &format!(r#"{{"apps":[{}]}}"#, apps.collect::<Vec<_>>().join(",")),
    )?;
    let mut command = pm2_command(workshop, folder, "start");
    command.arg(file);
    Ok(command)
}

fn pm2_command(workshop: &Workshop, folder: &Path, verb: &str) -> Command {
    let mut command = workshop.command("pm2");
    command.env("PM2_HOME", folder.join("pm2")).arg(verb);
    command
}

/// The managers of the daemontools family: a folder for each service, with a script that becomes it.
fn scanned(
    workshop: &Workshop,
    folder: &Path,
    services: &[Service],
    scanner: &str,
) -> Result<Command> {
    for Service { name, words, .. } in services {
        let script = folder.join(name).join("run");
        create_folder(&folder.join(name))?;
        write_file(&script, &format!("#!/bin/sh\nexec {}\n", words.join(" ")))?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))
            .doing(|| format!("making {} executable", script.display()))?;
    }
    let mut command = workshop.command(scanner);
    command.arg(folder);
    Ok(command)
}

/// Makes a folder.
pub fn create_folder(folder: &Path) -> Result<()> {
    fs::create_dir(folder).doing(|| format!("making the folder {}", folder.display()))
}

/// Writes a file.
pub fn write_file(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).doing(|| format!("writing {}", path.display()))
}

/// Whether a program is in `PATH`.
pub fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
