//! Requests.

use std::collections::BTreeSet;

use super::line::{Line, Malformed};
use super::log_protocol::Upkeep;
use super::process::{read_want, want_word};
use super::reply::{Code, Failure};
use super::verb::VERBS;
use crate::model::field::{self, FIELDS};
use crate::model::life::Want;
use crate::model::spec::Spec;
use crate::model::value::{Bytes, SignalNumber, Value};
use crate::units;

/// More different keys than any request has: what a hostile line may cost is bounded.
const MOST_KEYS: usize = FIELDS.len() + 8;

/// One request.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Request {
    Hello {
        protocol: u32,
    },
    Ping,
    Start {
        spec: Box<Spec>,
        force: bool,
        want: Want,
    },
    Stop {
        targets: Vec<String>,
    },
    Restart {
        targets: Vec<String>,
        /// What replaces what they were told: with an empty script, only the environment does.
        told: Option<Box<Spec>>,
    },
    Delete {
        targets: Vec<String>,
    },
    Pause {
        targets: Vec<String>,
    },
    Resume {
        targets: Vec<String>,
    },
    Signal {
        signal: SignalNumber,
        targets: Vec<String>,
    },
    Upkeep {
        what: Upkeep,
        targets: Vec<String>,
    },
    List {
        targets: Vec<String>,
    },
    Describe {
        targets: Vec<String>,
    },
    Events,
    Sync,
    Update {
        program: Option<Bytes>,
    },
    Kill {
        keep: bool,
    },
}

impl Request {
    /// The verb.
    pub fn verb(&self) -> &'static str {
        match self {
            Request::Hello { .. } => "hello",
            Request::Ping => "ping",
            Request::Start { .. } => "start",
            Request::Stop { .. } => "stop",
            Request::Restart { .. } => "restart",
            Request::Delete { .. } => "delete",
            Request::Pause { .. } => "pause",
            Request::Resume { .. } => "resume",
            Request::Signal { .. } => "signal",
            Request::Upkeep { what, .. } => what.word(),
            Request::List { .. } => "list",
            Request::Describe { .. } => "describe",
            Request::Events => "events",
            Request::Sync => "sync",
            Request::Update { .. } => "update",
            Request::Kill { .. } => "kill",
        }
    }

    /// Whether it tells an environment: that may hold secrets.
    pub fn has_environment(&self) -> bool {
        match self {
            Request::Start { .. } => true,
            Request::Restart { told, .. } => told.is_some(),
            _ => false,
        }
    }

    /// The request as a line.
    pub fn to_line(&self) -> Line {
        let mut line = Line::new(self.verb());
        match self {
            Request::Hello { protocol } => line.push_number("protocol", *protocol),
            Request::Start { spec, force, want } => {
                push_pairs(&mut line, spec);
                if *force {
                    line.push("force", "true");
                }
                if *want == Want::Down {
                    line.push("want", want_word(*want));
                }
            }
            Request::Restart { targets, told } => {
                push_targets(&mut line, targets);
                if let Some(spec) = told {
                    push_pairs(&mut line, spec);
                }
            }
            Request::Signal { signal, targets } => {
                line.push("signal", units::signal_name(signal.0));
                push_targets(&mut line, targets);
            }
            Request::Stop { targets }
            | Request::Delete { targets }
            | Request::Pause { targets }
            | Request::Resume { targets }
            | Request::Upkeep { targets, .. }
            | Request::List { targets }
            | Request::Describe { targets } => push_targets(&mut line, targets),
            Request::Update {
                program: Some(program),
            } => line.push("program", program),
            Request::Kill { keep: true } => line.push("keep", "true"),
            Request::Update { program: None }
            | Request::Kill { keep: false }
            | Request::Ping
            | Request::Events
            | Request::Sync => {}
        }
        line
    }

    /// The request that a line asks for.
    pub fn from_line(line: &Line) -> Result<Request, Failure> {
        refuse_repeated(line)?;
        match line.tag.as_str() {
            "hello" => {
                only(line, &["protocol"])?;
                let protocol = line.number("protocol");
                let protocol = protocol.ok_or_else(|| bad("hello: protocol is a number"))?;
                Ok(Request::Hello { protocol })
            }
            "ping" => only(line, &[]).map(|()| Request::Ping),
            "start" => start(line),
            "stop" => some_targets(line).map(|targets| Request::Stop { targets }),
            "restart" => restart(line),
            "delete" => some_targets(line).map(|targets| Request::Delete { targets }),
            "pause" => some_targets(line).map(|targets| Request::Pause { targets }),
            "resume" => some_targets(line).map(|targets| Request::Resume { targets }),
            "signal" => signal(line),
            "flush" => targets(line).map(|targets| Request::Upkeep {
                what: Upkeep::Flush,
                targets,
            }),
            "rotate" => targets(line).map(|targets| Request::Upkeep {
                what: Upkeep::Rotate,
                targets,
            }),
            "reopen" => targets(line).map(|targets| Request::Upkeep {
                what: Upkeep::Reopen,
                targets,
            }),
            "list" => targets(line).map(|targets| Request::List { targets }),
            "describe" => targets(line).map(|targets| Request::Describe { targets }),
            "events" => only(line, &[]).map(|()| Request::Events),
            "sync" => only(line, &[]).map(|()| Request::Sync),
            "update" => only(line, &["program"]).map(|()| Request::Update {
                program: line.get("program").map(<[u8]>::to_vec),
            }),
            "kill" => {
                only(line, &["keep"])?;
                let keep = flag(line, "keep")?;
                Ok(Request::Kill { keep })
            }
            other => {
                let known = units::nearest(other, VERBS.iter().map(|v| v.name));
                let hint = known
                    .map(|k| format!(" (did you mean {k}?)"))
                    .unwrap_or_default();
                let shown = units::excerpt(other.as_bytes());
                Err(bad(format!("no verb {shown}{hint}")))
            }
        }
    }
}

