//! What supervisor and log writer say to each other.
//!
//! The log writer listens, a supervisor connects: the one that forked it, and each that comes after. The log writer
//! greets. The supervisor first says who it is (`attach`), then names every program (`open`), then says that these were
//! all (`complete`); from then on it tells of changes. The log writer gives back the descriptors that it was to keep
//! (`kept`), then says that these were all (`recovered`).
//!
//! Each kept descriptor has a slot, a number that is used once in the life of a log writer. `keep` and `drop` name the
//! slot, so that no order about one descriptor can concern another, whatever the two are called.

use super::line::Line;
use super::output::{LOST, Loss, Output};
use crate::model::standard::Standard;
use crate::model::value::Bytes;

/// The version of this protocol. A supervisor that finds a log writer of another one says no more than `bye`, which
/// every version understands, and forks its own.
pub const LINK_VERSION: u32 = 5;

/// What is done to log files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upkeep {
    /// They are emptied, and the older ones removed.
    Flush,
    /// They are set aside, and others begun.
    Rotate,
    /// They are opened anew by their names: somebody has moved them away.
    Reopen,
}

impl Upkeep {
    /// The word for it, here and as a verb.
    pub fn word(self) -> &'static str {
        match self {
            Upkeep::Flush => "flush",
            Upkeep::Rotate => "rotate",
            Upkeep::Reopen => "reopen",
        }
    }

    /// What the word means.
    pub fn from_word(word: &str) -> Option<Upkeep> {
        let all = [Upkeep::Flush, Upkeep::Rotate, Upkeep::Reopen];
        all.into_iter().find(|what| what.word() == word)
    }
}

/// From the supervisor to the log writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Serve this supervisor from now on. If it dies, execute this program to have another; empty: somebody else does.
    Attach {
        /// The path of `rpmd`.
        program: Bytes,
        /// What it is told of limits.
        limits: String,
    },
    /// Every program has been named since `attach`: those that were not are forgotten.
    Complete,
    /// Drain the FIFOs of a program.
    Open {
        /// The program.
        id: u32,
        /// Where to.
        output: Output,
        /// What the log writer before could not write and nobody has said in the file yet, of standard output and
        /// standard error.
        lost: [Loss; 2],
    },
    /// Forget a program.
    Close {
        /// The program.
        id: u32,
    },
    /// Write this into the daemons' log.
    Note {
        /// Whole lines.
        lines: Bytes,
    },
    /// Keep the descriptor that comes with this order for the next supervisor.
    Keep {
        /// Its slot.
        slot: u64,
        /// What it is.
        name: Bytes,
    },
    /// Close the descriptor of this slot.
    Drop {
        /// Its slot.
        slot: u64,
    },
    /// Give back once more all that is kept: some of it could not be received.
    Recall,
    /// The descriptor that comes with this order is an output of the daemon's own, for programs that print there.
    Standard {
        /// Which one.
        which: Standard,
    },
    /// A program has ended: a line that it has begun, and that is in its files already, gets an end.
    Ended {
        /// The program.
        id: u32,
    },
    /// Write all that these programs have printed so far to their files, then report with the token.
    Drain {
        /// The programs.
        ids: Vec<u32>,
        /// They have ended: the beginning of a line is all that there will be of it.
        last: bool,
        /// What the report carries.
        token: u64,
    },
    /// Write all that a program has printed so far, do something to its files, then report with the token.
    Upkeep {
        /// What to do.
        what: Upkeep,
        /// The program.
        id: u32,
        /// Where its output goes.
        output: Output,
        /// What the report carries.
        token: u64,
    },
    /// Write what waits, then end. The supervisor ends and wants no successor, or wants another log writer.
    Bye,
}

/// From the log writer to the supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// The greeting.
    Hello {
        /// Which version of this protocol is spoken.
        link: u32,
    },
    /// The descriptor that comes with this report was kept.
    Kept {
        /// Its slot; 0 from a log writer of a former release, which has none.
        slot: u64,
        /// What it is.
        name: Bytes,
    },
    /// All that was kept has been given back.
    Recovered,
    /// The order with this token has been carried out; those of one token in their order.
    Done {
        /// The token of the order.
        token: u64,
        /// Why it was not, where that is so: a sentence.
        failure: Option<String>,
    },
    /// Output of a program could not be written.
    Lost {
        /// The program.
        id: u32,
        /// 0 for standard output, 1 for standard error.
        which: usize,
        /// How much; nothing: it is written again, and what was lost is said in the file.
        loss: Loss,
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
            Order::Attach { program, limits } => Line::new("attach")
                .with("program", program)
                .with("limits", limits),
            Order::Complete => Line::new("complete"),
            Order::Open { id, output, lost } => {
                let mut line = Line::new("open");
                line.push_number("id", *id);
                let mut line = output.put(line);
                for (loss, key) in lost.iter().zip(LOST) {
                    if loss.bytes > 0 {
                        line.push(key, loss.to_text());
                    }
                }
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

    /// The order of a line.
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
                lost: LOST.map(|key| line.text(key).and_then(Loss::read).unwrap_or_default()),
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
    /// The report as a line.
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
            Report::Lost { id, which, loss } => {
                let mut line = Line::new("lost");
                line.push_number("id", *id);
                line.push_number("which", u32::from(*which == 1));
                line.with("loss", loss.to_text())
            }
            Report::Note { text } => Line::new("note").with("text", text),
        }
    }

    /// The report of a line.
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
            "lost" => Some(Report::Lost {
                id: line.number("id")?,
                which: usize::from(line.number::<u32>("which")? == 1),
                loss: Loss::read(line.text("loss")?)?,
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
        let loss = Loss {
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
                lost: [Loss::default(); 2],
            },
            Order::Open {
                id: 3,
                output: output.clone(),
                lost: [Loss::default(), loss],
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
            Report::Lost {
                id: 3,
                which: 1,
                loss,
            },
            Report::Note { text: "a b".into() },
        ] {
            let line = Line::decode(&report.to_line().to_bytes()).unwrap();
            assert_eq!(Report::from_line(&line), Some(report));
        }
    }
}
