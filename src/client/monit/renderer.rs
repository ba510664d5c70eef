//! Writes frames to the terminal: only the lines that have changed, in one piece.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::os::fd::BorrowedFd;

use crate::protocol::buffer::OutBuffer;
use crate::sys::fd;

/// What the terminal shows, and what is still to be written.
#[derive(Debug, Default)]
pub struct Renderer {
    shown: Vec<String>,
    out: OutBuffer,
}

impl Renderer {
    /// The terminal may show something else: the next frame is drawn as a whole.
    pub fn invalidate(&mut self) {
        *self = Renderer::default();
    }

    /// Draws a frame, which is written by [`Renderer::flush`].
    pub fn draw(&mut self, frame: Vec<String>) {
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

    /// Whether everything was written: a slow terminal gets fewer frames, not late ones.
    pub fn is_flushed(&self) -> bool {
        self.out.pending().is_empty()
    }

    /// Writes as much as the terminal takes.
    pub fn flush(&mut self, terminal: BorrowedFd) -> std::io::Result<()> {
        while !self.is_flushed() {
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

    fn drawn(renderer: &mut Renderer, lines: &[&str]) -> String {
        renderer.draw(lines.iter().map(|line| (*line).to_owned()).collect());
        let out = String::from_utf8(renderer.out.pending().to_vec()).unwrap();
        renderer.out.sent(out.len());
        out
    }

    #[test]
    fn only_changed_lines_are_drawn() {
        let mut renderer = Renderer::default();
        let clear = "\x1b[0m\x1b[2J";
        assert_eq!(
            drawn(&mut renderer, &["a", "b"]),
            format!("{clear}\x1b[1;1Ha\x1b[2;1Hb")
        );
        assert_eq!(drawn(&mut renderer, &["a", "b"]), "");
        assert_eq!(drawn(&mut renderer, &["a", "c"]), "\x1b[2;1Hc");
        assert_eq!(drawn(&mut renderer, &["a"]), format!("{clear}\x1b[1;1Ha"));
        renderer.invalidate();
        assert_eq!(drawn(&mut renderer, &["a"]), format!("{clear}\x1b[1;1Ha"));
    }
}
