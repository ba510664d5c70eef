//! The protocol between supervisor and log writer.
//!
//! The log writer listens. The supervisor that forked it connects, and later each supervisor that replaces it. The log
//! writer sends `hello`. The supervisor sends `attach`, an `open` for every program and `complete`, then orders as things
//! change. The log writer returns the descriptors that it keeps (`kept`), then sends `recovered`.
//!
//! Each kept descriptor has a slot, a number that a log writer uses once. `keep` and `drop` name the slot, so that an
//! order never means another descriptor of the same name.

use super::line::Line;
use super::output::{Dropped, Output, Stream};
use crate::model::standard::Standard;
use crate::model::value::Bytes;

/// The version of this protocol. A supervisor sends a log writer of another version nothing but `bye`, which every version
/// understands, and forks its own.
pub const LINK_VERSION: u32 = 5;

/// What is done to log files by command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upkeep {
    /// Empty them and remove the rotated ones.
    Flush,
    /// Rotate them.
    Rotate,
    /// Open them again by name, after another program has moved them.
    Reopen,
}

impl Upkeep {
    /// Its word, here and in requests of clients.
    pub fn word(self) -> &'static str {
        match self {
            Upkeep::Flush => "flush",
            Upkeep::Rotate => "rotate",
            Upkeep::Reopen => "reopen",
        }
    }

    /// Parses the word.
    pub fn from_word(word: &str) -> Option<Upkeep> {
        let all = [Upkeep::Flush, Upkeep::Rotate, Upkeep::Reopen];
        all.into_iter().find(|what| what.word() == word)
    }
}

/// From the supervisor to the log writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Serve this supervisor from now on. If it dies, execute this program to replace it; empty: an init system does.
    Attach {
        /// The path of `rpmd`.
        program: Bytes,
        /// The value of its option `--limits`.
        limits: String,
    },
    /// Every program was sent since `attach`. Forget the others.
    Complete,
    /// Drain the FIFOs of a program.
    Open {
        /// The program.
        id: u32,
        /// Where its output goes.
        output: Output,
        /// What the previous log writer dropped of standard output and standard error without a notice in the file.
        dropped: [Dropped; 2],
    },
    /// Forget a program.
    Close {
        /// The program.
        id: u32,
    },
    /// Write lines to the daemon's log.
    Note {
        /// Whole lines.
        lines: Bytes,
    },
    /// Keep the descriptor that comes with this order for the next supervisor.
    Keep {
        /// Its slot.
        slot: u64,
        /// Its name.
        name: Bytes,
    },
    /// Close the descriptor of this slot.
    Drop {
        /// Its slot.
        slot: u64,
    },
    /// Return all kept descriptors again: some could not be received.
    Recall,
    /// The descriptor that comes with this order is the daemon's own standard output or standard error, for programs that
    /// write there.
    Standard {
        /// Which one.
        which: Standard,
    },
    /// A program has exited: end the partial line that it left in its files.
    Ended {
        /// The program.
        id: u32,
    },
    /// Write all that these programs have written so far to their files, then report the token.
    Drain {
        /// The programs.
        ids: Vec<u32>,
        /// They have exited: partial lines are written too.
        last: bool,
        /// The token of the report.
        token: u64,
    },
    /// Write all that a program has written so far, maintain its files, then report the token.
    Upkeep {
        /// What is done.
        what: Upkeep,
        /// The program.
        id: u32,
        /// Where its output goes.
        output: Output,
        /// The token of the report.
        token: u64,
    },
    /// Write what waits, then exit. The supervisor exits and needs no successor, or replaces this log writer.
    Bye,
}

/// Output of a stream that was dropped, as the log writer reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DroppedRow {
    /// The program.
    pub id: u32,
    /// The stream.
    pub stream: Stream,
    /// How much; nothing: output is written again, and a notice in the file says how much was dropped.
    pub dropped: Dropped,
}

