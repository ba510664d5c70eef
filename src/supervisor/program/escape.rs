//! Notices processes that have left the cgroup of their program: a login session of PAM, `systemd-run --scope` and
//! `cgexec` move them. Their program is then searched for in `/proc` too.

use std::io;

use crate::model::life::State;
use crate::supervisor::event_loop::Supervisor;
use crate::supervisor::program::members::own_group;
use crate::supervisor::program::processes::{Member, Search};
use crate::sys::pid::Pid;

impl Supervisor {
    /// Notes whether a run whose members were all in its cgroup has members elsewhere. One scan of `/proc` in a turn
    /// of the loop serves all programs.
    ///
    /// # Errors
    /// The processes could not be looked up.
    pub(crate) fn look_for_escape(
        &mut self,
        id: u32,
        leader: Option<Pid>,
        in_cgroup: &[Member],
    ) -> io::Result<()> {
        if leader.is_none() && self.cannot_have_escaped(id) {
            return Ok(());
        }
        let processes = self.processes()?;
        let own = Pid::own();
        let leaders = self.leaders();
        let others = |pid: Pid| pid.get() == own || leaders.contains(&pid);
        let cgroup = self.cgroup(id);
        let program = self.programs.get_mut(&id);
        let Some(run) = program.and_then(|p| p.run.as_mut()) else {
            return Ok(());
        };
        if let (0, Some(leader)) = (run.start_ticks, leader) {
            run.start_ticks = processes.get(leader).map_or(0, |stat| stat.start);
        }
        let search = Search {
            id,
            leader,
            start_ticks: run.start_ticks,
            group: own_group(run, &mut *self.driver, &processes, leader.is_some()),
            known: &[],
        };
        let mut elsewhere = processes.members(&search, others);
        elsewhere.retain(|member| {
            // One that was forked since the cgroup was read is in it.
            let place = self.driver.inspect(member.pid).cgroup;
            let is_in = cgroup.as_ref().zip(place).map(|(c, place)| c.has(&place));
            in_cgroup.iter().all(|m| m.pid != member.pid) && is_in == Some(false)
        });
        if !elsewhere.is_empty() {
            run.has_left_cgroup();
        } else {
            run.seen_in_cgroup = leader.is_some();
        }
        Ok(())
    }

    /// Whether no process of a run without its leader can be outside of its cgroup: this process, which adopts the orphans
    /// of its children, has no child but leaders. Where the kernel does not tell, the processes were looked for when the
    /// run was stopped, and none is left of its group.
    fn cannot_have_escaped(&mut self, id: u32) -> bool {
        let leaders = self.leaders();
        let program = self.programs.get(&id);
        let Some((program, run)) = program.and_then(|p| Some((p, p.run.as_ref()?))) else {
            return true;
        };
        let orphans = if run.adopted {
            None
        } else {
            self.driver.has_orphans(&leaders)
        };
        let was_looked_for = run.seen_in_cgroup && program.life.state == State::Stopping;
        let group = run.group;
        match orphans {
            Some(has_some) => !has_some,
            None => was_looked_for && !group.is_some_and(|g| self.driver.group_exists(g)),
        }
    }
}
