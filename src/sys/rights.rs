//! Acting on files with the rights of another user: `setfsuid(2)`, `setfsgid(2)`, no supplementary groups.
//!
//! Leaving file system user 0 takes CAP_DAC_OVERRIDE, CAP_FOWNER and their like out of the effective set, and coming
//! back puts them there again, `capabilities(7)`. All of it is the thread's own. Nothing here allocates after
//! [`prepare`], so that a child between fork and exec may use it.

use std::io;
use std::marker::PhantomData;
use std::ptr;
use std::sync::OnceLock;

use super::{check, user};

/// A group that owns nothing: a user's own group is not needed for what the user owns.
const NO_GROUP: libc::gid_t = 65534;
/// Who owns, as a user namespace has it, what belongs to nobody in it. `user_namespaces(7)`
const UNMAPPED: u32 = 65534;
/// Capabilities do not follow the file system user. `capabilities(7)` SECBIT_NO_SETUID_FIXUP
const NO_SETUID_FIXUP: libc::c_int = 1 << 2;

/// What stays the same for the whole process.
static PREPARED: OnceLock<Prepared> = OnceLock::new();

#[derive(Debug)]
struct Prepared {
    groups: Vec<libc::gid_t>,
    /// Whether [`UNMAPPED`] is a user like others.
    mapped: bool,
}

/// Looks at what does not change. A process that forks calls it before.
pub fn prepare() {
    prepared();
}

fn prepared() -> &'static Prepared {
    PREPARED.get_or_init(|| Prepared {
        groups: groups(),
        mapped: is_mapped(&std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default()),
    })
}

/// The supplementary groups. `getgroups(2)`
fn groups() -> Vec<libc::gid_t> {
    // SAFETY: with size 0 nothing is written; then as many as the vector has room for.
    unsafe {
        let count = check(libc::getgroups(0, ptr::null_mut())).unwrap_or(0);
        let mut groups = vec![0; usize::try_from(count).unwrap_or(0)];
        let count = check(libc::getgroups(count, groups.as_mut_ptr())).unwrap_or(0);
        groups.truncate(usize::try_from(count).unwrap_or(0));
        groups
    }
}

/// Whether a map of users has [`UNMAPPED`] in it; one that cannot be read does.
fn is_mapped(map: &str) -> bool {
    let mut rows = map.lines().filter_map(|line| {
        let mut numbers = line.split_ascii_whitespace().map(str::parse::<u64>);
        let first = numbers.next()?.ok()?;
        let length = numbers.nth(1)?.ok()?;
        Some(first..first.saturating_add(length))
    });
    map.is_empty() || rows.any(|row| row.contains(&u64::from(UNMAPPED)))
}

/// Whether this process has root's rights.
pub fn is_root() -> bool {
    user::effective_uid() == 0
}

/// Whether a file is root's. In a user namespace that has few users, files from outside it belong to nobody that it
/// knows, and root in it has no power over them: those count as root's too.
pub fn is_roots(uid: u32) -> bool {
    uid == 0 || (uid == UNMAPPED && !prepared().mapped)
}

/// The user whose rights apply to an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// Those of this process.
    Own,
    /// Those of this user alone.
    Of(u32),
}

/// While it lives, this thread acts on files with other rights.
#[derive(Debug)]
pub struct Acting {
    changed: bool,
    /// What a change of the user takes from the process: that others of root's may look at it in `/proc`. `prctl(2)`
    /// PR_SET_DUMPABLE
    dumpable: bool,
    /// It belongs to its thread.
    thread: PhantomData<*const ()>,
}

impl Rights {
    /// Assumes these rights until the result is dropped. Fails unless all of them could be assumed.
    pub fn take(self) -> io::Result<Acting> {
        let Rights::Of(uid) = self else {
            return Ok(Acting {
                changed: false,
                dumpable: false,
                thread: PhantomData,
            });
        };
        prepare();
        let refused = || io::Error::from_raw_os_error(libc::EPERM);
        // SAFETY: takes no pointer.
        let bits = unsafe { libc::prctl(libc::PR_GET_SECUREBITS) };
        // SAFETY: as above.
        let dumpable = unsafe { libc::prctl(libc::PR_GET_DUMPABLE) } == 1;
        if uid == 0 || bits & NO_SETUID_FIXUP != 0 {
            return Err(refused());
        }
        // From here on, dropping it restores what was.
        let acting = Acting {
            changed: true,
            dumpable,
            thread: PhantomData,
        };
        set_groups(&[])?;
        set_group(NO_GROUP);
        set_user(uid);
        if current() == (uid, NO_GROUP) {
            Ok(acting)
        } else {
            Err(refused())
        }
    }
}

impl Drop for Acting {
    fn drop(&mut self) {
        if self.changed {
            // Those that a process always may have.
            set_user(user::effective_uid());
            set_group(user::effective_gid());
            let _ = set_groups(&prepared().groups);
        }
        if self.dumpable {
            // SAFETY: takes numbers; it was so before.
            unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1 as libc::c_ulong) };
        }
    }
}

/// The thread's own groups: the C library's `setgroups` would change those of every thread.
fn set_groups(groups: &[libc::gid_t]) -> io::Result<()> {
    // SAFETY: the pointer and length describe numbers that live during the call.
    let done = unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn set_user(uid: u32) {
    // SAFETY: takes a number; it returns what was, whether it changed that or not.
    unsafe { libc::setfsuid(uid) };
}

fn set_group(gid: libc::gid_t) {
    // SAFETY: as above.
    unsafe { libc::setfsgid(gid) };
}

/// Who the thread acts on files as: a number that nobody can have changes nothing, `setfsuid(2)`.
fn current() -> (u32, libc::gid_t) {
    // SAFETY: as above.
    let (uid, gid) = unsafe { (libc::setfsuid(u32::MAX), libc::setfsgid(u32::MAX)) };
    (uid as u32, gid as libc::gid_t)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_namespace_knows_few_users() {
        assert!(is_mapped("         0          0 4294967295\n"));
        assert!(is_mapped("0 1000 1\n1 100000 65536\n"));
        assert!(!is_mapped("         0       1000          1\n"));
        assert!(!is_mapped("0 1000 1\n1 100000 1000\n"));
        assert!(is_mapped(""), "it cannot be read");
    }

    #[test]
    fn rights_are_taken_on_and_given_back() {
        if !is_root() {
            return;
        }
        let folder = std::env::temp_dir().join(format!("rpm-rights-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let before = (current(), groups());
        {
            let _acting = Rights::Of(4321).take().unwrap();
            assert_eq!((current(), groups()), ((4321, NO_GROUP), Vec::new()));
            let refused = std::fs::write(folder.join("x"), "").unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
        }
        assert_eq!((current(), groups()), before);
        std::fs::write(folder.join("x"), "").unwrap();
        assert!(Rights::Of(0).take().is_err());
        assert_eq!(current(), before.0);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
