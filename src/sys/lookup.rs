//! The result of looking up something that may not exist any more.

use std::io;

/// The result of looking up a process, a file or a record.
///
/// `Failed` says nothing about whether it exists: the caller reports the error and tries again later. It must not be
/// treated as an exit of the process or as damage of the record.
#[derive(Debug)]
pub enum Lookup<T> {
    /// It exists.
    There(T),
    /// It does not exist.
    Gone,
    /// The lookup failed: no descriptors, no memory, an I/O error, no permission, no such system call.
    Failed(io::Error),
}

impl<T> Lookup<T> {
    /// The lookup that a system call made; the error numbers of `gone` mean that its subject does not exist.
    pub fn of(result: io::Result<T>, gone: &[i32]) -> Lookup<T> {
        match result {
            Ok(found) => Lookup::There(found),
            Err(e) if e.raw_os_error().is_some_and(|errno| gone.contains(&errno)) => Lookup::Gone,
            Err(e) => Lookup::Failed(e),
        }
    }

    /// Applies a function to the value of `There`.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Lookup<U> {
        match self {
            Lookup::There(found) => Lookup::There(change(found)),
            Lookup::Gone => Lookup::Gone,
            Lookup::Failed(e) => Lookup::Failed(e),
        }
    }
}

/// Whether an error is a temporary lack of descriptors or memory: the call may succeed later.
pub fn lacks_room(e: &io::Error) -> bool {
    matches!(
        e.raw_os_error(),
        Some(
            libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS | libc::EAGAIN | libc::EINTR
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_listed_errors_mean_gone() {
        let result = |errno| Err::<(), _>(io::Error::from_raw_os_error(errno));
        assert!(matches!(
            Lookup::of(Ok(1), &[libc::ENOENT]),
            Lookup::There(1)
        ));
        assert!(matches!(
            Lookup::of(result(libc::ENOENT), &[libc::ENOENT]),
            Lookup::Gone
        ));
        assert!(matches!(
            Lookup::of(result(libc::EMFILE), &[libc::ENOENT]),
            Lookup::Failed(_)
        ));
    }
}
