//! A writer of manual pages, man(7).

use std::fmt::Write as _;

/// A page that is being written.
pub struct Page(String);

impl Page {
    /// A page with its name, and what it is in a line.
    pub fn new(name: &str, section: u8, date: &str, release: &str, what: &str) -> Page {
        let title = name.to_uppercase();
        let mut page = Page(String::new());
        let _ = writeln!(page.0, ".TH {title} {section} {date} \"rpm {release}\"");
        page.section("NAME");
        let _ = writeln!(page.0, "{} \\- {}", text(name), text(what));
        page
    }

    /// The page as roff.
    pub fn finish(self) -> String {
        self.0
    }

    /// Begins a section.
    pub fn section(&mut self, title: &str) {
        let _ = writeln!(self.0, ".SH \"{}\"", text(title));
    }

    /// Begins a part of a section.
    pub fn part(&mut self, title: &str) {
        let _ = writeln!(self.0, ".SS \"{}\"", text(title));
    }

    /// A paragraph at the beginning of a section, a sentence a line.
    pub fn first(&mut self, words: &str) {
        self.sentences(words);
    }

    /// A further paragraph.
    pub fn paragraph(&mut self, words: &str) {
        self.0.push_str(".PP\n");
        self.sentences(words);
    }

    /// A term in bold, what goes with it in italics, and its explanation.
    pub fn item(&mut self, term: &str, with: &str, explanation: &str) {
        self.0.push_str(".TP\n");
        let _ = match with {
            "" => writeln!(self.0, "\\fB{}\\fR", text(term)),
            with => writeln!(self.0, "\\fB{}\\fR \\fI{}\\fR", text(term), text(with)),
        };
        self.sentences(explanation);
    }

    /// Lines as they stand.
    pub fn verbatim(&mut self, lines: &[&str]) {
        self.0.push_str(".PP\n.RS 4\n.nf\n");
        for line in lines {
            let _ = writeln!(self.0, "{}", text(line));
        }
        self.0.push_str(".fi\n.RE\n");
    }

    /// roff wants each sentence on a line of its own.
    fn sentences(&mut self, words: &str) {
        for sentence in words.split_inclusive(". ") {
            let _ = writeln!(self.0, "{}", text(sentence.trim()));
        }
    }
}

/// The text with all that means something to roff made harmless.
fn text(words: &str) -> String {
    let mut out = String::with_capacity(words.len() + 8);
    for (at, c) in words.chars().enumerate() {
        match c {
            '.' | '\'' if at == 0 => {
                out.push_str("\\&");
                out.push(c);
            }
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '"' => out.push_str("\\(dq"),
            '\'' => out.push_str("\\(aq"),
            '~' => out.push_str("\\(ti"),
            '^' => out.push_str("\\(ha"),
            '`' => out.push_str("\\(ga"),
            c if c.is_ascii() => out.push(c),
            c => {
                let _ = write!(out, "\\[u{:04X}]", u32::from(c));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_to_roff_is_made_harmless() {
        assert_eq!(text(".nf"), "\\&.nf");
        assert_eq!(text("--x '\\\"…"), "\\-\\-x \\(aq\\e\\(dq\\[u2026]");
    }

    #[test]
    fn a_sentence_has_a_line() {
        let mut page = Page::new("x", 1, "2026-01-01", "1", "does it");
        page.paragraph("One. Two.");
        assert!(page.finish().ends_with(".PP\nOne.\nTwo.\n"));
    }
}
