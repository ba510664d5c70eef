//! What init hears of the supervisor that it runs, where it listens: `sd_notify(3)`.

use crate::supervisor::event_loop::Supervisor;
use crate::sys::notify::Notifier;
use std::fmt::Display;

/// How much longer than the slowest program the end may take, for its output and the clients. ms
const LAST_WORDS: u64 = 10_000;

/// Init, where it wants to hear.
#[derive(Debug, Default)]
pub struct Init(Option<Notifier>);

impl Init {
    /// The init that the environment names. Only a supervisor in the foreground is its service: one that a client
    /// launched somewhere below a service has nothing to say.
    pub fn of(foreground: bool) -> Init {
        let named = std::env::var_os("NOTIFY_SOCKET").filter(|_| foreground);
        Init(named.and_then(|name| Notifier::connect(&name).ok()))
    }

    /// The service is there.
    pub fn ready(&self, status: impl Display) {
        self.tell(&format!("READY=1\nSTATUS={status}"));
    }

    /// How the service is, in words.
    pub fn say(&self, status: impl Display) {
        self.tell(&format!("STATUS={status}"));
    }

    fn tell(&self, state: &str) {
        if let Some(notifier) = &self.0 {
            // An init that does not listen is none to wait for.
            let _ = notifier.send(state);
        }
    }
}

impl Supervisor {
    /// Tells init that the end has begun, and how long it may take: until each program has had its time.
    pub(crate) fn tell_of_the_end(&self) {
        let timeouts = self.programs.values().map(|p| p.spec.kill_timeout.0);
        let longest = timeouts.max().unwrap_or(0);
        let micros = longest.saturating_add(LAST_WORDS).saturating_mul(1000);
        self.init.tell(&format!(
            "STOPPING=1\nEXTEND_TIMEOUT_USEC={micros}\nSTATUS=stopping all programs"
        ));
    }
}
