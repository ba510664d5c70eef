//! The messages that Node exchanges with the processes that it forks: each is one JSON value and a newline. What a
//! cluster's primary has to understand of them, and what it answers; `lib/internal/cluster` in Node's source.
//!
//! Only the members of the outermost object matter: this is no JSON parser but a walk over one level of it.

use std::fmt::Write as _;

use crate::units;

/// What a worker wants of its primary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A socket to serve; the answer carries it.
    QueryServer(Query),
    /// It does not serve the socket of this key any more.
    Close {
        /// The key.
        key: String,
        /// What the answer names.
        seq: u64,
    },
    /// It serves.
    Listening,
    /// Another message of the cluster's own that waits for an answer.
    Other {
        /// What the answer names.
        seq: u64,
    },
    /// The descriptor that was sent last has arrived, or was refused: the next one may be sent.
    HandleArrived,
    /// It has sent a descriptor, and waits to hear that it arrived.
    Handle,
    /// One of the program's own, or one that needs no answer.
    Own,
}

/// The socket that a worker asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// What the answer names.
    pub seq: u64,
    /// An address or a path; none means every address.
    pub address: Option<String>,
    /// The port; -1 for a path.
    pub port: i32,
    /// `4`, `6`, `udp4`, `udp6`, or `-1` for a path.
    pub kind: String,
    /// Which of several servers of one address it is.
    pub index: u64,
    /// libuv's flags of the bind: 1 is IPv6 only, 2 address reuse, 4 and more port reuse.
    pub flags: u32,
}

impl Query {
    /// What tells this socket from others of the program, in Node's own form.
    pub fn key(&self) -> String {
        let address = self.address.as_deref().unwrap_or("null");
        format!("{address}:{}:{}:{}", self.port, self.kind, self.index)
    }
}

impl Message {
    /// The message of a line.
    pub fn read(line: &[u8]) -> Message {
        let Some(members) = members(line) else {
            return Message::Own;
        };
        let get = |key: &str| {
            let found = members.iter().find(|(name, _)| *name == key.as_bytes());
            found.map(|(_, value)| *value)
        };
        let number = |key| get(key).and_then(|v| std::str::from_utf8(v).ok()?.parse::<i64>().ok());
        let seq = number("seq").and_then(|seq| u64::try_from(seq).ok());
        match (get("cmd"), get("act"), seq) {
            (Some(b"\"NODE_HANDLE_ACK\"" | b"\"NODE_HANDLE_NACK\""), _, _) => {
                Message::HandleArrived
            }
            (Some(b"\"NODE_HANDLE\""), _, _) => Message::Handle,
            (Some(b"\"NODE_CLUSTER\""), Some(b"\"queryServer\""), Some(seq)) => {
                Message::QueryServer(Query {
                    seq,
                    address: get("address").and_then(string),
                    port: number("port")
                        .and_then(|p| i32::try_from(p).ok())
                        .unwrap_or(-1),
                    kind: get("addressType").map(bare).unwrap_or_default(),
                    index: number("index")
                        .and_then(|i| u64::try_from(i).ok())
                        .unwrap_or(0),
                    flags: number("flags")
                        .and_then(|f| u32::try_from(f).ok())
                        .unwrap_or(0),
                })
            }
            (Some(b"\"NODE_CLUSTER\""), Some(b"\"close\""), Some(seq)) => Message::Close {
                key: get("key").and_then(string).unwrap_or_default(),
                seq,
            },
            (Some(b"\"NODE_CLUSTER\""), Some(b"\"listening\""), None) => Message::Listening,
            (Some(b"\"NODE_CLUSTER\""), _, Some(seq)) => Message::Other { seq },
            _ => Message::Own,
        }
    }
}

/// The answer to a query: the socket goes with it, or an error number of `errno(3)` stands in its place.
pub fn server_answer(query: &Query, errno: i32) -> Vec<u8> {
    let mut inner = format!(
        "{{\"cmd\":\"NODE_CLUSTER\",\"ack\":{},\"key\":\"",
        query.seq
    );
    units::push_json(&query.key(), &mut inner);
    let _ = write!(inner, "\",\"data\":null,\"errno\":{}}}", -errno);
    if errno != 0 {
        inner.push('\n');
        return inner.into_bytes();
    }
    let kind = if query.kind.starts_with("udp") {
        "dgram.Native"
    } else {
        "net.Native"
    };
    format!("{{\"cmd\":\"NODE_HANDLE\",\"type\":\"{kind}\",\"msg\":{inner}}}\n").into_bytes()
}

/// The answer to a message that wants to hear no more than that it arrived.
pub fn plain_answer(seq: u64) -> Vec<u8> {
    format!("{{\"cmd\":\"NODE_CLUSTER\",\"ack\":{seq}}}\n").into_bytes()
}

/// The answer to a message with a descriptor.
pub const HANDLE_ANSWER: &[u8] = b"{\"cmd\":\"NODE_HANDLE_ACK\"}\n";

