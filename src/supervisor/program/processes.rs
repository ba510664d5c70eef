//! A snapshot of all processes, and which of them belong to a program. Pure: the caller supplies the scan and the
//! marks.

use std::collections::{BTreeMap, BTreeSet};

use crate::sys::pid::Pid;
use crate::sys::procfs::Stat;

/// The owner of a process by its mark. Only orphans are checked for a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// This program's.
    Program(u32),
    /// Another daemon's, or the daemon itself.
    Another,
    /// It has no mark.
    Unknown,
    /// It shows no environment: it may be in the middle of an `execve(2)`.
    Undecided,
}

/// A process, by what identifies it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Its number.
    pub pid: Pid,
    /// What the kernel says of it.
    pub stat: Stat,
}

/// The run of a program whose members are looked for.
#[derive(Debug, Clone)]
pub struct Search<'a> {
    /// The program.
    pub id: u32,
    /// Its leader, while that lives.
    pub leader: Option<Pid>,
    /// When the leader started, in clock ticks since boot: no member is older. 0 where that is unknown.
    pub start_ticks: u64,
    /// The group and the session of the leader, unless the number may be another's by now.
    pub group: Option<Pid>,
    /// Members that were found before, with their start times.
    pub known: &'a [(Pid, u64)],
}

/// The processes of one moment.
#[derive(Debug, Default)]
pub struct Processes {
    /// There are others that cannot be seen.
    pub hidden: bool,
    all: BTreeMap<Pid, Stat>,
    children: BTreeMap<i32, Vec<Pid>>,
    /// Those without a parent of their own, by what marks them.
    orphans: Vec<(Pid, Owner)>,
}

impl Processes {
    /// An index of a scan. `orphan_of` says of a process whose mark it has, where it has to be asked at all.
    pub fn new(
        scan: Vec<(Pid, Stat)>,
        mut owner: impl FnMut(Pid, &Stat) -> Option<Owner>,
    ) -> Processes {
        let mut processes = Processes::default();
        for (pid, stat) in scan {
            if stat.lives() {
                if let Some(owner) = owner(pid, &stat) {
                    processes.orphans.push((pid, owner));
                }
            }
            let siblings = processes.children.entry(stat.parent).or_default();
            siblings.push(pid);
            processes.all.insert(pid, stat);
        }
        processes
    }

    /// What a process was at that moment.
    pub fn get(&self, pid: Pid) -> Option<&Stat> {
        self.all.get(&pid)
    }

    /// The processes of a run that live, and all below them. `others` are not followed: leaders of other programs and
    /// the daemon.
    pub fn members(&self, run: &Search, others: impl Fn(Pid) -> bool) -> Vec<Member> {
        let of_group = |stat: &Stat| {
            run.group
                .is_some_and(|group| group.get() == stat.group || group.get() == stat.session)
        };
        let is_known = |pid: Pid, stat: &Stat| run.known.contains(&(pid, stat.start));
        let grouped = self
            .all
            .iter()
            .filter(|(pid, stat)| of_group(stat) || is_known(**pid, stat))
            .map(|(pid, _)| *pid);
        let marked = self
            .orphans
            .iter()
            .filter(|(_, owner)| *owner == Owner::Program(run.id))
            .map(|(pid, _)| *pid);
        let mut queue: Vec<Pid> = run
            .leader
            .into_iter()
            .chain(grouped)
            .chain(marked)
            .collect();
        let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
        while let Some(pid) = queue.pop() {
            let Some(stat) = self.all.get(&pid) else {
                continue;
            };
            let foreign = Some(pid) != run.leader && others(pid);
            if stat.start < run.start_ticks || foreign || !seen.insert(pid) {
                continue;
            }
            if stat.lives() {
                found.push(Member { pid, stat: *stat });
            }
            queue.extend(self.children.get(&pid.get()).into_iter().flatten());
        }
        found.sort_by_key(|member| member.pid);
        found
    }

    /// Whether one that is no older than that may be anybody's, and has to be looked at again.
    pub fn is_undecided(&self, born: u64) -> bool {
        !self.orphans_of(Owner::Undecided, born).is_empty()
    }

    /// Those that belong to nobody recognizable, and are no older than that.
    pub fn unrecognizable(&self, born: u64) -> Vec<Member> {
        self.orphans_of(Owner::Unknown, born)
    }

    fn orphans_of(&self, owner: Owner, born: u64) -> Vec<Member> {
        let unknown = self.orphans.iter().filter(|(_, other)| *other == owner);
        let members = unknown.filter_map(|(pid, _)| {
            let stat = *self.all.get(pid)?;
            Some(Member { pid: *pid, stat })
        });
        members.filter(|member| member.stat.start >= born).collect()
    }
}

