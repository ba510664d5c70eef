//! JSON, RFC 8259. The reader accepts JSON5 too: comments, trailing commas, unquoted keys, single quotes, hexadecimal
//! numbers. Files for pm2 contain these, as pm2 evaluates them as JavaScript.
//!
//! JSON text is UTF-8, but a path, an argument or a variable may contain other bytes. Where they must be read back without
//! loss, a byte that is not UTF-8 is written as the lone surrogate `\udcXX`, as Python's `surrogateescape` does (PEP 383).
//! So `json.loads` and `os.fsencode` return the same bytes.

mod read;
mod scalar;
mod source;
#[cfg(test)]
mod tests;
mod write;

pub use read::{Member, Node, Value, parse};
pub use source::Source;
pub use write::Json;

/// The surrogate of byte 0. The bytes 0x80 to 0xff that are not UTF-8 become U+DC80 to U+DCFF.
const ESCAPED_BYTE: u32 = 0xdc00;