/// The members of an object, names without their quotation marks and values as they stand; none where it is no object.
fn members(line: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut rest = skip_blanks(line).strip_prefix(b"{")?;
    let mut found = Vec::new();
    loop {
        rest = skip_blanks(rest);
        if rest.starts_with(b"}") {
            return Some(found);
        }
        let name = value_length(rest)?;
        let (quoted, behind) = rest.split_at_checked(name)?;
        let name = quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        rest = skip_blanks(skip_blanks(behind).strip_prefix(b":")?);
        let (value, behind) = rest.split_at_checked(value_length(rest)?)?;
        found.push((name, value));
        rest = skip_blanks(behind);
        rest = rest.strip_prefix(b",").unwrap_or(rest);
    }
}

fn skip_blanks(text: &[u8]) -> &[u8] {
    text.trim_ascii_start()
}

/// How long the value is that a text begins with.
fn value_length(text: &[u8]) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    for (at, byte) in text.iter().enumerate() {
        if quoted {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    quoted = false;
                    if depth == 0 {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => quoted = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return Some(at),
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            b',' | b':' | b' ' | b'\n' if depth == 0 => return Some(at),
            _ => {}
        }
    }
    None
}

/// The text of a value that is a string; a path may have any character escaped.
fn string(value: &[u8]) -> Option<String> {
    let inner = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let inner = std::str::from_utf8(inner).ok()?;
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        text.push(match chars.next()? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'u' => {
                let hex: String = chars.by_ref().take(4).collect();
                char::from_u32(u32::from_str_radix(&hex, 16).ok()?)?
            }
            other => other,
        });
    }
    Some(text)
}

/// A string or a number as text.
fn bare(value: &[u8]) -> String {
    string(value).unwrap_or_else(|| String::from_utf8_lossy(value).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_rng::test_rng;

    const QUERY: &str = r#"{"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":null,"address":null,"port":3457,"addressType":4,"backlog":0,"seq":1}"#;

    #[test]
    fn what_a_worker_says_is_understood() {
        let Message::QueryServer(query) = Message::read(QUERY.as_bytes()) else {
            panic!("no query");
        };
        assert_eq!((query.seq, query.port, query.kind.as_str()), (1, 3457, "4"));
        assert_eq!(query.key(), "null:3457:4:0");
        let path = QUERY.replace("null,\"port\":3457", r#""/tmp/a\\b\u0041.sock","port":-1"#);
        match Message::read(path.as_bytes()) {
            Message::QueryServer(query) => {
                assert_eq!(query.address.as_deref(), Some("/tmp/a\\bA.sock"));
            }
            other => panic!("{other:?}"),
        }
        for (line, message) in [
            (
                r#"{"cmd":"NODE_CLUSTER","act":"online","seq":0}"#,
                Message::Other { seq: 0 },
            ),
            (
                r#" { "seq" : 7, "act":"close", "key":"a:1", "cmd":"NODE_CLUSTER" } "#,
                Message::Close {
                    key: "a:1".into(),
                    seq: 7,
                },
            ),
            (
                r#"{"cmd":"NODE_CLUSTER","act":"listening","addressType":4,"address":null,"port":1}"#,
                Message::Listening,
            ),
            (r#"{"cmd":"NODE_HANDLE_ACK"}"#, Message::HandleArrived),
            (
                r#"{"cmd":"NODE_HANDLE","type":"net.Socket","msg":{"cmd":"NODE_CLUSTER"}}"#,
                Message::Handle,
            ),
            (
                r#"{"x":{"cmd":"NODE_CLUSTER","act":"queryServer","seq":1}}"#,
                Message::Own,
            ),
            (r#""ready""#, Message::Own),
            ("", Message::Own),
            (r#"{"cmd":"NODE_CLUSTER","seq":"#, Message::Own),
        ] {
            assert_eq!(Message::read(line.as_bytes()), message, "{line}");
        }
    }

    #[test]
    fn answers_are_those_of_node() {
        let Message::QueryServer(mut query) = Message::read(QUERY.as_bytes()) else {
            panic!("no query");
        };
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        assert_eq!(
            text(server_answer(&query, 0)),
            "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Native\",\"msg\":{\"cmd\":\"NODE_CLUSTER\",\"ack\":1,\
             \"key\":\"null:3457:4:0\",\"data\":null,\"errno\":0}}\n"
        );
        assert_eq!(
            text(server_answer(&query, 98)),
            "{\"cmd\":\"NODE_CLUSTER\",\"ack\":1,\"key\":\"null:3457:4:0\",\"data\":null,\"errno\":-98}\n"
        );
        query.kind = "udp4".into();
        query.address = Some("\"\\\u{1}".into());
        let answer = text(server_answer(&query, 0));
        assert!(
            answer.contains("dgram.Native") && answer.contains(r#""\"\\\u0001:3457"#),
            "{answer}"
        );
    }

    #[test]
    fn random_text_never_panics() {
        let mut next = test_rng();
        for round in 0..200_000 {
            let mut bytes = QUERY.as_bytes().to_vec();
            bytes.truncate(next() as usize % (bytes.len() + 1));
            if !bytes.is_empty() && round % 3 > 0 {
                let at = next() as usize % bytes.len();
                bytes[at] = b"{}[]\",:\\u0\xff"[next() as usize % 11];
            }
            let _ = Message::read(&bytes);
        }
    }
}
