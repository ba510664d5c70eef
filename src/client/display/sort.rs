//! The order of the table of programs: `--sort FIELD[:asc|:desc]`.

use std::cmp::Ordering;

use super::usage::Meter;
use crate::protocol::process::Process;

/// Compares two programs by a field.
type Compare = fn(&Process, &Process, &Meter) -> Ordering;

/// The fields, each with its name and the names in pm2 and in the table.
const FIELDS: &[(&[&str], Compare)] = &[
    (&["id", "pm_id"], |a, b, _| a.id.cmp(&b.id)),
    (&["name"], |a, b, _| a.name.cmp(&b.name)),
    (&["namespace"], |a, b, _| a.namespace.cmp(&b.namespace)),
    (&["pid"], |a, b, _| a.pid.cmp(&b.pid)),
    (&["status"], |a, b, _| a.state.word().cmp(b.state.word())),
    (&["restarts", "restart_time"], |a, b, _| {
        a.restarts.cmp(&b.restarts)
    }),
    (&["uptime"], |a, b, meter| {
        meter.uptime(a).cmp(&meter.uptime(b))
    }),
    (&["created", "created_at"], |a, b, _| {
        a.created.cmp(&b.created)
    }),
    (&["cpu"], |a, b, meter| meter.cpu(a).cmp(&meter.cpu(b))),
    (&["memory", "mem"], |a, b, _| a.memory.cmp(&b.memory)),
];

/// An order of programs.
#[derive(Clone, Copy)]
pub struct Order {
    compare: Compare,
    descending: bool,
}

impl Order {
    /// Parses an order. The error completes "--sort: …".
    pub fn parse(text: &str) -> Result<Order, String> {
        let (name, direction) = text.split_once(':').unwrap_or((text, "asc"));
        let row = FIELDS.iter().find(|(names, _)| names.contains(&name));
        let descending = match direction {
            "asc" => false,
            "desc" => true,
            _ => return Err(format!("'{direction}' is neither asc nor desc")),
        };
        let Some((_, compare)) = row else {
            let names = FIELDS
                .iter()
                .filter_map(|(names, _)| names.first().copied());
            let names = names.collect::<Vec<_>>().join(", ");
            return Err(format!("'{name}' is not one of {names}"));
        };
        let compare = *compare;
        Ok(Order {
            compare,
            descending,
        })
    }

    /// Sorts programs. Equal programs stay in the order of their ids.
    pub fn sort(&self, processes: &mut [Process], meter: &Meter) {
        processes.sort_by(|a, b| {
            let order = (self.compare)(a, b, meter);
            if self.descending {
                order.reverse()
            } else {
                order
            }
        });
    }
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Order")
            .field("descending", &self.descending)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::program_info;

    #[test]
    fn programs_are_sorted_by_a_field() {
        let meter = Meter::new();
        let sorted = |text: &str| {
            let one = |id, name: &str, memory| Process {
                id,
                name: name.into(),
                memory,
                ..program_info::sample().process
            };
            let mut all = [one(0, "b", 5), one(1, "a", 5), one(2, "c", 9)];
            Order::parse(text).unwrap().sort(&mut all, &meter);
            all.map(|process| process.id)
        };
        assert_eq!(sorted("name"), [1, 0, 2]);
        assert_eq!(sorted("name:desc"), [2, 0, 1]);
        assert_eq!(sorted("memory:asc"), [0, 1, 2]);
        assert_eq!(sorted("mem:desc"), [2, 0, 1]);
        for (names, _) in FIELDS {
            for name in *names {
                assert_eq!(sorted(name).len(), 3);
            }
        }
        let why = Order::parse("size").unwrap_err();
        assert!(why.starts_with("'size' is not one of id, name, "), "{why}");
        let why = Order::parse("name:down").unwrap_err();
        assert_eq!(why, "'down' is neither asc nor desc");
    }
}
