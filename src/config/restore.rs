//! Which programs of a saved list are started, grouped by instances.

use std::rc::Rc;

use super::dump::Saved;
use crate::model::life::Want;
use crate::model::spec::Spec;
use crate::protocol::process::Process;

/// The instances of a program.
#[derive(Debug, PartialEq, Eq)]
pub struct Group {
    /// Their settings.
    pub spec: Rc<Spec>,
    /// The number and desired state of each.
    pub members: Vec<(u32, Want)>,
}

impl Group {
    /// Whether all instances are listed, and all are wanted up.
    pub fn is_all_up(&self) -> bool {
        let up = self.members.iter().filter(|(_, want)| *want == Want::Up);
        u32::try_from(up.count()) == Ok(self.spec.instances)
    }

    /// The desired state of an instance; `None` if it is not listed.
    pub fn want(&self, instance: u32) -> Option<Want> {
        let found = self.members.iter().find(|(number, _)| *number == instance);
        found.map(|(_, want)| *want)
    }
}

/// Removes the programs from a saved list that are present, and returns these. Each present program matches one of the same
/// name, namespace and instance.
pub fn remove_present(saved: &mut Vec<Saved>, present: &[Process]) -> Vec<Process> {
    let mut removed = Vec::new();
    for process in present {
        let same = |saved: &Saved| {
            (
                saved.spec.name.as_str(),
                saved.spec.namespace.as_str(),
                saved.instance,
            ) == (
                process.name.as_str(),
                process.namespace.as_str(),
                process.instance,
            )
        };
        if let Some(at) = saved.iter().position(same) {
            saved.remove(at);
            removed.push(process.clone());
        }
    }
    removed
}

/// The groups of a list, in its order. Instances with different settings are in different groups.
pub fn groups(saved: Vec<Saved>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for program in saved {
        let member = (program.instance, program.want);
        let same = |group: &&mut Group| {
            group.spec == program.spec && group.want(program.instance).is_none()
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.members.push(member),
            None => groups.push(Group {
                spec: program.spec,
                members: vec![member],
            }),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::life::State;

    fn saved(name: &str, instances: u32, instance: u32, want: Want) -> Saved {
        Saved {
            spec: Rc::new(Spec {
                name: name.into(),
                instances,
                ..Spec::default()
            }),
            instance,
            want,
        }
    }

    fn present(name: &str, namespace: &str, instance: u32) -> Process {
        Process {
            mode: crate::model::spec::ExecMode::Fork,
            id: 0,
            name: name.into(),
            namespace: namespace.into(),
            state: State::Online,
            want: Want::Up,
            pid: 1,
            since: 0,
            created: 0,
            restarts: 0,
            unstable: 0,
            exit: None,
            instance,
            uid: 0,
            cpu: 0,
            memory: 0,
            lost: 0,
        }
    }

    #[test]
    fn instances_are_grouped_with_their_desired_states() {
        let list = vec![
            saved("a", 2, 0, Want::Up),
            saved("b", 1, 0, Want::Down),
            saved("a", 2, 1, Want::Up),
            saved("b", 1, 0, Want::Up),
            saved("c", 3, 0, Want::Up),
            saved("c", 3, 2, Want::Down),
        ];
        let groups = groups(list);
        let shown: Vec<_> = groups
            .iter()
            .map(|g| (g.spec.name.as_str(), g.members.as_slice(), g.is_all_up()))
            .collect();
        let expected = [
            ("a", &[(0, Want::Up), (1, Want::Up)][..], true),
            ("b", &[(0, Want::Down)], false),
            ("b", &[(0, Want::Up)], true),
            ("c", &[(0, Want::Up), (2, Want::Down)], false),
        ];
        assert_eq!(shown, expected);
        assert_eq!(groups[3].want(1), None);
    }

    #[test]
    fn each_present_program_removes_one_of_the_list() {
        let mut list = vec![
            saved("a", 2, 0, Want::Up),
            saved("a", 2, 1, Want::Up),
            saved("b", 1, 0, Want::Up),
            saved("b", 1, 0, Want::Up),
        ];
        let there = [
            present("a", "default", 1),
            present("b", "default", 0),
            present("a", "web", 0),
        ];
        let removed = remove_present(&mut list, &there);
        assert_eq!(removed, there[..2]);
        let left: Vec<_> = list
            .iter()
            .map(|s| (s.spec.name.as_str(), s.instance))
            .collect();
        assert_eq!(left, [("a", 0), ("b", 0)]);
    }
}
