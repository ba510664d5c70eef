//! The whole logic of the supervisor in a fake world: requests come in by sockets as from clients; processes and the
//! clock are those of [`crate::supervisor::driver::fake`]. There is no log writer, so an answer that waits for it says
//! after two seconds that it could not.

mod adoption;
mod ending;
mod launches;
mod pauses;
mod stops;
mod walk;

use std::cell::{Ref, RefCell, RefMut};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::rc::Rc;

use crate::model::life::State;
use crate::paths::Home;
use crate::supervisor::control::connection::Connection;
use crate::supervisor::driver::fake::Fake;
use crate::supervisor::driver::fake::world::World;
use crate::supervisor::event_loop::{Holdings, Supervisor, Token, Way};
use crate::supervisor::log::daemon_log::Journal;
use crate::supervisor::program::Program;
use crate::supervisor::program::limits::Limits;
use crate::supervisor::store::state::{self, Boot};
use crate::supervisor::timers::Timer;
use crate::sys::lock::Lock;
use crate::sys::pid::Pid;
use crate::sys::poll::Ready;
use crate::sys::signal::SelfPipe;
use crate::sys::socket;

/// A client and what it has been answered.
struct Client {
    stream: UnixStream,
    token: u64,
    text: String,
}

impl Client {
    /// The last line of the answer, once it is there.
    fn verdict(&mut self) -> Option<String> {
        let mut bytes = [0; 65_536];
        while let Ok(n @ 1..) = self.stream.read(&mut bytes) {
            self.text
                .push_str(std::str::from_utf8(&bytes[..n]).unwrap());
        }
        let last = self.text.lines().last()?;
        let is_last = last.starts_with("ok") || last.starts_with("error ");
        is_last.then(|| last.to_owned())
    }
}

/// A supervisor in a fake world.
struct Scene {
    world: Rc<RefCell<World>>,
    supervisor: Option<Supervisor>,
    home: Home,
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.home.root());
    }
}

impl Scene {
    /// A supervisor of no programs, in a home of this name.
    fn new(name: &str) -> Scene {
        let root = std::env::temp_dir().join(format!("rpm-scene-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        let home = Home::new(root);
        home.make().unwrap();
        let mut scene = Scene {
            world: World::new(),
            supervisor: None,
            home,
        };
        scene.start_daemon(Boot::Same);
        scene
    }

    fn start_daemon(&mut self, boot: Boot) {
        let path = self.home.socket();
        let _ = std::fs::remove_file(&path);
        let holdings = Holdings {
            lock: Lock::acquire(self.home.root()).unwrap().unwrap(),
            journal: Journal::new(&self.home, false),
            listener: socket::listen(&path).unwrap(),
            signals: SelfPipe::install(&[]).unwrap(),
            limits: Limits {
                nofile: (1024, 1024),
                nice: 0,
            },
        };
        let way = Way {
            program: PathBuf::from("/nonexistent/rpmd"),
            foreground: false,
        };
        let driver = Box::new(Fake(Rc::clone(&self.world)));
        let mut supervisor = Supervisor::new(self.home.clone(), way, holdings, driver).unwrap();
        let mut state = state::State::read(&self.home).unwrap();
        state.boot = boot;
        supervisor.take_over(state, &[]).unwrap();
        self.supervisor = Some(supervisor);
        self.turn();
    }

    /// The daemon is killed, something happens, and the next one is started.
    fn kill_daemon(&mut self, boot: Boot, meanwhile: impl FnOnce(&mut World)) {
        self.supervisor = None;
        self.world().orphan_all();
        meanwhile(&mut self.world());
        self.start_daemon(boot);
    }

    fn world(&self) -> RefMut<'_, World> {
        self.world.borrow_mut()
    }

    fn see(&self) -> Ref<'_, World> {
        self.world.borrow()
    }

    fn daemon(&mut self) -> &mut Supervisor {
        self.supervisor.as_mut().unwrap()
    }

    fn program(&self, id: u32) -> &Program {
        &self.supervisor.as_ref().unwrap().programs[&id]
    }

