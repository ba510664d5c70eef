//! When to look for a daemon again.

use crate::paths::Home;
use crate::sys::inotify::Watcher;
use crate::sys::poll::{Interest, PollSet};

/// The delay after the first failure, in ms. It doubles with each further one, up to the longest.
const FIRST: u64 = 50;
const LONGEST: u64 = 1_000;
/// After so many failures a daemon is looked for only when its socket is made, where that can be watched.
const FAILURES: u32 = 6;

/// The delay, and a watch of the home for a new socket. There is a watch only as long as no daemon is connected.
pub struct Retry {
    failures: u32,
    due: Option<u64>,
    watcher: Option<Watcher>,
}

impl Retry {
    /// The first attempt is due at once.
    pub fn new() -> Retry {
        Retry {
            failures: 0,
            due: Some(0),
            watcher: None,
        }
    }

    /// Watches the home. Call it before each attempt, so that a daemon that comes in between is noticed.
    pub fn watch(&mut self, home: &Home) {
        if self.watcher.is_none() {
            let watcher = Watcher::new();
            let watched =
                watcher.and_then(|watcher| watcher.add_for_work(home.root()).map(|_| watcher));
            self.watcher = watched.ok();
        }
    }

    /// No daemon listens: the next attempt is due later, or when its socket is made.
    pub fn nobody_listens(&mut self, now: u64) {
        self.failed(now);
        if self.failures > FAILURES && self.watcher.is_some() {
            self.due = None;
        }
    }

    /// The daemon cannot be spoken to for another reason, which may end unnoticed: the next attempt is due later.
    pub fn failed(&mut self, now: u64) {
        let delay = FIRST.checked_shl(self.failures.min(16)).unwrap_or(LONGEST);
        self.due = Some(now + delay.min(LONGEST));
        self.failures = self.failures.saturating_add(1);
    }

    /// A daemon is connected.
    pub fn connected(&mut self) {
        *self = Retry::new();
        self.due = None;
    }

    /// The connection has ended: the next attempt is due at once.
    pub fn lost(&mut self) {
        *self = Retry::new();
    }

    /// When the next attempt is due.
    pub fn due(&self) -> Option<u64> {
        self.due
    }

    /// Whether an attempt is due now, by the clock or because something has happened to the socket.
    pub fn is_due(&mut self, now: u64, home: &Home) -> bool {
        let (socket, watcher) = (home.socket(), self.watcher.as_ref());
        let changes = watcher.and_then(|watcher| watcher.read().ok());
        let is_socket = |name: &std::ffi::OsStr| Some(name) == socket.file_name();
        if changes
            .unwrap_or_default()
            .iter()
            .any(|c| is_socket(&c.name))
        {
            // It may not be listened at yet.
            self.failures = 0;
            return true;
        }
        self.due.is_some_and(|due| due <= now)
    }

    /// What to poll.
    pub fn push<K: Copy>(&self, set: &mut PollSet<K>, token: K) {
        if let Some(watcher) = &self.watcher {
            set.push(watcher.fd(), Interest::READ, token);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_grows_and_the_watch_takes_over() {
        let root = std::env::temp_dir().join(format!("rpm-retry-{}", std::process::id()));
        let home = Home::new(root.clone());
        let mut retry = Retry::new();
        assert!(retry.is_due(0, &home));
        let delays = |retry: &mut Retry| {
            let delay = |_| {
                retry.nobody_listens(100);
                retry.due().map(|due| due - 100)
            };
            (0..8).map(delay).collect::<Vec<_>>()
        };
        retry.watch(&home);
        let polled = [50, 100, 200, 400, 800, 1000, 1000, 1000].map(Some);
        assert_eq!(delays(&mut retry), polled, "there is no folder to watch");
        std::fs::create_dir_all(&root).unwrap();
        retry.lost();
        retry.watch(&home);
        assert_eq!(delays(&mut retry)[..6], polled[..6]);
        assert_eq!((retry.due(), retry.is_due(u64::MAX, &home)), (None, false));
        std::fs::write(root.join("other"), "").unwrap();
        assert!(!retry.is_due(0, &home));
        std::fs::write(home.socket(), "").unwrap();
        assert!(retry.is_due(0, &home));
        retry.failed(0);
        assert_eq!(retry.due(), Some(50));
        std::fs::remove_dir_all(&root).unwrap();
    }
}
