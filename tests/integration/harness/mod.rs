//! What the tests are made with.

mod abandoned;
pub mod browser;
pub mod home;
pub mod http;
pub mod killer;
pub mod logs;
pub mod proc;
pub mod run;
pub mod tmux;
pub mod visitor;
pub mod wait;
pub mod wire;

pub use home::Home;
pub use wait::{LIMIT, wait_until};

use std::path::PathBuf;

/// Passes a test over, or fails it with `RPM_TEST_ALL=1`.
pub fn skip(reason: &str) {
    eprintln!("skipped: {reason}");
    let all = std::env::var_os("RPM_TEST_ALL").is_some_and(|value| value == "1");
    assert!(!all, "with RPM_TEST_ALL=1 nothing may be skipped: {reason}");
}

/// Whether a tool is installed.
pub fn has(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(tool).is_file())
}

/// Whether the tests may do what only root may.
pub fn is_root() -> bool {
    rpm::sys::user::effective_uid() == 0
}

/// The folder of the project.
pub fn project() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

/// One of the programs in `tests/apps`.
pub fn app(name: &str) -> String {
    let path = project().join("tests/apps").join(name);
    assert!(path.is_file(), "{} is missing", path.display());
    path.to_str().unwrap().to_owned()
}

/// Bytes without any pattern, the same for the same seed.
pub fn random_bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Says where two byte strings differ first, as megabytes cannot be read.
pub fn assert_same_bytes(got: &[u8], wanted: &[u8], what: &str) {
    if got == wanted {
        return;
    }
    let at = got.iter().zip(wanted).take_while(|(a, b)| a == b).count();
    let around = |bytes: &[u8]| {
        let from = at.saturating_sub(20).min(bytes.len());
        let to = (at + 40).min(bytes.len());
        String::from_utf8_lossy(&bytes[from..to]).into_owned()
    };
    panic!(
        "{what}: {} bytes where {} were printed; they differ at {at}: {:?} where {:?} was printed",
        got.len(),
        wanted.len(),
        around(got),
        around(wanted)
    );
}

/// What `steady` prints, where it says at the end of its log how many lines that were.
pub fn steady_text(log: &[u8]) -> Vec<u8> {
    let last = log.rsplit(|b| *b == b'\n').nth(1).unwrap_or_default();
    let last = String::from_utf8_lossy(last);
    let lines: usize = match last.strip_prefix("end ").map(str::parse) {
        Some(Ok(lines)) => lines,
        _ => panic!("the last line is {last:?}"),
    };
    let mut all = String::new();
    (0..lines).for_each(|at| all.push_str(&format!("{at:09} and some text behind it\n")));
    all.push_str(&format!("end {lines}\n"));
    all.into_bytes()
}
