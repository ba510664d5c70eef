//! `rpm web`: a small web server as a managed program, and `rpm metrics`.
//!
//! ```text
//! mod         the commands: starting the server, and being it
//! notice      how the server tells the client that started it whether it serves
//! server      the event loop; connection, one client
//! http        the head of a request; access, who may ask; routes, what for; response, the head of an answer
//! answers     the bodies: page.html, JSON; prom, the metrics; history and system, the figures in them
//! ```

mod access;
mod answers;
mod connection;
mod history;
mod http;
mod notice;
mod prom;
mod response;
mod routes;
mod server;
mod system;

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::ffi::OsStringExt;

use access::Access;
use connection::Limits;
use notice::Notice;
use server::Server;

use crate::client::daemon::exchange::Daemon;
use crate::client::daemon::session::{DONE, FAILED, Session, USAGE_ERROR};
use crate::client::display::output;
use crate::error::{Context, Error, Reason, Result};
use crate::model::life::Want;
use crate::model::spec::{Environment, Spec};
use crate::paths::Home;
use crate::protocol::process::Process;
use crate::protocol::program_info::ProgramInfo;
use crate::protocol::request::Request;
use crate::sys::signal::{self, SelfPipe, Signal};

/// What the managed program is called.
const NAME: &str = "rpm-web";
/// The port unless another is given: that of pm2's `web`.
const PORT: u16 = 9615;
/// Where the token is passed on: other users see the arguments of a program, and not its environment.
const TOKEN: &str = "RPM_WEB_TOKEN";

/// What the hidden flag `--serve` says: whether a token must be in the environment. A restart with another
/// environment may not take the lock from the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serve {
    /// Without a token.
    Open,
    /// With one.
    Token,
}

impl Serve {
    /// The meaning of the flag's value.
    pub fn read(word: &str) -> Option<Serve> {
        match word {
            "open" => Some(Serve::Open),
            "token" => Some(Serve::Token),
            _ => None,
        }
    }
}

/// `rpm metrics`
pub fn metrics(session: &mut Session) -> Result<u8> {
    let targets = Vec::new();
    let processes = session.daemon()?.processes(&Request::List { targets })?;
    let all: Vec<&Process> = processes.iter().collect();
    output::print(prom::text(&all).as_bytes())?;
    Ok(DONE)
}

/// `rpm web`
pub fn run(session: &mut Session) -> Result<u8> {
    let asked = match Asked::of(session) {
        Ok(asked) => asked,
        Err(sentence) => {
            output::complain(sentence);
            return Ok(USAGE_ERROR);
        }
    };
    if let Some(word) = &session.invocation.options.serve {
        let Some(serve) = Serve::read(word) else {
            output::complain("--serve: it is open or token");
            return Ok(USAGE_ERROR);
        };
        return asked.serve(&session.home()?, serve);
    }
    let mut daemon = session.daemon()?;
    let targets = Vec::new();
    let known = daemon.describe(targets)?;
    let known = known.into_iter().find(|known| known.spec.name == NAME);
    let address = match known {
        None => asked.start(&mut daemon)?,
        Some(record) => match already(session, &asked, &record)? {
            Some(address) => {
                session.say(&format!("rpm: {NAME} serves on {address} already\n"))?;
                return Ok(DONE);
            }
            None => start_again(&mut daemon)?,
        },
    };
    session.say(&format!(
        "rpm: {NAME} serves on {address}; rpm delete {NAME} ends it\n"
    ))?;
    Ok(DONE)
}

/// Where the server that is managed already serves; none where it does not run.
fn already(session: &Session, asked: &Asked, record: &ProgramInfo) -> Result<Option<String>> {
    let args = &record.spec.args;
    if !args.iter().any(|word| word == b"--serve") {
        return Err(Error::new(format!(
            "a program that is no web server of rpm is called {NAME}; delete it, or give it another name"
        )));
    }
    let options = &session.invocation.options;
    let given = !session.invocation.words.is_empty()
        || options.bind.is_some()
        || options.token.is_some()
        || !options.host.is_empty();
    let token = record.spec.env.get(TOKEN.as_bytes());
    let same = *args == asked.arguments() && token == asked.token.as_deref().map(str::as_bytes);
    if given && !same {
        return Err(Error::new(format!(
            "{NAME} is managed already, with other settings; rpm delete {NAME} first"
        )));
    }
    match record.process.pid {
        0 => Ok(None),
        pid => notice::wait(&session.home()?, pid).map(Some),
    }
}

/// Starts the server that is managed and does not run.
fn start_again(daemon: &mut Daemon) -> Result<String> {
    let targets = vec![NAME.to_owned()];
    let processes = daemon.processes(&Request::Restart {
        targets: targets.clone(),
        told: None,
    })?;
    notice::wait(daemon.home(), pid_of(&processes)).inspect_err(|_| {
        // As it was before: not running.
        let _ = daemon.request(&Request::Stop { targets }, &mut |_| Ok(()));
    })
}

/// The pid of the one program of an answer; 0 when it has ended already.
fn pid_of(processes: &[Process]) -> i32 {
    processes.first().map_or(0, |process| process.pid)
}

/// What the command line asks for.
struct Asked {
    address: SocketAddr,
    names: Vec<String>,
    token: Option<String>,
}