/// From the log writer to the supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// The greeting.
    Hello {
        /// The version of this protocol.
        link: u32,
    },
    /// The descriptor that comes with this report was kept.
    Kept {
        /// Its slot; 0 from a log writer of an old release, which has none.
        slot: u64,
        /// Its name.
        name: Bytes,
    },
    /// All kept descriptors were returned.
    Recovered,
    /// An order with this token was carried out. Orders of one token are reported in their order.
    Done {
        /// The token of the order.
        token: u64,
        /// Why it failed, if it did: a sentence.
        failure: Option<String>,
    },
    /// Output of a program was dropped.
    Dropped(DroppedRow),
    /// A line for the daemon's log.
    Note {
        /// The sentence.
        text: String,
    },
}

impl Order {
    /// Encodes the order.
    pub fn to_line(&self) -> Line {
        match self {
            Order::Attach { program, limits } => Line::new("attach")
                .with("program", program)
                .with("limits", limits),
            Order::Complete => Line::new("complete"),
            Order::Open {
                id,
                output,
                dropped,
            } => {
                let mut line = Line::new("open");
                line.push_number("id", *id);
                let mut line = output.put(line);
                Dropped::put(dropped, &mut line);
                line
            }
            Order::Close { id } => {
                let mut line = Line::new("close");
                line.push_number("id", *id);
                line
            }
            Order::Note { lines } => Line::new("note").with("lines", lines),
            Order::Drain { ids, last, token } => {
                let mut line = Line::new("drain").with("token", token.to_string());
                line.push_number("last", i64::from(*last));
                for id in ids {
                    line.push_number("id", *id);
                }
                line
            }
            Order::Upkeep {
                what,
                id,
                output,
                token,
            } => {
                let mut line = Line::new(what.word()).with("token", token.to_string());
                line.push_number("id", *id);
                output.put(line)
            }
            Order::Keep { slot, name } => Line::new("keep")
                .with("slot", slot.to_string())
                .with("name", name),
            Order::Drop { slot } => Line::new("drop").with("slot", slot.to_string()),
            Order::Recall => Line::new("recall"),
            Order::Standard { which } => Line::new("standard").with("path", which.path()),
            Order::Ended { id } => {
                let mut line = Line::new("ended");
                line.push_number("id", *id);
                line
            }
            Order::Bye => Line::new("bye"),
        }
    }

    /// Decodes an order.
    pub fn from_line(line: &Line) -> Option<Order> {
        let id = line.number("id");
        match line.tag.as_str() {
            "attach" => Some(Order::Attach {
                program: line.get("program")?.to_vec(),
                limits: line.text("limits")?.to_owned(),
            }),
            "complete" => Some(Order::Complete),
            "open" => Some(Order::Open {
                id: id?,
                output: Output::of(line)?,
                dropped: Dropped::of_line(line),
            }),
            "close" => Some(Order::Close { id: id? }),
            "note" => Some(Order::Note {
                lines: line.get("lines")?.to_vec(),
            }),
            "drain" => {
                let id = |text: &[u8]| std::str::from_utf8(text).ok()?.parse().ok();
                Some(Order::Drain {
                    ids: line.all("id").filter_map(id).collect(),
                    last: line.flag("last").ok()?,
                    token: line.number("token")?,
                })
            }
            "keep" => Some(Order::Keep {
                slot: line.number("slot")?,
                name: line.get("name")?.to_vec(),
            }),
            "drop" => Some(Order::Drop {
                slot: line.number("slot")?,
            }),
            "recall" => Some(Order::Recall),
            "standard" => {
                let path = line.text("path")?;
                let which = Standard::BOTH.into_iter().find(|one| one.path() == path)?;
                Some(Order::Standard { which })
            }
            "ended" => Some(Order::Ended { id: id? }),
            "bye" => Some(Order::Bye),
            word => Some(Order::Upkeep {
                what: Upkeep::from_word(word)?,
                id: id?,
                output: Output::of(line)?,
                token: line.number("token")?,
            }),
        }
    }
}

