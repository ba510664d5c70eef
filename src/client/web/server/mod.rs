//! The loop of the web server: one thread, one `poll(2)`, nothing that waits. It only reads: there is no request that
//! changes anything.

use std::io::{self, ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use super::access::Access;
use super::answers;
use super::connection::{Connection, Limits};
use super::history::History;
use super::http::{Refusal, Request};
use super::prom;
use super::response::{Kind, Response};
use super::routes::{self, Route};
use crate::client::daemon::feed::{Answer, Feed, Update};
use crate::client::display::output;
use crate::paths::Home;
use crate::protocol::reply::Code;
use crate::protocol::request::Request as DaemonRequest;
use crate::sys::clock;
use crate::sys::poll::{Interest, PollSet, Ready};
use crate::sys::signal::SelfPipe;

/// How often programs are looked at while somebody follows. ms
const WATCHED: u64 = 2_000;
/// How often otherwise: so that whoever comes finds the last minutes. ms
const UNWATCHED: u64 = 10_000;
/// How long no connection is taken when there are no descriptors left. ms
const ACCEPT_AGAIN: u64 = 1_000;
/// How many connections are taken in one turn.
const ACCEPTS_A_TURN: usize = 16;
/// How many requests of one client are answered in one turn: one that sends many holds up nobody else.
const REQUESTS_A_TURN: usize = 4;

/// What a poll entry stands for.
#[derive(Debug, Clone, Copy)]
enum Token {
    Signals,
    Listener,
    Daemon,
    Client(u64),
}

/// Everything that the server knows.
pub struct Server {
    listener: TcpListener,
    access: Access,
    limits: Limits,
    /// The programs; its requests are known by the clients that wait for them.
    feed: Feed<u64>,
    history: History,
    connections: Vec<Connection>,
    next_connection: u64,
    now: u64,
    /// When programs are looked at next.
    sample_at: u64,
    /// Until when no connection is taken.
    accept_at: u64,
}

impl Server {
    /// A server for the daemon of a home.
    pub fn new(
        listener: TcpListener,
        access: Access,
        limits: Limits,
        home: Home,
    ) -> io::Result<Server> {
        listener.set_nonblocking(true)?;
        Ok(Server {
            listener,
            access,
            limits,
            feed: Feed::new(home, Vec::new()),
            history: History::default(),
            connections: Vec::new(),
            next_connection: 0,
            now: clock::monotonic_ms(),
            sample_at: 0,
            accept_at: 0,
        })
    }

    /// One turn: what is due, what can be answered, then a wait for what comes next.
    pub fn turn(&mut self, signals: Option<&SelfPipe>) -> io::Result<()> {
        self.now = clock::monotonic_ms();
        self.look_at_the_clock();
        let tokens: Vec<u64> = self.connections.iter().map(|c| c.token).collect();
        let mut busy = false;
        for token in tokens {
            busy |= self.serve(token);
        }
        self.connections.retain(|client| !client.is_gone());
        let mut set = PollSet::default();
        self.fill(&mut set, signals);
        let sleep = match busy {
            true => Duration::ZERO,
            false => Duration::from_millis(self.next_deadline().saturating_sub(self.now)),
        };
        match signals {
            Some(signals) => signals.listening(|| set.wait(Some(sleep)))?,
            None => set.wait(Some(sleep))?,
        };
        self.now = clock::monotonic_ms();
        let mut is_daemon = false;
        for (token, ready) in set.ready() {
            match token {
                Token::Signals => {}
                Token::Listener => self.accept(),
                Token::Client(token) => self.receive(token, ready),
                Token::Daemon => is_daemon = true,
            }
        }
        if is_daemon || self.feed.due().is_some_and(|due| due <= self.now) {
            self.feed.turn(self.now);
            while let Some(update) = self.feed.next(self.now) {
                self.take(update);
            }
        }
        Ok(())
    }

    fn look_at_the_clock(&mut self) {
        let (now, limits) = (self.now, self.limits);
        for client in &mut self.connections {
            if client.deadline() <= now {
                client.expire(now, &limits);
            }
        }
        if self.sample_at <= now {
            self.sample();
        }
    }

    /// Asks for a new look at all programs.
    fn sample(&mut self) {
        let watched = self.connections.iter().any(Connection::follows);
        self.sample_at = self.now + if watched { WATCHED } else { UNWATCHED };
        self.feed.list(self.now);
    }

    fn next_deadline(&self) -> u64 {
        let clients = self.connections.iter().map(Connection::deadline);
        let accept = Some(self.accept_at).filter(|at| *at > self.now);
        let all = clients.chain(accept).chain(self.feed.due());
        all.fold(self.sample_at, u64::min)
    }

    fn fill(&self, set: &mut PollSet<Token>, signals: Option<&SelfPipe>) {
        if let Some(signals) = signals {
            set.push(signals.fd(), Interest::READ, Token::Signals);
        }
        self.feed.push(set, Token::Daemon);
        for client in &self.connections {
            let fd = client.stream().as_fd();
            set.push(fd, client.interest(), Token::Client(client.token));
        }
        // After the clients: those that have hung up make room for new ones.
        if self.accept_at <= self.now {
            set.push(self.listener.as_fd(), Interest::READ, Token::Listener);
        }
    }

    fn accept(&mut self) {
        for _ in 0..ACCEPTS_A_TURN {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == ErrorKind::ConnectionAborted => continue,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(_) => {
                    self.accept_at = self.now + ACCEPT_AGAIN;
                    return;
                }
            };
            if stream.set_nonblocking(true).is_ok() {
                self.admit(stream);
            }
        }
    }

    /// Takes a connection. Where there are too many, one that only waits makes room.
    fn admit(&mut self, mut stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        // Those that have hung up in this turn count no more.
        self.connections.retain(|client| !client.is_gone());
        if self.connections.len() >= self.limits.connections {
            let idle = self.connections.iter().filter(|c| c.is_idle());
            let oldest = idle.min_by_key(|c| c.deadline()).map(|c| c.token);
            let Some(oldest) = oldest else {
                let busy = Response::sentence(503, "too many connections; try again in a moment");
                let mut bytes = Vec::new();
                busy.write(&mut bytes, clock::wall_ms(), true, true);
                // It goes into an empty socket buffer, or nobody is there.
                let _ = stream.write(&bytes);
                return;
            };
            self.connections.retain(|client| client.token != oldest);
        }
        let token = self.next_connection;
        self.next_connection += 1;
        let client = Connection::new(token, stream, self.now, &self.limits);
        self.connections.push(client);
    }

    fn client(&mut self, token: u64) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|c| c.token == token)
    }

    fn receive(&mut self, token: u64, ready: Ready) {
        let (now, limits) = (self.now, self.limits);
        let Some(client) = self.client(token) else {
            return;
        };
        if client.interest().read && (ready.readable || ready.hangup) {
            client.receive(now, &limits);
        } else if ready.error || ready.hangup {
            client.drop_now();
        }
    }

    /// Looks at what a client has asked, and sends what it is answered. Whether there may be more to look at.
    fn serve(&mut self, token: u64) -> bool {
        for _ in 0..REQUESTS_A_TURN {
            let (now, limits) = (self.now, self.limits);
            let next = |client: &mut Connection| client.next_request(now, &limits);
            if let Some(request) = self.client(token).and_then(next) {
                if let Some(response) = self.carry_out(token, request) {
                    self.answer(token, &response);
                }
            }
            let flush = |client: &mut Connection| client.flush(now, &limits);
            if !self.client(token).is_some_and(flush) {
                return false;
            }
        }
        true
    }

    /// What a request is answered; none where the daemon has to be asked first.
    fn carry_out(&mut self, token: u64, request: Result<Request, Refusal>) -> Option<Response> {
        let allowed = request.and_then(|request| {
            self.access.check(&request)?;
            routes::route(&request)
        });
        let route = match allowed {
            Ok(Route::Page) => {
                let page = answers::page();
                let broken = |e| Response::sentence(500, &format!("making the page: {e}"));
                return Some(page.unwrap_or_else(broken));
            }
            Ok(route) => route,
            Err(refusal) => return Some(refusal.into()),
        };
        // Those who are about to follow count too.
        let about_to = |c: &&Connection| c.follows() || c.waits_for == Some(Route::Events);
        let followers = self.connections.iter().filter(about_to).count();
        if route == Route::Events && followers >= self.limits.followers {
            return Some(Response::sentence(
                503,
                "too many follow the events already",
            ));
        }
        if !self.feed.connect(self.now).unwrap_or(false) {
            return Some(self.no_daemon());
        }
        let targets = match route {
            Route::Overview => Some(Vec::new()),
            Route::Logs { id, .. } => Some(vec![id.to_string()]),
            _ => None,
        };
        match targets {
            Some(targets) => {
                let request = DaemonRequest::Describe { targets };
                self.feed.ask(token, &request, self.now);
            }
            None => self.feed.list(self.now),
        }
        self.client(token)?.waits_for = Some(route);
        None
    }

    fn no_daemon(&self) -> Response {
        let home = self.feed.home().root().display();
        let sentence = format!("no daemon runs in {home}; any rpm command starts it");
        Response::sentence(503, &sentence)
    }

    fn answer(&mut self, token: u64, response: &Response) {
        let (now, limits) = (self.now, self.limits);
        if let Some(client) = self.client(token) {
            client.answer(response, now, &limits);
        }
    }

    fn take(&mut self, update: Update<u64>) {
        match update {
            Update::Listed => self.take_list(),
            Update::NotListed(failure) => {
                self.feed.disconnect();
                self.daemon_lost(Some(failure.message));
            }
            Update::Changed(what, process) => {
                let change = answers::change(what.as_bytes(), &process);
                self.tell_followers("change", &change);
            }
            Update::Answered(token, answer) => self.take_answer(token, answer),
            Update::Lost(why) => self.daemon_lost(why.map(|why| why.to_string())),
        }
    }

    fn take_list(&mut self) {
        let (now, limits) = (self.now, self.limits);
        self.history.sample(self.feed.table(), now);
        let brief = answers::processes(self.feed.table(), now, None);
        for client in &mut self.connections {
            client.tell_list(&brief, now, &limits);
        }
        let waits = |client: &Connection| Some((client.token, client.waits_for?));
        let waiting: Vec<_> = self.connections.iter().filter_map(waits).collect();
        for (token, route) in waiting {
            self.answer_list(token, route);
        }
    }

    /// Answers a client that waits for a list.
    fn answer_list(&mut self, token: u64, route: Route) {
        let (now, limits) = (self.now, self.limits);
        let list = || answers::processes(self.feed.table(), now, Some(&self.history));
        match route {
            Route::Metrics => {
                let programs = self.feed.table().programs().iter();
                let processes = programs.map(|program| &program.process);
                let text = prom::text(&processes.collect::<Vec<_>>());
                self.answer(token, &Response::new(Kind::Metrics, text));
            }
            Route::Processes => {
                let list = list();
                self.answer(token, &Response::new(Kind::Json, list));
            }
            Route::Events => {
                let list = list();
                // How soon a browser comes again when the stream has ended, in ms.
                let stream = Response::new(Kind::Events, "retry: 2000\n\n");
                if let Some(client) = self.client(token) {
                    client.follow(&stream, now, &limits);
                    client.tell("processes", &list, now, &limits);
                }
                self.sample_at = self.sample_at.min(now + WATCHED);
            }
            Route::Page | Route::Overview | Route::Logs { .. } => {}
        }
    }

    /// Answers a client that waits for the details of programs.
    fn take_answer(&mut self, token: u64, answer: Answer) {
        let route = self.client(token).and_then(|client| client.waits_for);
        let response = match (route, answer) {
            (Some(Route::Overview), Ok(records)) => answers::overview(&records),
            (Some(Route::Logs { lines, .. }), Ok(records)) => match records.first() {
                Some(record) => answers::logs(record, lines),
                None => no_program(),
            },
            (Some(Route::Logs { .. } | Route::Overview), Err(failure)) => match failure.code {
                Code::NotFound => no_program(),
                _ => Response::sentence(503, &failure.message),
            },
            // The client has gone, or was answered that the daemon does not answer.
            _ => return,
        };
        self.answer(token, &response);
    }

    fn daemon_lost(&mut self, why: Option<String>) {
        if let Some(why) = why {
            output::complain(why);
        }
        let response = self.no_daemon();
        let (now, limits) = (self.now, self.limits);
        let waiting = self.connections.iter_mut();
        for client in waiting.filter(|c| c.waits_for.is_some()) {
            client.answer(&response, now, &limits);
        }
        self.tell_followers("daemon", "{\"online\":false}");
    }

    fn tell_followers(&mut self, event: &str, data: &str) {
        for client in &mut self.connections {
            client.tell(event, data, self.now, &self.limits);
        }
    }
}

fn no_program() -> Response {
    Response::sentence(404, "there is no such program")
}

#[cfg(test)]
mod tests;