impl Asked {
    /// The command line, where it makes sense.
    fn of(session: &Session) -> std::result::Result<Asked, String> {
        let options = &session.invocation.options;
        let word = session.invocation.words.first();
        let port = word.map_or(Ok(PORT), |word| {
            let number = word.to_str().and_then(|word| word.parse().ok());
            number.ok_or_else(|| {
                let word = word.to_string_lossy();
                format!("'{word}' is not a port; a port is a number up to 65535")
            })
        })?;
        let address = match options.bind.as_deref() {
            None => Ipv4Addr::LOCALHOST.into(),
            Some(text) => {
                ip(text).ok_or_else(|| format!("--bind: '{text}' is not an IP address"))?
            }
        };
        for name in &options.host {
            access::check_name(name).map_err(|why| format!("--host: {why}"))?;
        }
        let inherited = std::env::var(TOKEN).ok().filter(|token| !token.is_empty());
        let (token, origin) = match &options.token {
            Some(token) => (Some(token.clone()), "--token"),
            None => (inherited, TOKEN),
        };
        if let Some(token) = &token {
            access::check_token(token).map_err(|why| format!("{origin}: {why}"))?;
        }
        if token.is_none() && !address.to_canonical().is_loopback() {
            return Err(format!(
                "anyone who can reach {address} could read the list and the logs; add --token"
            ));
        }
        Ok(Asked {
            address: SocketAddr::new(address, port),
            names: options.host.clone(),
            token,
        })
    }

    /// The words that make the client the server.
    fn arguments(&self) -> Vec<Vec<u8>> {
        let serve = if self.token.is_some() {
            "token"
        } else {
            "open"
        };
        let mut words = vec!["web".to_owned(), self.address.port().to_string()];
        words.extend(["--bind".to_owned(), self.address.ip().to_string()]);
        for name in &self.names {
            words.extend(["--host".to_owned(), name.clone()]);
        }
        words.extend(["--serve".to_owned(), serve.to_owned()]);
        words.into_iter().map(String::into_bytes).collect()
    }

    /// Starts the server as a program of the daemon; where it serves. On failure nothing is managed.
    fn start(&self, daemon: &mut Daemon) -> Result<String> {
        let own = std::env::current_exe().doing(|| "finding rpm itself")?;
        let home = daemon.home().clone();
        let token = self.token.as_ref().map(|token| format!("{TOKEN}={token}"));
        let token = token.iter().map(String::as_bytes);
        let spec = Spec {
            name: NAME.to_owned(),
            script: own.into_os_string().into_vec(),
            interpreter: "none".to_owned(),
            args: self.arguments(),
            cwd: OsString::from(home.root()).into_vec(),
            env: Environment::from_assignments(token).into(),
            ..Spec::default()
        };
        let processes = daemon.processes(&Request::Start {
            spec: Box::new(spec),
            force: false,
            want: Want::Up,
        })?;
        notice::wait(&home, pid_of(&processes)).inspect_err(|_| {
            let targets = vec![NAME.to_owned()];
            let _ = daemon.request(&Request::Delete { targets }, &mut |_| Ok(()));
            notice::remove(&home);
        })
    }

    /// Is the server, until a signal ends it.
    fn serve(self, home: &Home, serve: Serve) -> Result<u8> {
        match self.serve_for(home, serve) {
            Ok(()) => {
                notice::remove(home);
                Ok(DONE)
            }
            Err(error) => {
                // Whoever waits for the notice tells the sentence; the log has it too.
                let _ = notice::leave(home, &Notice::Fails(error.to_string()));
                output::complain(error);
                Ok(FAILED)
            }
        }
    }

    fn serve_for(self, home: &Home, serve: Serve) -> Result<()> {
        if serve == Serve::Token && self.token.is_none() {
            return Err(Error::new(format!(
                "{NAME} was started with a token, and {TOKEN} is not in its environment any more; \
                 rpm delete {NAME}, then rpm web --token"
            )));
        }
        signal::ignore(Signal::PIPE);
        let signals = SelfPipe::install(&[Signal::INT, Signal::TERM]);
        let signals = signals.doing(|| "catching signals")?;
        let address = self.address;
        let listener = TcpListener::bind(address).map_err(|e| {
            let hint = match e.kind() {
                std::io::ErrorKind::AddrInUse => "; another port: rpm web PORT",
                _ => "",
            };
            Error::new(format!("serving on {address}: {}{hint}", Reason(&e)))
        })?;
        let setting_up = || format!("serving on {address}");
        let bound = listener.local_addr().doing(setting_up)?;
        let access = Access {
            address: bound.ip(),
            names: self.names,
            token: self.token,
        };
        let server = Server::new(listener, access, Limits::default(), home.clone());
        let mut server = server.doing(setting_up)?;
        let url = format!("http://{bound}/");
        notice::leave(home, &Notice::Serves(url.clone()))?;
        output::print(format!("serving on {url}\n").as_bytes())?;
        while !signals.take(Signal::INT) && !signals.take(Signal::TERM) {
            server.turn(Some(&signals)).doing(setting_up)?;
            signals.drain();
        }
        Ok(())
    }
}

/// An IP address, one of version 6 perhaps in brackets.
fn ip(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    bare.unwrap_or(text).parse().ok()
}
