//! What the log writer is told of the output of a program.

use std::os::unix::ffi::OsStringExt;

use crate::protocol::log_protocol::Order;
use crate::protocol::output::Output;
use crate::supervisor::event_loop::Supervisor;
use crate::supervisor::program::Program;
use crate::supervisor::program::files::Stream;

impl Supervisor {
    /// Has the log writer drain a program that has begun to run: one that never could leaves no files.
    pub(crate) fn open_logs(&mut self, id: u32) {
        if let Some(program) = self.programs.get_mut(&id).filter(|p| !p.logged) {
            program.logged = true;
            self.order_logs(id);
        }
    }

    /// Tells the log writer of a program.
    pub(crate) fn order_logs(&mut self, id: u32) {
        if let Some(order) = self.programs.get(&id).map(|p| self.open_order(p)) {
            self.log.order(&order);
        }
    }

    /// What the log writer is told of a program.
    pub(crate) fn open_order(&self, program: &Program) -> Order {
        Order::Open {
            id: program.id,
            output: self.output(program),
            dropped: program.lost,
        }
    }

    /// Where the output of a program goes, and how.
    pub(crate) fn output(&self, program: &Program) -> Output {
        let path = |stream| {
            let path = program.log_file(&self.home, stream);
            path.into_os_string().into_vec()
        };
        let spec = &program.spec;
        Output {
            out: path(Stream::Out),
            err: path(Stream::Err),
            both: path(Stream::Both),
            name: spec.name.clone(),
            date_format: spec.date_format().to_owned(),
            log_type: spec.log_type,
            merged: spec.merge_logs && spec.instances > 1,
            max_size: spec.log_max_size.0,
            max_files: spec.log_max_files,
        }
    }
}
