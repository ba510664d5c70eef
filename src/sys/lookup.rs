//! The three results of looking at something that may be gone.

use std::io;

/// What a look at a process, a file or a record found.
///
/// A failed look proves nothing: the thing may be there or gone. Whoever gets `Failed` looks again later and reports
/// it; it never counts as a death, and never as damage.
#[derive(Debug)]
pub enum Lookup<T> {
    /// It exists.
    There(T),
    /// It does not exist.
    Gone,
    /// The look itself failed: no descriptors, no memory, an input error, no permission, no such system call.
    Failed(io::Error),
}

impl<T> Lookup<T> {
    /// The result of a system call whose `gone` error numbers mean that the thing does not exist.
    pub fn of(result: io::Result<T>, gone: &[i32]) -> Lookup<T> {
        match result {
            Ok(found) => Lookup::There(found),
            Err(e) if e.raw_os_error().is_some_and(|errno| gone.contains(&errno)) => Lookup::Gone,
            Err(e) => Lookup::Failed(e),
        }
    }

    /// Applies a function to what was found.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Lookup<U> {
        match self {
            Lookup::There(found) => Lookup::There(change(found)),
            Lookup::Gone => Lookup::Gone,
            Lookup::Failed(e) => Lookup::Failed(e),
        }
    }
}

/// Whether only room was missing, of descriptors or of memory: the same may succeed in a moment.
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
    fn only_the_named_errors_mean_gone() {
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
