//! Pending requests of clients, encoded as lines for the next release.

use std::rc::Rc;

use crate::model::spec::Spec;
use crate::protocol::line::Line;
use crate::protocol::log_protocol::Upkeep;
use crate::protocol::process::{read_want, want_word};
use crate::protocol::reply::{Failure, Reply};
use crate::supervisor::control::pending::{Pending, Rows, Start, Then, Turn};

/// The lines of what a client waits for.
pub(crate) fn pending_lines(pending: &Pending) -> Vec<Line> {
    let mut line = Line::new("pending");
    match pending {
        Pending::Start(start) => {
            line.push("kind", "start");
            line.push("want", want_word(start.want));
            push_ids(&mut line, "id", &start.ids);
            push_failure(&mut line, start.failure.as_ref());
            let mut spec = Line::new("spec");
            spec.fields = start.spec.pairs();
            return vec![line, spec];
        }
        Pending::Restart(turn) => {
            line.push("kind", "restart");
            push_turn(&mut line, turn);
        }
        Pending::Stop(turn, then) => {
            let keeps = *then == Then::Keep;
            line.push("kind", if keeps { "stop" } else { "delete" });
            push_turn(&mut line, turn);
        }
        Pending::Upkeep(turn, what) => {
            line.push("kind", what.word());
            push_turn(&mut line, turn);
        }
        Pending::Rows(rows) => {
            line.push("kind", if rows.full { "describe" } else { "list" });
            rows.push_to(&mut line);
        }
        Pending::Pause(turn) => {
            line.push("kind", "pause");
            push_turn(&mut line, turn);
        }
        Pending::Sync => line.push("kind", "sync"),
        Pending::Update => line.push("kind", "update"),
        // No other release is executed while the daemon ends.
        Pending::Kill => line.push("kind", "kill"),
    }
    vec![line]
}

/// Adds numbers of programs to a line.
pub fn push_ids(line: &mut Line, key: &str, ids: &[u32]) {
    ids.iter().for_each(|id| line.push_number(key, *id));
}

fn push_turn(line: &mut Line, turn: &Turn) {
    push_ids(line, "id", &turn.ids);
    push_ids(line, "open", &turn.open);
    push_failure(line, turn.failure.as_ref());
}

fn push_failure(line: &mut Line, failure: Option<&Failure>) {
    if let Some(failure) = failure {
        line.push("code", failure.code.word());
        line.push("message", &failure.message);
    }
}

/// The numbers of programs that a line has.
pub fn read_ids(line: &Line, key: &str) -> Vec<u32> {
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse().ok();
    line.all(key).filter_map(number).collect()
}

fn read_failure(line: &Line) -> Option<Failure> {
    line.get("code")?;
    match Reply::from_line(Line {
        tag: "error".to_owned(),
        ..line.clone()
    }) {
        Reply::Failed(failure) => Some(failure),
        _ => None,
    }
}

fn read_turn(line: &Line) -> Turn {
    Turn {
        ids: read_ids(line, "id"),
        open: read_ids(line, "open"),
        // Asked for again: it was another connection that the answer would have come by.
        drain: None,
        mark: None,
        patience: 0,
        failure: read_failure(line),
    }
}

/// What the client of a line waits for.
pub(crate) fn read_pending(line: &Line) -> Option<Pending> {
    match line.text("kind")? {
        // Its spec follows.
        "start" => Some(Pending::Start(Start {
            spec: Rc::new(Spec::default()),
            want: read_want(line.get("want")?)?,
            spec_text: Vec::new(),
            ids: read_ids(line, "id"),
            failure: read_failure(line),
            mark: None,
            undone: false,
        })),
        "restart" => Some(Pending::Restart(read_turn(line))),
        "stop" => Some(Pending::Stop(read_turn(line), Then::Keep)),
        "delete" => Some(Pending::Stop(read_turn(line), Then::Forget)),
        "pause" => Some(Pending::Pause(read_turn(line))),
        "list" => Rows::of(line, false).map(Pending::Rows),
        "describe" => Rows::of(line, true).map(Pending::Rows),
        "sync" => Some(Pending::Sync),
        "update" => Some(Pending::Update),
        "kill" => Some(Pending::Kill),
        word => Some(Pending::Upkeep(read_turn(line), Upkeep::from_word(word)?)),
    }
}
