//! Process numbers that can be signalled.

/// A process number above 1. 0, -1 and 1 mean "my group", "everybody" and init to `kill(2)`: they cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(i32);

impl Pid {
    /// The process number, where it is one that may be signalled.
    pub fn new(number: i32) -> Option<Pid> {
        (number > 1).then_some(Pid(number))
    }

    /// The number.
    pub fn get(self) -> i32 {
        self.0
    }

    /// The number of this process, `getpid(2)`; 1 in a container.
    pub fn own() -> i32 {
        // SAFETY: getpid has no arguments and cannot fail.
        unsafe { libc::getpid() }
    }

    /// The session of this process, `getsid(2)`; 0 where its leader is outside of the pid namespace.
    pub fn own_session() -> i32 {
        // SAFETY: takes a number; it cannot fail for the calling process.
        unsafe { libc::getsid(0) }
    }

    /// Whether there is a process of this number that leads a session: the kernel tells that of any process.
    pub fn leads_session(self) -> bool {
        // SAFETY: takes a number.
        unsafe { libc::getsid(self.0) == self.0 }
    }

    /// The number of the parent of this process, `getppid(2)`: another one when the parent has ended.
    pub fn parent() -> i32 {
        // SAFETY: getppid has no arguments and cannot fail.
        unsafe { libc::getppid() }
    }
}

impl std::fmt::Display for Pid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::Pid;
    use std::process::{Command, Stdio};

    #[test]
    fn groups_everybody_and_init_cannot_be_named() {
        for wrong in [1, 0, -1, -4711] {
            assert_eq!(Pid::new(wrong), None);
        }
        assert_eq!(Pid::new(2).map(Pid::get), Some(2));
    }

    #[test]
    fn only_a_living_leader_leads_a_session() {
        let mut leader = Command::new("setsid")
            .args(["sh", "-c", "echo; exec sleep 1000"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = Pid::new(leader.id() as i32).unwrap();
        let mut line = [0];
        let mut output = leader.stdout.take().unwrap();
        std::io::Read::read_exact(&mut output, &mut line).unwrap();
        assert!(pid.leads_session());
        leader.kill().unwrap();
        leader.wait().unwrap();
        assert!(!pid.leads_session());
        let mut other = Command::new("sleep").arg("1000").spawn().unwrap();
        assert!(!Pid::new(other.id() as i32).unwrap().leads_session());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