    fn state(&self, id: u32) -> State {
        self.program(id).life.state
    }

    /// The leader of a program.
    fn leader(&self, id: u32) -> Pid {
        Pid::new(self.program(id).life.pid).unwrap()
    }

    /// A client sends a request.
    fn ask(&mut self, request: &str) -> Client {
        let (mut stream, theirs) = UnixStream::pair().unwrap();
        stream.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        writeln!(stream, "{request}").unwrap();
        self.daemon().connect(Connection::new(theirs));
        let token = self.daemon().next_connection;
        let text = String::new();
        self.turn();
        Client {
            stream,
            token,
            text,
        }
    }

    /// The answer to a request, which is given within ten seconds of fake time.
    fn answer(&mut self, request: &str) -> String {
        let mut client = self.ask(request);
        for _ in 0..1000 {
            if let Some(verdict) = client.verdict() {
                return verdict;
            }
            self.pass(10);
        }
        panic!("no answer to {request}");
    }

    /// The daemon has a program that runs, with id 0 if it is the first.
    fn start(&mut self, more: &str) {
        let request = format!("start name=api script=/bin/x cwd=/ {more}");
        let verdict = self.answer(&request);
        assert!(verdict.starts_with("ok"), "{verdict}");
    }

    /// One turn of the loop. Nobody waits for the disk here.
    fn turn(&mut self) {
        let Some(daemon) = self.supervisor.as_mut() else {
            return;
        };
        for round in 0..20 {
            daemon.timers.set(Timer::Sync, None);
            let busy = daemon.settle();
            daemon.set_look();
            daemon.begin_turn();
            let readable = Ready {
                readable: true,
                writable: true,
                hangup: false,
                error: false,
            };
            let clients = daemon.connections.iter();
            let asking = clients.filter(|(_, c)| c.interest().is_some_and(|i| i.read));
            let mut ready: Vec<(Token, Ready)> = asking
                .map(|(token, _)| (Token::Client(*token), readable))
                .collect();
            let programs = daemon.programs.values();
            let reports = programs.filter(|p| p.report().is_some());
            ready.extend(reports.map(|p| (Token::Report(p.id), readable)));
            daemon.wake(&ready);
            // What was read is carried out in the next round, and what came of it is answered in the one after.
            if !busy && round > 1 {
                break;
            }
        }
        self.check();
    }

    /// Time passes, and what is due in it is done.
    fn pass(&mut self, ms: u64) {
        let end = self.see().now + ms;
        for _ in 0..3000 {
            self.turn();
            let next = self.daemon().timers.next();
            let now = self.see().now;
            match next.filter(|at| *at <= end) {
                Some(at) => self.world().now = at.max(now),
                None => {
                    self.world().now = end;
                    return self.turn();
                }
            }
        }
        panic!("the loop spins");
    }

    /// What holds after every turn.
    fn check(&self) {
        let world = self.see();
        assert_eq!(world.strangers_signalled, [], "a stranger was signalled");
        let daemon = self.supervisor.as_ref().unwrap();
        for (id, program) in &daemon.programs {
            let life = &program.life;
            let copies = world.leaders(*id);
            assert!(copies.len() <= 1, "two copies of {id}: {copies:?} {life:?}");
            if life.at_rest() && world.blind.is_none() {
                assert_eq!(world.of(*id), [], "{id} is at rest: {life:?}");
            }
            let run = program.run.as_ref().map(|run| run.id);
            let expected = life.is_under_way().then_some(life.run);
            assert_eq!(run, expected, "a run has leaked: {life:?}");
            if let (Some(leader), None) = (Pid::new(life.pid), program.handle()) {
                assert_eq!(daemon.by_pid.get(&leader), Some(id));
                assert!(world.processes.contains_key(&leader), "reaped unheard");
            }
        }
        for (pid, id) in &daemon.by_pid {
            assert_eq!(daemon.programs[id].life.pid, pid.get(), "a stale child");
        }
    }
}
