//! The kinds of values that a field can have: how each is read and written, in one place.

use std::fmt::Write as _;

use crate::units;

/// A value that can be read from text and written back as the same text.
pub trait Value {
    /// What stands for the value in a usage line; empty for a switch.
    const PLACEHOLDER: &'static str;

    /// Whether it has items, each given on its own.
    const IS_LIST: bool = false;

    /// Takes one text; a list takes it as one more item. The error completes "NAME: …".
    fn read(&mut self, text: &[u8]) -> Result<(), String>;

    /// The value as text: nothing where there is none, several where it is a list.
    fn write(&self) -> Vec<Vec<u8>>;

    /// Forgets every item: a list that is given anew replaces the old one.
    fn clear(&mut self) {}
}

/// Bytes that may be anything but NUL: a path, an argument.
pub type Bytes = Vec<u8>;

/// A time span in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Millis(pub u64);

/// A signal number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignalNumber(pub i32);

/// Permission bits, written in octal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Octal(pub u32);

/// How instances of a program are started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecMode {
    /// As processes that know nothing of each other.
    Fork,
    /// As the workers of a Node cluster, which share their ports.
    Cluster,
}

impl ExecMode {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            ExecMode::Fork => "fork",
            ExecMode::Cluster => "cluster",
        }
    }
}

/// A size in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

/// What the lines of a log file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogType {
    /// What was printed, with date and time where that is wanted.
    Raw,
    /// A JSON object each.
    Json,
}

impl LogType {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            LogType::Raw => "raw",
            LogType::Json => "json",
        }
    }
}

/// A list of exit codes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Codes(pub Vec<i32>);

fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| "the value is not UTF-8".to_owned())
}

fn no_nul(bytes: &[u8]) -> Result<&[u8], String> {
    if bytes.contains(&0) {
        Err("the value holds a NUL byte".to_owned())
    } else {
        Ok(bytes)
    }
}

impl Value for String {
    const PLACEHOLDER: &'static str = "TEXT";
    fn read(&mut self, bytes: &[u8]) -> Result<(), String> {
        *self = text(no_nul(bytes)?)?.to_owned();
        Ok(())
    }
    fn write(&self) -> Vec<Vec<u8>> {
        vec![self.clone().into_bytes()]
    }
}

impl Value for Bytes {
    const PLACEHOLDER: &'static str = "PATH";
    fn read(&mut self, bytes: &[u8]) -> Result<(), String> {
        *self = no_nul(bytes)?.to_vec();
        Ok(())
    }
    fn write(&self) -> Vec<Vec<u8>> {
        vec![self.clone()]
    }
}

impl Value for Vec<Bytes> {
    const PLACEHOLDER: &'static str = "WORD";
    const IS_LIST: bool = true;
    fn read(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.push(no_nul(bytes)?.to_vec());
        Ok(())
    }
    fn write(&self) -> Vec<Vec<u8>> {
        self.clone()
    }
    fn clear(&mut self) {
        Vec::clear(self);
    }
}

/// The boolean that a text means: the only reader of booleans, for files, flags, requests and what is handed over.
///
/// # Errors
///
/// The text is none of the eight words. The sentence completes "NAME: …".
pub fn read_bool(bytes: &[u8]) -> Result<bool, String> {
    match bytes {
        b"true" | b"yes" | b"on" | b"1" => Ok(true),
        b"false" | b"no" | b"off" | b"0" => Ok(false),
        other => Err(format!(
            "'{}' is neither true nor false",
            units::excerpt(other)
        )),
    }
}

impl Value for bool {
    const PLACEHOLDER: &'static str = "";
    fn read(&mut self, bytes: &[u8]) -> Result<(), String> {
        *self = read_bool(bytes)?;
        Ok(())
    }
    fn write(&self) -> Vec<Vec<u8>> {
        vec![self.to_string().into_bytes()]
    }
}

impl Value for u32 {
    const PLACEHOLDER: &'static str = "N";
    fn read(&mut self, bytes: &[u8]) -> Result<(), String> {
        let given = text(bytes)?;
        *self = given
            .parse()
            .map_err(|_| format!("'{given}' is not a whole number up to {}", u32::MAX))?;
        Ok(())
    }
    fn write(&self) -> Vec<Vec<u8>> {
        vec![self.to_string().into_bytes()]
    }
}

