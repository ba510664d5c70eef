//! Accessing files with the rights of another user: `setfsuid(2)`, `setfsgid(2)`, no supplementary groups.
//!
//! Changing the file system user id from 0 clears CAP_DAC_OVERRIDE, CAP_FOWNER and similar capabilities from the
//! effective set; changing it back restores them, `capabilities(7)`. All of this applies only to the thread. Nothing here
//! allocates after [`prepare`], so a child may call it between fork and exec.

use std::io;
use std::marker::PhantomData;
use std::ptr;
use std::sync::OnceLock;

use super::{check, user};

/// The group `nogroup`. A user's own files are accessed without a group.
const NO_GROUP: libc::gid_t = 65534;
/// The owner that files of unmapped users have in a user namespace: the overflow uid. `user_namespaces(7)`
const UNMAPPED: u32 = 65534;
/// Capabilities do not change with the file system user id. `capabilities(7)` SECBIT_NO_SETUID_FIXUP
const NO_SETUID_FIXUP: libc::c_int = 1 << 2;

/// Facts that do not change while the process runs.
static PREPARED: OnceLock<Prepared> = OnceLock::new();

#[derive(Debug)]
struct Prepared {
    groups: Vec<libc::gid_t>,
    /// Whether [`UNMAPPED`] is a real user here.
    mapped: bool,
}

/// Reads the facts that do not change. To be called before a fork.
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
    // SAFETY: with size 0 nothing is written; then at most the length of the vector.
    unsafe {
        let count = check(libc::getgroups(0, ptr::null_mut())).unwrap_or(0);
        let mut groups = vec![0; usize::try_from(count).unwrap_or(0)];
        let count = check(libc::getgroups(count, groups.as_mut_ptr())).unwrap_or(0);
        groups.truncate(usize::try_from(count).unwrap_or(0));
        groups
    }
}

/// Whether a uid map contains [`UNMAPPED`]; true if it could not be read.
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

/// Whether an owner is root. In a user namespace in which [`UNMAPPED`] is not mapped, files of unmapped users, over which
/// its root has no power, count as root's.
pub fn is_roots(uid: u32) -> bool {
    uid == 0 || (uid == UNMAPPED && !prepared().mapped)
}

/// The user whose rights apply to an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// The rights of this process.
    Own,
    /// Only the rights of this user.
    Of(u32),
}

/// The assumed rights of this thread; dropping it restores the previous ones.
#[derive(Debug)]
pub struct Acting {
    changed: bool,
    /// Whether the process was dumpable, which the change clears; it also protects `/proc/PID`. `prctl(2)`
    /// PR_SET_DUMPABLE
    dumpable: bool,
    /// Not `Send`: it applies to one thread.
    thread: PhantomData<*const ()>,
}

impl Rights {
    /// Assumes these rights until the result is dropped.
    ///
    /// # Errors
    /// `EPERM` if not all of them could be assumed; then the rights are unchanged.
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
        // SAFETY: takes only numbers.
        let bits = unsafe { libc::prctl(libc::PR_GET_SECUREBITS) };
        // SAFETY: as above.
        let dumpable = unsafe { libc::prctl(libc::PR_GET_DUMPABLE) } == 1;
        if uid == 0 || bits & NO_SETUID_FIXUP != 0 {
            return Err(refused());
        }
        // From here on, dropping it restores the previous rights.
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
            // A process may always set these.
            set_user(user::effective_uid());
            set_group(user::effective_gid());
            let _ = set_groups(&prepared().groups);
        }
        if self.dumpable {
            // SAFETY: takes only numbers; restores the previous value.
            unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1 as libc::c_ulong) };
        }
    }
}

/// Sets the groups of this thread; `setgroups` of the C library would set those of all threads.
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
    // SAFETY: takes only a number; it returns the previous value, even on failure.
    unsafe { libc::setfsuid(uid) };
}

fn set_group(gid: libc::gid_t) {
    // SAFETY: as above.
    unsafe { libc::setfsgid(gid) };
}

/// The file system user and group of the thread. An invalid id changes nothing and returns the present one, `setfsuid(2)`.
fn current() -> (u32, libc::gid_t) {
    // SAFETY: as above.
    let (uid, gid) = unsafe { (libc::setfsuid(u32::MAX), libc::setfsgid(u32::MAX)) };
    (uid as u32, gid as libc::gid_t)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_user_namespace_does_not_map_the_overflow_uid() {
        assert!(is_mapped("         0          0 4294967295\n"));
        assert!(is_mapped("0 1000 1\n1 100000 65536\n"));
        assert!(!is_mapped("         0       1000          1\n"));
        assert!(!is_mapped("0 1000 1\n1 100000 1000\n"));
        assert!(is_mapped(""), "it could not be read");
    }

    #[test]
    fn rights_are_assumed_and_restored() {
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
