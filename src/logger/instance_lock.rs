//! Ensures one log writer per home at a time.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use crate::paths::Home;
use crate::sys::daemonize;
use crate::sys::lock::Lock;
use crate::sys::pid::Pid;

/// How often the lock is tried.
const LOCK_INTERVAL: Duration = Duration::from_millis(20);

/// Waits until no other log writer of this home runs: two readers of a FIFO would tear its lines. The lock is that of the
/// folder of records. Exits if the supervisor that forked this process has died meanwhile.
pub fn wait_for_lock(home: &Home) -> Option<Lock> {
    let supervisor = Pid::parent();
    loop {
        match Lock::acquire(&home.run()) {
            Ok(Some(lock)) => return Some(lock),
            Ok(None) if Pid::parent() == supervisor => {
                std::thread::sleep(LOCK_INTERVAL);
            }
            Ok(None) => daemonize::exit_now(0),
            // The folder was removed, and the FIFOs with it.
            Err(e) if e.kind() == ErrorKind::NotFound => return None,
            Err(_) if Pid::parent() == supervisor => std::thread::sleep(LOCK_INTERVAL),
            Err(_) => daemonize::exit_now(0),
        }
    }
}

/// The inode number of a file: it identifies the file among all that had its path.
pub fn inode_of(path: &Path) -> Option<u64> {
    Some(std::fs::symlink_metadata(path).ok()?.ino())
}