impl From<Malformed> for Failure {
    fn from(malformed: Malformed) -> Failure {
        bad(malformed.0)
    }
}

/// The boolean of a field; false where it is not given.
fn flag(line: &Line, key: &str) -> Result<bool, Failure> {
    let read = line.flag(key);
    read.map_err(|Malformed(why)| bad(format!("{}: {why}", line.tag)))
}

fn bad(message: impl Into<String>) -> Failure {
    Failure::new(Code::BadRequest, message)
}

fn push_targets(line: &mut Line, targets: &[String]) {
    for target in targets {
        line.push("target", target);
    }
}

fn push_pairs(line: &mut Line, spec: &Spec) {
    line.fields.extend(spec.pairs());
}

/// Refuses every key but those of `allowed`.
fn only(line: &Line, allowed: &[&str]) -> Result<(), Failure> {
    match line
        .fields
        .iter()
        .find(|(key, _)| !allowed.contains(&key.as_str()))
    {
        Some((key, _)) => Err(bad(format!(
            "{}: no field {}",
            line.tag,
            units::excerpt(key.as_bytes())
        ))),
        None => Ok(()),
    }
}

/// Refuses a key that comes twice, unless it is one of a list: either value would be somebody's mistake.
fn refuse_repeated(line: &Line) -> Result<(), Failure> {
    let mut seen = BTreeSet::new();
    let keys = line.fields.iter().map(|(key, _)| key.as_str());
    for key in keys.filter(|key| *key != "target" && !is_env(key)) {
        let field = field::find(key);
        if !field.is_some_and(|f| f.is_list) && !seen.insert(field.map_or(key, |f| f.name)) {
            let shown = units::excerpt(key.as_bytes());
            return Err(bad(format!("{}: {shown} is given twice", line.tag)));
        }
        if seen.len() > MOST_KEYS {
            return Err(bad(format!("{}: too many fields", line.tag)));
        }
    }
    Ok(())
}

