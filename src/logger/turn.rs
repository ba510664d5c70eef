//! Ensures one log writer per home at a time.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use crate::paths::Home;
use crate::sys::daemonize;
use crate::sys::lock::Lock;
use crate::sys::pid::Pid;

/// How often a log writer that waits for its turn looks whether it has come.
const LOOK_AT_TURN: Duration = Duration::from_millis(20);

/// Waits until no other log writer of this home is at work: two readers would tear the output apart. The lock is that
/// of the folder of records. Ends this process when the supervisor that forked it has died meanwhile.
pub fn wait_for_turn(home: &Home) -> Option<Lock> {
    let supervisor = Pid::parent();
    loop {
        match Lock::acquire(&home.run()) {
            Ok(Some(lock)) => return Some(lock),
            Ok(None) if Pid::parent() == supervisor => {
                std::thread::sleep(LOOK_AT_TURN);
            }
            Ok(None) => daemonize::exit_now(0),
            // The folder is gone: there is nothing to be torn apart.
            Err(e) if e.kind() == ErrorKind::NotFound => return None,
            Err(_) if Pid::parent() == supervisor => std::thread::sleep(LOOK_AT_TURN),
            Err(_) => daemonize::exit_now(0),
        }
    }
}

/// What tells a file from others that had its path before and after.
pub fn file_number(path: &Path) -> Option<u64> {
    Some(std::fs::symlink_metadata(path).ok()?.ino())
}
