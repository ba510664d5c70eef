//! Resolves the targets of a request to programs.

use crate::model::selector::{self, Subject};
use crate::protocol::reply::{Code, Failure};
use crate::supervisor::event_loop::Supervisor;
use crate::units;

/// The sentence for a target that means nothing.
fn nothing_matches(target: &str) -> Failure {
    let message = match target {
        "all" => "there are no programs".to_owned(),
        _ => format!(
            "no program, id or namespace is called {}",
            units::excerpt(target.as_bytes())
        ),
    };
    Failure::new(Code::NotFound, message)
}

impl Supervisor {
    /// The ids of the targets, in order. One target without a match fails the request.
    pub(crate) fn select(&self, targets: &[String]) -> Result<Vec<u32>, Failure> {
        let subjects = self.programs.values().map(|program| Subject {
            id: program.id,
            name: &program.spec.name,
            namespace: &program.spec.namespace,
        });
        let selected = selector::select(targets, subjects);
        selected.map_err(|target| self.unread_may_match(nothing_matches(target)))
    }
}
