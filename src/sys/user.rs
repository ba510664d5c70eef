//! Users and what is personal to a process.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::check;

/// Who this process acts as. `geteuid(2)`
pub fn effective_uid() -> u32 {
    // SAFETY: no arguments, cannot fail.
    unsafe { libc::geteuid() }
}

/// The group that this process acts as. `getegid(2)`
pub fn effective_gid() -> u32 {
    // SAFETY: no arguments, cannot fail.
    unsafe { libc::getegid() }
}

/// A row of `/etc/passwd`. Read by hand: the C library would load its name-service modules, which a static
/// binary cannot.
struct Entry {
    name: String,
    home: PathBuf,
}

fn entry(wanted: &dyn Fn(&str, u32) -> bool) -> Option<Entry> {
    let table = std::fs::read_to_string("/etc/passwd").ok()?;
    table.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid = fields.nth(1)?.parse().ok()?;
        wanted(name, uid).then_some(())?;
        let home = fields.nth(2)?;
        Some(Entry {
            name: name.to_owned(),
            home: home.into(),
        })
    })
}

/// The name of a user. `passwd(5)`
pub fn user_name(uid: u32) -> Option<String> {
    entry(&|_, other| other == uid).map(|e| e.name)
}

/// A user for people: by name, or by number where there is none.
pub fn shown(uid: u32) -> String {
    user_name(uid).unwrap_or_else(|| uid.to_string())
}

/// The number of the group of this name. `group(5)`
pub fn group_of(name: &str) -> Option<u32> {
    let table = std::fs::read_to_string("/etc/group").ok()?;
    table.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then_some(())?;
        fields.nth(1)?.parse().ok()
    })
}

/// The home folder of a user. `passwd(5)`
pub fn home_dir(uid: u32) -> Option<PathBuf> {
    entry(&|_, other| other == uid).map(|e| e.home)
}

/// The home folder of the user of this name. `passwd(5)`
pub fn home_of(name: &str) -> Option<PathBuf> {
    entry(&|other, _| other == name).map(|e| e.home)
}

/// The file creation mask. It can only be read by setting it. `umask(2)`
pub fn umask() -> u32 {
    let mut mask = 0;
    change_umask(0o077, |before| mask = before);
    mask
}

/// Runs a function with another file creation mask. `umask(2)`
pub fn with_umask<T>(mask: u32, run: impl FnOnce() -> T) -> T {
    change_umask(mask, |_| run())
}

/// Runs a function, which is given the mask of before, with another mask. Only unit tests have threads: there, one at a
/// time changes it.
fn change_umask<T>(mask: u32, run: impl FnOnce(u32) -> T) -> T {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let before = set_umask(mask);
    let done = run(before);
    set_umask(before);
    done
}

/// Sets the file creation mask and returns what it was. `umask(2)`
pub fn set_umask(mask: u32) -> u32 {
    // SAFETY: takes a number, cannot fail.
    unsafe { libc::umask(mask & 0o777) }
}

/// The name of this machine. `gethostname(2)`
pub fn host_name() -> String {
    let mut buffer = [0u8; 256];
    // SAFETY: the length given is one less than the buffer's, so a NUL always ends it.
    let done = check(unsafe { libc::gethostname(buffer.as_mut_ptr().cast(), buffer.len() - 1) });
    let name = buffer.split(|b| *b == 0).next().unwrap_or_default();
    match done {
        Ok(_) => String::from_utf8_lossy(name).into_owned(),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_in_the_table_and_nobody_knows_a_high_number() {
        assert_eq!(user_name(0).as_deref(), Some("root"));
        assert!(home_dir(0).is_some_and(|home| home.is_absolute()));
        assert_eq!(home_of("root"), home_dir(0));
        assert_eq!(home_of("root:x"), None);
        assert_eq!(user_name(u32::MAX - 7), None);
        assert_eq!(shown(0), "root");
        assert_eq!(shown(u32::MAX - 7), "4294967288");
        assert_eq!(group_of("root"), Some(0));
        assert_eq!(group_of("root:x"), None);
    }
}
