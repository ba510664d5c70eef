//! The programs that are managed: this one itself, under other words.

use std::fs;
use std::io::{BufRead, Write};
use std::path::Path;
use std::process::exit;

use rpm::sys::poll::PollSet;

use crate::random::Random;

/// How many lines a writer prints at most in one go, and how long it rests afterwards at most, in ms.
const BURST: (u64, u64) = (400, 200);
/// The same of one that is as fast as the log writer, and fills its pipe time and again.
const FLOOD: (u64, u64) = (20_000, 300);
/// Two writers of so many flood: one whose log is one file, and one whose log is many.
const FLOODS: u64 = 25;
/// One of so many prints to standard error as well.
const BOTH: u64 = 4;

/// Whether a writer prints to standard error as well.
pub fn prints_errors(number: u64) -> bool {
    number % BOTH == 1
}

/// How the logs of a writer are written: in every way that there is. No file that is set aside is dropped.
pub fn log_flags(number: u64) -> &'static [&'static str] {
    match number % 5 {
        0 => &["--log-max-size", "0"],
        1 => &["--log-max-size", "1M", "--log-max-files", "99999"],
        2 => &["--log-max-files", "99999", "--time"],
        3 => &[
            "--log-max-size",
            "100K",
            "--log-max-files",
            "99999",
            "--time",
            "-l",
            "both.log",
        ],
        _ => &[
            "--log-max-size",
            "200K",
            "--log-max-files",
            "99999",
            "--log-type",
            "json",
        ],
    }
}

/// What a writer has printed of a line of its log.
fn printed(number: u64, line: &mut Vec<u8>) {
    let behind = |begin: usize| line.get(begin..).map(<[u8]>::to_vec);
    let text = match number % 5 {
        0 | 1 => return,
        // The length of a date and time, and of what stands behind it.
        2 | 3 => behind("YYYY-MM-DDTHH:mm:ss: ".len()),
        _ => behind("{\"message\":\"".len()).and_then(|mut text| {
            let end = text.windows(2).position(|pair| pair == b"\",")?;
            text.truncate(end);
            text.push(b'\n');
            Some(text)
        }),
    };
    if let Some(text) = text {
        *line = text;
    }
}

/// Runs one of the programs, if these are its words.
pub fn run(words: &[String]) {
    let number = |at: usize| words.get(at).and_then(|word| word.parse().ok());
    match (words.first().map(String::as_str), number(1), number(2)) {
        (Some("--writer"), Some(seed), Some(number)) => write(seed, number),
        (Some("--crasher"), Some(seed), Some(number)) => crash(seed, number),
        (Some("--sleeper"), ..) => sleep(),
        _ => {}
    }
}

/// Prints numbered lines until the file `finish` is there, then how many there were; then it stays, so that nothing of
/// it is lost with its pipes.
fn write(seed: u64, number: u64) {
    let mut random = Random::new(seed, 1000 + number);
    let (lines, rest) = if number % FLOODS < 2 { FLOOD } else { BURST };
    let mut streams: Vec<Box<dyn Write>> = vec![Box::new(std::io::stdout())];
    if prints_errors(number) {
        streams.push(Box::new(std::io::stderr()));
    }
    let mut counts = vec![0; streams.len()];
    let mut text = Vec::new();
    while !Path::new("finish").exists() {
        for (stream, count) in streams.iter_mut().zip(&mut counts) {
            text.clear();
            let next = *count + random.below(lines);
            (*count..next).for_each(|at| line(at, &mut text));
            *count = next;
            print(stream, &text);
        }
        rest_for(random.pause(rest));
    }
    for (stream, count) in streams.iter_mut().zip(&counts) {
        print(stream, last_line(*count).as_bytes());
    }
    fs::write(format!("finished.{number}"), "").unwrap();
    sleep();
}

fn print(stream: &mut Box<dyn Write>, text: &[u8]) {
    if stream
        .write_all(text)
        .and_then(|()| stream.flush())
        .is_err()
    {
        exit(9);
    }
}

/// The line of this number; they have many lengths.
fn line(at: u64, text: &mut Vec<u8>) {
    let dots = usize::try_from(at % 61).unwrap();
    writeln!(text, "{at:09} {:.<dots$}", "").unwrap();
}

fn last_line(count: u64) -> String {
    format!("end after {count}\n")
}

/// How many lines a log has, if it is what a writer has printed; else the first line that is not.
pub fn check(number: u64, log: &mut dyn BufRead) -> Result<u64, String> {
    let (mut got, mut wanted) = (Vec::new(), Vec::new());
    for at in 0.. {
        got.clear();
        log.read_until(b'\n', &mut got).map_err(|e| e.to_string())?;
        printed(number, &mut got);
        wanted.clear();
        line(at, &mut wanted);
        if got == wanted {
            continue;
        }
        let last = last_line(at);
        let mut more = Vec::new();
        log.read_until(b'\n', &mut more)
            .map_err(|e| e.to_string())?;
        if got == last.as_bytes() && more.is_empty() {
            return Ok(at + 1);
        }
        let shown = [&got, &wanted].map(|text| String::from_utf8_lossy(text).into_owned());
        return Err(format!(
            "line {} is {:?}, and should be {:?} or the last one; the next is {:?}",
            at + 1,
            shown[0],
            shown[1],
            String::from_utf8_lossy(&more)
        ));
    }
    unreachable!("a log has an end")
}

/// Ends after a moment, one way or the other. What is drawn depends on its own number, for it begins anew each time.
fn crash(seed: u64, number: u64) {
    let mut random = Random::new(seed ^ u64::from(std::process::id()), 2000 + number);
    rest_for(random.pause(200));
    match random.below(3) {
        0 => std::process::abort(),
        code => exit(i32::try_from(code).unwrap()),
    }
}

fn sleep() -> ! {
    loop {
        let _ = PollSet::<()>::default().wait(None);
    }
}

fn rest_for(time: std::time::Duration) {
    let _ = PollSet::<()>::default().wait(Some(time));
}