fn is_env(key: &str) -> bool {
    key == "env" || key.starts_with("env.")
}

/// Some of the fields of a line.
type Fields<'a> = Vec<&'a (String, Vec<u8>)>;

/// The targets of a line, and its other fields.
fn targets_and_others(line: &Line) -> Result<(Vec<String>, Fields<'_>), Failure> {
    let (mut targets, mut others) = (Vec::new(), Vec::new());
    for field in &line.fields {
        match field.0.as_str() {
            "target" => targets.push(utf8(&line.tag, "target", &field.1)?.to_owned()),
            _ => others.push(field),
        }
    }
    Ok((targets, others))
}

/// The targets of a line that has no other keys.
fn targets(line: &Line) -> Result<Vec<String>, Failure> {
    match targets_and_others(line)? {
        (targets, others) if others.is_empty() => Ok(targets),
        _ => only(line, &["target"]).map(|()| Vec::new()),
    }
}

fn some_targets(line: &Line) -> Result<Vec<String>, Failure> {
    let targets = targets(line)?;
    if targets.is_empty() {
        Err(bad(format!(
            "{}: which program? target=all means every one",
            line.tag
        )))
    } else {
        Ok(targets)
    }
}

fn signal(line: &Line) -> Result<Request, Failure> {
    let mut signal = SignalNumber(0);
    let given = line.get("signal");
    let given = given.ok_or_else(|| bad("signal: which? signal=SIGUSR2, for example"))?;
    signal
        .read(given)
        .map_err(|why| bad(format!("signal: {why}")))?;
    let mut rest = line.clone();
    rest.fields.retain(|(key, _)| key != "signal");
    let targets = some_targets(&rest)?;
    Ok(Request::Signal { signal, targets })
}

fn utf8<'a>(verb: &str, key: &str, value: &'a [u8]) -> Result<&'a str, Failure> {
    std::str::from_utf8(value).map_err(|_| bad(format!("{verb}: {key} is not UTF-8")))
}

fn restart(line: &Line) -> Result<Request, Failure> {
    let (targets, others) = targets_and_others(line)?;
    if targets.is_empty() {
        return Err(bad("restart: which program? target=all means every one"));
    }
    let whole = others.iter().any(|(key, _)| key == "script");
    if let (false, Some((key, _))) = (whole, others.iter().find(|(key, _)| !is_env(key))) {
        return Err(bad(format!("restart: no field {key} without script=PATH")));
    }
    let given = !others.is_empty();
    let spec = told("restart", others)?;
    Ok(Request::Restart {
        targets,
        told: given.then(|| Box::new(spec)),
    })
}

fn start(line: &Line) -> Result<Request, Failure> {
    let force = flag(line, "force")?;
    let mut want = Want::Up;
    let mut others = Vec::new();
    for field in &line.fields {
        let (key, value) = field;
        match key.as_str() {
            "force" => {}
            "want" => want = read_want(value).ok_or_else(|| bad("start: want is up or down"))?,
            _ => others.push(field),
        }
    }
    let spec = told("start", others)?;
    if spec.script.is_empty() {
        return Err(bad("start: which program? script=PATH says it"));
    }
    Ok(Request::Start {
        spec: Box::new(spec),
        force,
        want,
    })
}

/// What a program is told by the fields of a request.
fn told(verb: &str, fields: Fields) -> Result<Spec, Failure> {
    let mut spec = Spec::default();
    let unknown = spec.set_all(fields);
    let unknown = unknown.map_err(|why| bad(format!("{verb}: {why}")))?;
    let Some(key) = unknown.first() else {
        return Ok(spec);
    };
    let names = FIELDS.iter().flat_map(field::Field::names);
    let hint = units::nearest(key, names).map(|near| format!(" (did you mean {near}?)"));
    let (shown, hint) = (units::excerpt(key.as_bytes()), hint.unwrap_or_default());
    Err(bad(format!("{verb}: no field {shown}{hint}")))
}

#[cfg(test)]
mod tests;