impl Value for Millis {
    const PLACEHOLDER: &'static str = "TIME";
    fn read(&mut self, bytes: &[u8]) -> Result<(), String> {
        let given = text(bytes)?;
        self.0 = units::parse_millis(given)
            .ok_or_else(|| format!("'{given}' is not a time such as 1500, 30s or 5m"))?;
        Ok(())
    }
    fn write(&self) -> Vec<Vec<u8>> {
        vec![self.0.to_string().into_bytes()]
    }
}

impl Value for Size {
    const PLACEHOLDER: &'static str = "SIZE";
    fn read(&mut self, bytes: &[u8]) -> Result<(), String> {
        let given = text(bytes)?;
        self.0 = units::parse_bytes(given)
            .ok_or_else(|| format!("'{given}' is not a size such as 65536, 512K or 32M"))?;
        Ok(())
    }
    fn write(&self) -> Vec<Vec<u8>> {
        vec![self.0.to_string().into_bytes()]
    }
}

impl Value for LogType {
    const PLACEHOLDER: &'static str = "raw|json";
    fn read(&mut self, bytes: &[u8]) -> Result<(), String> {
        *self = match text(bytes)? {
            "json" => LogType::Json,
            "raw" | "" => LogType::Raw,
            other => return Err(format!("'{other}' is neither raw nor json")),
        };
        Ok(())
    }
    fn write(&self) -> Vec<Vec<u8>> {
        vec![self.word().into()]
    }
}

impl Value for SignalNumber {
    const PLACEHOLDER: &'static str = "SIGNAL";
    fn read(&mut self, bytes: &[u8]) -> Result<(), String> {
        let given = text(bytes)?;
        self.0 = units::parse_signal(given)
            .ok_or_else(|| format!("'{given}' is not a signal such as SIGINT or 15"))?;
        Ok(())
    }
    fn write(&self) -> Vec<Vec<u8>> {
        vec![units::signal_name(self.0).into_bytes()]
    }
}

impl Value for ExecMode {
    const PLACEHOLDER: &'static str = "MODE";
    fn read(&mut self, bytes: &[u8]) -> Result<(), String> {
        let given = text(bytes)?;
        *self = match given.strip_suffix("_mode").unwrap_or(given) {
            "fork" => ExecMode::Fork,
            "cluster" => ExecMode::Cluster,
            _ => return Err(format!("'{given}' is neither fork nor cluster")),
        };
        Ok(())
    }
    fn write(&self) -> Vec<Vec<u8>> {
        vec![[self.word(), "_mode"].concat().into_bytes()]
    }
}

impl Value for Octal {
    const PLACEHOLDER: &'static str = "OCTAL";
    fn read(&mut self, bytes: &[u8]) -> Result<(), String> {
        let given = text(bytes)?;
        self.0 = u32::from_str_radix(given, 8)
            .ok()
            .filter(|bits| *bits <= 0o777)
            .ok_or_else(|| format!("'{given}' is not an octal mode such as 022"))?;
        Ok(())
    }
    fn write(&self) -> Vec<Vec<u8>> {
        vec![format!("{:03o}", self.0).into_bytes()]
    }
}

impl Value for Codes {
    const PLACEHOLDER: &'static str = "CODE,…";
    const IS_LIST: bool = true;
    fn read(&mut self, bytes: &[u8]) -> Result<(), String> {
        let given = text(bytes)?;
        let mut codes = Vec::new();
        for word in given.split([',', ' ']).filter(|w| !w.is_empty()) {
            let code = word.parse::<u8>();
            codes.push(code.map_err(|_| format!("'{word}' is not an exit code from 0 to 255"))?);
        }
        self.0 = codes.into_iter().map(i32::from).collect();
        Ok(())
    }
    fn write(&self) -> Vec<Vec<u8>> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let mut text = String::new();
        for (at, code) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let _ = write!(text, "{comma}{code}");
        }
        vec![text.into_bytes()]
    }
}
