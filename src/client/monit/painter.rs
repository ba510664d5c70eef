//! What goes to the terminal: only the lines that have changed, all in one piece.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::os::fd::BorrowedFd;

use crate::protocol::buffer::OutBuffer;
use crate::sys::fd;

/// Knows what the terminal shows.
#[derive(Debug, Default)]
pub struct Painter {
    shown: Vec<String>,
    out: OutBuffer,
}

impl Painter {
    /// The terminal shows something else now: the next frame is painted as a whole.
    pub fn forget(&mut self) {
        *self = Painter::default();
    }

    /// Paints a frame, which goes out in [`Painter::flush`].
    pub fn paint(&mut self, frame: Vec<String>) {
        let mut text = String::new();
        if self.shown.len() != frame.len() {
            self.shown.clear();
            text.push_str("\x1b[0m\x1b[2J");
        }
        for (row, line) in frame.iter().enumerate() {
            if self.shown.get(row) != Some(line) {
                let _ = write!(text, "\x1b[{};1H{line}", row + 1);
            }
        }
        self.out.tail().extend_from_slice(text.as_bytes());
        self.shown = frame;
    }

    /// Whether everything has gone out: a terminal that is slow gets fewer frames, not late ones.
    pub fn is_done(&self) -> bool {
        self.out.pending().is_empty()
    }

    /// Writes as much as the terminal takes.
    pub fn flush(&mut self, terminal: BorrowedFd) -> std::io::Result<()> {
        while !self.is_done() {
            match fd::write(terminal, self.out.pending()) {
                Ok(n) => self.out.sent(n),
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn painted(painter: &mut Painter, lines: &[&str]) -> String {
        painter.paint(lines.iter().map(|line| (*line).to_owned()).collect());
        let out = String::from_utf8(painter.out.pending().to_vec()).unwrap();
        painter.out.sent(out.len());
        out
    }

    #[test]
    fn only_what_has_changed_is_painted() {
        let mut painter = Painter::default();
        let clear = "\x1b[0m\x1b[2J";
        assert_eq!(
            painted(&mut painter, &["a", "b"]),
            format!("{clear}\x1b[1;1Ha\x1b[2;1Hb")
        );
        assert_eq!(painted(&mut painter, &["a", "b"]), "");
        assert_eq!(painted(&mut painter, &["a", "c"]), "\x1b[2;1Hc");
        assert_eq!(painted(&mut painter, &["a"]), format!("{clear}\x1b[1;1Ha"));
        painter.forget();
        assert_eq!(painted(&mut painter, &["a"]), format!("{clear}\x1b[1;1Ha"));
    }
}
