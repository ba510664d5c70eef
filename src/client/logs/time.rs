//! Moments as people write them: `2026-11-25`, `2026-11-25 12:00`, `12:00`, `10m`.

use crate::model::stamp::{Form, Reading};
use crate::sys::clock;
use crate::units;

/// Ways to write date and time.
const FORMS: [&str; 3] = [
    "YYYY-MM-DD HH:mm",
    "YYYY-MM-DD HH:mm:ss",
    "YYYY-MM-DD HH:mm:ss.SSS",
];

/// The moment that a text means, in ms since the epoch, where it is `now`. The error completes "--since: …".
pub fn parse(text: &str, now: u64) -> Result<u64, String> {
    let text = text.trim();
    let found = back_from(text, now).or_else(|| {
        let written = match text {
            _ if is_date(text) => format!("{text} 00:00"),
            // Of what begins with a date, that must be a day.
            _ if text.contains('-') && !text.get(..10).is_some_and(is_date) => return None,
            _ if text.contains('-') => text.replacen(['T', 't'], " ", 1),
            _ => format!("{} {text}", today(now)),
        };
        FORMS.iter().find_map(|form| read(form, &written))
    });
    found.ok_or_else(|| {
        format!(
            "'{text}' is not a time such as 2026-11-25, '2026-11-25 12:00', 2026-11-25T12:00:00Z, 12:00 or 10m"
        )
    })
}

/// A span of time, which has a unit, back from now.
fn back_from(text: &str, now: u64) -> Option<u64> {
    if !text.ends_with(|last: char| last.is_ascii_lowercase()) {
        return None;
    }
    Some(now.saturating_sub(units::parse_millis(text)?))
}

/// Whether it is a day of the calendar.
fn is_date(text: &str) -> bool {
    let midnight = format!("{text} 00:00");
    match Form::new("YYYY-MM-DD HH:mm").read(midnight.as_bytes()) {
        Some((Reading::Local(civil), b"")) => civil.is_real(),
        _ => false,
    }
}

fn today(now: u64) -> String {
    let mut date = Vec::new();
    Form::new("YYYY-MM-DD").write(&clock::moment(now), &mut date);
    String::from_utf8_lossy(&date).into_owned()
}

/// Date and time, in local time unless the zone follows.
fn read(form: &str, text: &str) -> Option<u64> {
    let (reading, rest) = Form::new(form).read(text.as_bytes())?;
    let whole = |form: String| {
        let form = Form::new(&form);
        let read = form.read(text.as_bytes());
        read.filter(|(_, rest)| rest.is_empty())
            .map(|(reading, _)| reading)
    };
    match (rest, reading) {
        (b"", _) => clock::since_epoch(&reading),
        (b"Z" | b"z", Reading::Local(civil)) => u64::try_from(civil.as_utc()).ok(),
        _ => {
            let zoned = whole(format!("{form}Z")).or_else(|| whole(format!("{form}ZZ")));
            clock::since_epoch(&zoned?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_610_096_789;

    #[test]
    fn a_moment_is_read_as_people_write_it() {
        let noon = parse("2026-11-25T12:00:00Z", NOW).unwrap();
        assert_eq!(noon, NOW - 34 * 60_000 - 56_789);
        for same in [
            "2026-11-25T12:00Z",
            "2026-11-25 12:00:00.000z",
            "2026-11-25T14:00+02:00",
            "2026-11-25 11:30:00-0030",
        ] {
            assert_eq!(parse(same, NOW), Ok(noon), "{same}");
        }
        let local = parse("2026-11-25 12:00", NOW).unwrap();
        assert_eq!(parse(" 2026-11-25T12:00:00.250 ", NOW), Ok(local + 250));
        let midnight = parse("2026-11-25", NOW).unwrap();
        let at = clock::moment(midnight);
        assert_eq!((at.day, at.hour, at.minute), (25, 0, 0));
        assert_eq!(clock::moment(local).hour, 12);
    }

    #[test]
    fn a_clock_time_is_today_and_a_span_goes_back() {
        let at = clock::moment(parse("07:08:09", NOW).unwrap());
        let today = clock::moment(NOW);
        assert_eq!((at.hour, at.minute, at.second), (7, 8, 9));
        assert_eq!((at.year, at.yearday), (today.year, today.yearday));
        assert_eq!(parse("10m", NOW), Ok(NOW - 600_000));
        assert_eq!(parse("1.5h", NOW), Ok(NOW - 5_400_000));
        assert_eq!(parse("1w", NOW), Ok(NOW - 7 * 86_400_000));
        assert!(parse("2024-02-29", NOW).is_ok() && parse("2026-12-31", NOW).is_ok());
        assert_eq!(parse("100000d", NOW), Ok(0));
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for wrong in [
            "",
            "yesterday",
            "10",
            "25:00",
            "2026-13-01",
            "2026-02-29",
            "2026-02-30 12:00",
            "2026-04-31T12:00:00+02:00",
            "2026-11-25 12",
            "12:00 x",
            "m",
            "2026-11-25T12:00+2",
        ] {
            let why = parse(wrong, NOW).unwrap_err();
            assert!(why.contains(&format!("'{wrong}' is not a time")), "{why}");
        }
    }
}
