//! JSON as RFC 8259 has it. The reader takes JSON5 too: comments, a comma before a closing bracket, bare keys, single
//! quotes, hexadecimal numbers and the like, as people write them for pm2, which evaluates such files as JavaScript.
//!
//! JSON text is UTF-8, and a path, an argument or a variable of a program may be other bytes. Where these must come
//! back as they went, a byte that is no part of UTF-8 is written as the lone surrogate `\udcXX`, as Python's
//! `surrogateescape` has it (PEP 383): so `json.loads` and `os.fsencode` give the same bytes too.

mod read;
mod scalar;
mod source;
#[cfg(test)]
mod tests;
mod write;

pub use read::{Member, Node, Value, parse};
pub use source::Source;
pub use write::Json;

/// What the surrogate of a byte that is no part of UTF-8 begins with: 0x80 to 0xff become U+DC80 to U+DCFF.
const ESCAPED_BYTE: u32 = 0xdc00;
