//! Pids that can be signalled.

/// A pid above 1. To `kill(2)`, 0 is the own process group, -1 all processes, and 1 is init; none of them can be
/// represented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(i32);

impl Pid {
    /// The pid of a number; `None` for 1 and below.
    pub fn new(number: i32) -> Option<Pid> {
        (number > 1).then_some(Pid(number))
    }

    /// The number.
    pub fn get(self) -> i32 {
        self.0
    }

    /// The pid of this process, which is 1 in a container. `getpid(2)`
    pub fn own() -> i32 {
        // SAFETY: getpid has no arguments and cannot fail.
        unsafe { libc::getpid() }
    }

    /// The session of this process; 0 if its leader is outside the pid namespace. `getsid(2)`
    pub fn own_session() -> i32 {
        // SAFETY: takes only a number; it cannot fail for the calling process.
        unsafe { libc::getsid(0) }
    }

    /// Whether a process with this pid exists and leads a session. The kernel answers this for any process. `getsid(2)`
    pub fn leads_session(self) -> bool {
        // SAFETY: takes only a number.
        unsafe { libc::getsid(self.0) == self.0 }
    }

    /// The pid of the parent of this process, which changes when the parent exits. `getppid(2)`
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
    fn groups_all_processes_and_init_have_no_pid() {
        for wrong in [1, 0, -1, -4711] {
            assert_eq!(Pid::new(wrong), None);
        }
        assert_eq!(Pid::new(2).map(Pid::get), Some(2));
    }

    #[test]
    fn only_a_live_session_leader_is_one() {
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
