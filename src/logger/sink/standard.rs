//! A log file whose reader may be slow: an output of the daemon's own, a FIFO, a terminal.

use super::Sink;
use crate::error::Reason;
use crate::logger::outlet::{Outlet, Room};
use crate::model::standard::Standard;

impl Sink {
    /// An output of the daemon's own, where it has that one.
    pub fn of_standard(standard: Standard, outlet: Option<Outlet>) -> Sink {
        Sink {
            standard: Some(standard),
            outlet,
            ..Sink::new(standard.path().into())
        }
    }

    /// Which output of the daemon's own it is.
    pub fn standard(&self) -> Option<Standard> {
        self.standard
    }

    /// Whether somebody reads it who may be slow: it is such an output, a FIFO or a terminal.
    pub fn has_reader(&self) -> bool {
        self.standard.is_some() || self.outlet.is_some()
    }

    /// The descriptor of one that has a reader.
    pub fn outlet(&mut self) -> Option<&mut Outlet> {
        self.outlet.as_mut()
    }

    /// Another descriptor takes the place of that one.
    pub fn set_outlet(&mut self, mut outlet: Outlet) {
        if let Some(before) = self.outlet.take() {
            outlet.go_on_from(before);
        }
        self.outlet = Some(outlet);
        self.open_again = 0;
    }

    /// Whether there is room in it. What waited for room and cannot be written is dropped.
    pub fn room(&mut self) -> Room {
        match self.outlet.as_mut().map(Outlet::room) {
            None => Room::Some,
            Some(Ok(room)) => room,
            Some(Err((lost, e))) => {
                self.fails(format!("writing {}: {}", self.path.display(), Reason(&e)));
                self.uncounted += self.missing.dropped(lost as u64);
                Room::Some
            }
        }
    }

    /// Its reader is not waited for any longer.
    pub fn give_up(&mut self, after_ms: u64) {
        if let Some(outlet) = &mut self.outlet {
            outlet.give_up();
            let path = self.path.display();
            let after = after_ms / 1000;
            self.fails(format!(
                "writing {path}: its reader has read nothing for {after} s"
            ));
        }
    }
}
