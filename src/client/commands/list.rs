//! The commands that list programs: `list`, and `pid` and `id`, which print a number a line for scripts.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::jlist;
use crate::client::daemon::exchange::Daemon;
use crate::client::daemon::session::{DONE, FAILED, NOT_ONLINE, Session, USAGE_ERROR};
use crate::client::display::output;
use crate::client::display::process_table::ProcessTable;
use crate::client::display::sort::Order;
use crate::error::{Error, Result};
use crate::protocol::request::Request;
use crate::sys::fd;
use crate::sys::spawn::Record;

/// `rpm list`
pub fn run(session: &mut Session) -> Result<u8> {
    if session.invocation.options.json {
        return jlist::compact(session);
    }
    let order = match session.invocation.options.sort.as_deref().map(Order::parse) {
        Some(Err(why)) => {
            output::complain(format!("--sort: {why}"));
            return Ok(USAGE_ERROR);
        }
        Some(Ok(order)) => Some(order),
        None => None,
    };
    let targets = session.targets()?;
    let asked = !targets.is_empty();
    let mut listing = ProcessTable::new(session.look);
    let request = Request::List { targets };
    let mut daemon = session.daemon()?;
    let last = match order {
        None => daemon.each_process(&request, &mut |process| listing.add(&process))?,
        Some(order) => {
            let mut all = Vec::new();
            let last = daemon.each_process(&request, &mut |process| all.push(process))?;
            order.sort(&mut all, &listing.meter);
            all.iter().for_each(|process| listing.add(process));
            last
        }
    };
    let (down, lost) = (listing.down, listing.lost_text());
    session.say(&listing.finish())?;
    for path in last.all("damaged") {
        let folder = PathBuf::from(OsStr::from_bytes(path));
        let record = fd::read_file(&folder.join("pid")).ok();
        let pid = record.and_then(|record| Record::parse(&record));
        let pid = pid.map_or_else(String::new, |r| format!(" (its last pid was {})", r.pid));
        output::complain(format!(
            "the records in {} are damaged, and their program is not in the list{pid}; end its process, then mend or \
             remove that folder",
            folder.display()
        ));
    }
    if let Some(why) = last.text("unread") {
        output::complain(format!(
            "{why}, so the list is incomplete; rpmd tries again"
        ));
    }
    if let Some(sentence) = lost {
        output::complain(sentence);
    }
    Ok(if asked && down { NOT_ONLINE } else { DONE })
}

/// The table of all programs, where it is wanted after news.
pub fn after_news(session: &Session, daemon: &mut Daemon) -> Result<()> {
    if !session.wants_table() {
        return Ok(());
    }
    let all = Request::List {
        targets: Vec::new(),
    };
    let mut listing = ProcessTable::new(session.look);
    daemon.each_process(&all, &mut |process| listing.add(&process))?;
    output::print(listing.finish().as_bytes())
}

/// `rpm pid`
pub fn pid(session: &mut Session) -> Result<u8> {
    let targets = session.targets()?;
    let processes = session.daemon()?.processes(&Request::List { targets })?;
    let running = processes.iter().filter(|process| process.pid > 0);
    let code = print_numbers(running.map(|process| i64::from(process.pid)))?;
    if code == FAILED && !session.invocation.words.is_empty() {
        let words = session.words()?.join(", ");
        return Err(Error::new(format!("{words} is not running")));
    }
    Ok(DONE)
}

/// `rpm id`
pub fn id(session: &mut Session) -> Result<u8> {
    let targets = session.words()?;
    let name = targets.join(" ");
    let processes = session.daemon()?.processes(&Request::List { targets })?;
    let called = processes.iter().filter(|process| process.name == name);
    match print_numbers(called.map(|process| i64::from(process.id)))? {
        DONE => Ok(DONE),
        _ => Err(Error::new(format!("no program is called {name}"))),
    }
}

/// Prints one number a line; it failed when there is none.
fn print_numbers(numbers: impl Iterator<Item = i64>) -> Result<u8> {
    let mut text = String::new();
    for number in numbers {
        let _ = writeln!(text, "{number}");
    }
    output::print(text.as_bytes())?;
    Ok(if text.is_empty() { FAILED } else { DONE })
}