/// The owner that an environment names: `RPM_ID` is the program, `RPM_HOME` the home of its daemon.
pub fn owner_by_environment(environment: &[u8], home: &[u8]) -> Owner {
    let value = |name: &[u8]| {
        let mut all = environment.split(|b| *b == 0);
        all.find_map(|assignment| assignment.strip_prefix(name))
    };
    match value(b"RPM_HOME=") {
        Some(named) if named == home => {
            let id = value(b"RPM_ID=").and_then(|id| std::str::from_utf8(id).ok()?.parse().ok());
            id.map_or(Owner::Unknown, Owner::Program)
        }
        // A daemon of another home, or a program of it.
        Some(_) => Owner::Another,
        None if environment.is_empty() => Owner::Undecided,
        None => Owner::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pid(number: i32) -> Pid {
        Pid::new(number).unwrap()
    }

    fn stat(parent: i32, group: i32, session: i32, start: u64) -> Stat {
        Stat {
            state: b'S',
            parent,
            group,
            session,
            threads: 1,
            start,
            exit_code: None,
        }
    }

    /// The daemon is 10, programs are 20 and 30.
    fn scene() -> Processes {
        let scan = vec![
            (pid(10), stat(1, 10, 10, 5)),
            (pid(20), stat(10, 20, 20, 100)),
            (pid(21), stat(20, 20, 20, 101)),
            (pid(22), stat(20, 22, 22, 102)),
            (pid(23), stat(22, 22, 22, 103)),
            (pid(24), stat(10, 20, 20, 104)),
            (pid(25), stat(10, 25, 20, 105)),
            (pid(26), stat(10, 26, 26, 106)),
            (pid(27), stat(26, 27, 27, 107)),
            (pid(28), stat(10, 28, 28, 99)),
            (
                pid(29),
                Stat {
                    state: b'Z',
                    ..stat(20, 20, 20, 108)
                },
            ),
            (pid(30), stat(10, 30, 30, 109)),
            (pid(31), stat(10, 31, 31, 110)),
            (pid(32), stat(10, 32, 32, 111)),
            (pid(40), stat(1, 40, 40, 112)),
        ];
        let marks = [
            (26, Owner::Program(1)),
            (28, Owner::Program(1)),
            (31, Owner::Unknown),
            (32, Owner::Another),
            (40, Owner::Undecided),
        ];
        Processes::new(scan, |of, _| {
            marks
                .iter()
                .find(|(n, _)| *n == of.get())
                .map(|(_, owner)| *owner)
        })
    }

    fn found(run: &Search) -> Vec<i32> {
        let others = |pid: Pid| [10, 20, 30].contains(&pid.get());
        scene()
            .members(run, others)
            .iter()
            .map(|m| m.pid.get())
            .collect()
    }

    #[test]
    fn members_are_found_by_group_session_descent_and_mark() {
        let mut run = Search {
            id: 1,
            leader: Some(pid(20)),
            start_ticks: 100,
            group: Some(pid(20)),
            known: &[],
        };
        // 28 has the mark of a former run; 29 has ended.
        assert_eq!(found(&run), [20, 21, 22, 23, 24, 25, 26, 27]);
        run.leader = None;
        // What is below the leader alone is not found any more, unless it was before.
        assert_eq!(found(&run), [21, 24, 25, 26, 27]);
        run.known = &[];
        assert_eq!(found(&run), [21, 24, 25, 26, 27]);
        let known = [(pid(22), 102), (pid(40), 3)];
        run.known = &known;
        assert_eq!(
            found(&run),
            [21, 22, 23, 24, 25, 26, 27],
            "40 is another one by now"
        );
        run.group = None;
        assert_eq!(found(&run), [22, 23, 26, 27]);
    }

    #[test]
    fn what_is_of_nobody_is_named() {
        let of = |born| {
            let all = scene().unrecognizable(born);
            all.iter().map(|m| m.pid.get()).collect::<Vec<_>>()
        };
        assert_eq!(of(0), [31]);
        assert_eq!(of(111), []);
        assert!(scene().is_undecided(112) && !scene().is_undecided(113));
    }

    #[test]
    fn a_mark_is_the_home_and_the_number() {
        let of = |text: &[u8]| owner_by_environment(text, b"/h");
        assert_eq!(of(b"A=b\0RPM_ID=7\0RPM_HOME=/h\0"), Owner::Program(7));
        assert_eq!(of(b"RPM_ID=7\0RPM_HOME=/h2\0"), Owner::Another);
        assert_eq!(of(b"RPM_HOME=/h\0RPM_ID=x\0"), Owner::Unknown);
        assert_eq!(of(b"RPM_ID=7\0"), Owner::Unknown);
        assert_eq!(of(b"A=b\0"), Owner::Unknown);
        assert_eq!(of(b""), Owner::Undecided);
    }
}