impl Report {
    /// Encodes the report.
    pub fn to_line(&self) -> Line {
        match self {
            Report::Hello { link } => Line::new("hello").with("link", link.to_string()),
            Report::Kept { slot, name } => Line::new("kept")
                .with("slot", slot.to_string())
                .with("name", name),
            Report::Recovered => Line::new("recovered"),
            Report::Done { token, failure } => {
                let mut line = Line::new("done").with("token", token.to_string());
                if let Some(why) = failure {
                    line.push("failure", why);
                }
                line
            }
            Report::Dropped(row) => {
                let mut line = Line::new("lost");
                line.push_number("id", row.id);
                line.push_number("which", u32::from(row.stream == Stream::Err));
                line.with("loss", row.dropped.to_text())
            }
            Report::Note { text } => Line::new("note").with("text", text),
        }
    }

    /// Decodes a report.
    pub fn from_line(line: &Line) -> Option<Report> {
        match line.tag.as_str() {
            "hello" => Some(Report::Hello {
                link: line.number("link")?,
            }),
            "kept" => Some(Report::Kept {
                slot: line.number("slot").unwrap_or(0),
                name: line.get("name")?.to_vec(),
            }),
            "recovered" => Some(Report::Recovered),
            "done" => Some(Report::Done {
                token: line.number("token")?,
                failure: line.text("failure").map(str::to_owned),
            }),
            "lost" => Some(Report::Dropped(DroppedRow {
                id: line.number("id")?,
                stream: Stream::from_index(line.number("which")?),
                dropped: Dropped::parse(line.text("loss")?)?,
            })),
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
    use crate::model::value::LogType;

    #[test]
    fn every_order_and_report_comes_back() {
        let path = b"/srv/a \xff".to_vec();
        let output = Output {
            both: path.clone(),
            date_format: "YYYY %".into(),
            log_type: LogType::Json,
            merged: true,
            max_size: 0,
            max_files: 9,
            ..Output::new("a b", &path, b"")
        };
        let dropped = Dropped {
            bytes: 3,
            first: 1,
            last: u64::MAX,
        };
        for order in [
            Order::Attach {
                program: path.clone(),
                limits: "1:2:0".into(),
            },
            Order::Complete,
            Order::Open {
                id: 3,
                output: Output::new("api", &path, b""),
                dropped: [Dropped::default(); 2],
            },
            Order::Open {
                id: 3,
                output: output.clone(),
                dropped: [Dropped::default(), dropped],
            },
            Order::Close { id: 3 },
            Order::Note {
                lines: b"a\nb\n".to_vec(),
            },
            Order::Drain {
                ids: vec![3, 5],
                last: true,
                token: u64::MAX,
            },
            Order::Upkeep {
                what: Upkeep::Flush,
                id: 3,
                output: output.clone(),
                token: 7,
            },
            Order::Upkeep {
                what: Upkeep::Reopen,
                id: 3,
                output: Output::new("", b"", &path),
                token: 7,
            },
            Order::Keep {
                slot: u64::MAX,
                name: path.clone(),
            },
            Order::Drop { slot: 1 },
            Order::Recall,
            Order::Standard {
                which: Standard::Out,
            },
            Order::Standard {
                which: Standard::Error,
            },
            Order::Ended { id: 3 },
            Order::Bye,
        ] {
            let line = Line::decode(&order.to_line().to_bytes()).unwrap();
            assert_eq!(Order::from_line(&line), Some(order));
        }
        for report in [
            Report::Hello { link: LINK_VERSION },
            Report::Kept {
                slot: 3,
                name: path.clone(),
            },
            Report::Recovered,
            Report::Done {
                token: 9,
                failure: None,
            },
            Report::Done {
                token: 9,
                failure: Some("emptying /x: no".into()),
            },
            Report::Dropped(DroppedRow {
                id: 3,
                stream: Stream::Err,
                dropped,
            }),
            Report::Note { text: "a b".into() },
        ] {
            let line = Line::decode(&report.to_line().to_bytes()).unwrap();
            assert_eq!(Report::from_line(&line), Some(report));
        }
    }
}
