//! Starting instances that belong together.

use super::exchange::{Daemon, RequestError};
use crate::config::restore::Group;
use crate::model::life::Want;
use crate::model::spec::Spec;
use crate::protocol::process::Process;
use crate::protocol::request::Request;

/// Starts a group. Where some of its instances shall not run, or are not in the list, none runs before that is so.
pub fn start(
    daemon: &mut Daemon,
    group: &Group,
) -> std::result::Result<Vec<Process>, RequestError> {
    let all_up = group.is_all_up();
    let start = Request::Start {
        spec: Box::new(Spec::clone(&group.spec)),
        // That there is no other has been looked at, by more than the name.
        force: true,
        want: if all_up { Want::Up } else { Want::Down },
    };
    let mut made = daemon.processes(&start)?;
    if all_up {
        return Ok(made);
    }
    let ids_of = |made: &[Process], want: Option<Want>| -> Vec<String> {
        let found = made.iter().filter(|p| group.want(p.instance) == want);
        found.map(|process| process.id.to_string()).collect()
    };
    let (surplus, up) = (ids_of(&made, None), ids_of(&made, Some(Want::Up)));
    if !surplus.is_empty() {
        daemon.processes(&Request::Delete { targets: surplus })?;
        made.retain(|process| group.want(process.instance).is_some());
    }
    if !up.is_empty() {
        let started = daemon.processes(&Request::Restart {
            targets: up,
            told: None,
        })?;
        for process in started {
            if let Some(place) = made.iter_mut().find(|p| p.id == process.id) {
                *place = process;
            }
        }
    }
    Ok(made)
}
