//! What supervisor and log writer say to each other over their pair.

use super::line::Line;
use crate::app::value::Bytes;

/// From the supervisor to the log writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Drain the FIFOs of a program into these files; an empty path means no file.
    Open {
        /// The program.
        id: u32,
        /// Where its standard output goes.
        out: Bytes,
        /// Where its standard error goes.
        err: Bytes,
    },
    /// Forget a program.
    Close {
        /// The program.
        id: u32,
    },
    /// Write all that these programs have printed so far to their files, then answer with the token.
    Drain {
        /// The programs.
        ids: Vec<u32>,
        /// What the answer carries.
        token: u64,
    },
    /// The supervisor ends, and wants no successor.
    Bye,
}

/// From the log writer to the supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// What `Drain` with this token asked for is done.
    Drained {
        /// The token of the order.
        token: u64,
    },
    /// Something that belongs into the daemons' log.
    Note {
        /// The sentence.
        text: String,
    },
}

impl Order {
    /// The order as a line.
    pub fn to_line(&self) -> Line {
        match self {
            Order::Open { id, out, err } => {
                let mut line = Line::new("open");
                line.push_number("id", *id);
                line.with("out", out).with("err", err)
            }
            Order::Close { id } => {
                let mut line = Line::new("close");
                line.push_number("id", *id);
                line
            }
            Order::Drain { ids, token } => {
                let mut line = Line::new("drain").with("token", token.to_string());
                for id in ids {
                    line.push_number("id", *id);
                }
                line
            }
            Order::Bye => Line::new("bye"),
        }
    }

    /// The order of a line.
    pub fn from_line(line: &Line) -> Option<Order> {
        let id = line.number("id");
        match line.tag.as_str() {
            "open" => Some(Order::Open {
                id: id?,
                out: line.get("out")?.to_vec(),
                err: line.get("err")?.to_vec(),
            }),
            "close" => Some(Order::Close { id: id? }),
            "drain" => {
                let id = |text: &[u8]| std::str::from_utf8(text).ok()?.parse().ok();
                Some(Order::Drain {
                    ids: line.all("id").filter_map(id).collect(),
                    token: line.number("token")?,
                })
            }
            "bye" => Some(Order::Bye),
            _ => None,
        }
    }
}

impl Report {
    /// The report as a line.
    pub fn to_line(&self) -> Line {
        match self {
            Report::Drained { token } => Line::new("drained").with("token", token.to_string()),
            Report::Note { text } => Line::new("note").with("text", text),
        }
    }

    /// The report of a line.
    pub fn from_line(line: &Line) -> Option<Report> {
        match line.tag.as_str() {
            "drained" => Some(Report::Drained {
                token: line.number("token")?,
            }),
            "note" => Some(Report::Note {
                text: String::from_utf8_lossy(line.get("text")?).into_owned(),
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_and_report_comes_back() {
        let path = b"/srv/a \xff".to_vec();
        for order in [
            Order::Open {
                id: 3,
                out: path.clone(),
                err: Vec::new(),
            },
            Order::Close { id: 3 },
            Order::Drain {
                ids: vec![3, 5],
                token: u64::MAX,
            },
            Order::Bye,
        ] {
            let line = Line::decode(&order.to_line().to_bytes()).unwrap();
            assert_eq!(Order::from_line(&line), Some(order));
        }
        for report in [
            Report::Drained { token: 9 },
            Report::Note { text: "a b".into() },
        ] {
            let line = Line::decode(&report.to_line().to_bytes()).unwrap();
            assert_eq!(Report::from_line(&line), Some(report));
        }
    }
}
