//! Date formats with the tokens of moment and dayjs, such as `YYYY-MM-DDTHH:mm:ss.SSSZ`.

use super::{Civil, Moment, Reading};

/// A date format. <https://momentjs.com/docs/#/displaying/format/>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(Vec<u8>),
    Token(Token),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Year,
    ShortYear,
    Quarter,
    /// With at least this many digits; so are the following.
    Month(usize),
    MonthName(usize),
    Day(usize),
    Ordinal,
    YearDay(usize),
    Weekday,
    /// With this many letters.
    WeekdayName(usize),
    IsoWeekday,
    IsoWeek(usize),
    Hour(usize),
    /// 1 to 12.
    Hour12(usize),
    /// 1 to 24.
    Hour24(usize),
    Minute(usize),
    Second(usize),
    /// The first digits of the fraction, this many.
    Fraction(usize),
    /// With this separator between hours and minutes.
    Offset(&'static str),
    Seconds,
    Millis,
    AmPm([&'static str; 2]),
}

/// The length of a whole name.
const WHOLE: usize = usize::MAX;

/// A token precedes its own prefixes.
#[rustfmt::skip]
const TOKENS: &[(&str, Token)] = &[
    ("YYYY", Token::Year), ("YY", Token::ShortYear),
    ("Q", Token::Quarter),
    ("MMMM", Token::MonthName(WHOLE)), ("MMM", Token::MonthName(3)), ("MM", Token::Month(2)), ("M", Token::Month(1)),
    ("DDDD", Token::YearDay(3)), ("DDD", Token::YearDay(1)),
    ("DD", Token::Day(2)), ("Do", Token::Ordinal), ("D", Token::Day(1)),
    ("dddd", Token::WeekdayName(WHOLE)), ("ddd", Token::WeekdayName(3)), ("dd", Token::WeekdayName(2)),
    ("d", Token::Weekday), ("E", Token::IsoWeekday),
    ("WW", Token::IsoWeek(2)), ("W", Token::IsoWeek(1)),
    ("HH", Token::Hour(2)), ("H", Token::Hour(1)),
    ("hh", Token::Hour12(2)), ("h", Token::Hour12(1)),
    ("kk", Token::Hour24(2)), ("k", Token::Hour24(1)),
    ("mm", Token::Minute(2)), ("m", Token::Minute(1)),
    ("ss", Token::Second(2)), ("s", Token::Second(1)),
    ("SSS", Token::Fraction(3)), ("SS", Token::Fraction(2)), ("S", Token::Fraction(1)),
    ("ZZ", Token::Offset("")), ("Z", Token::Offset(":")),
    ("X", Token::Seconds), ("x", Token::Millis),
    ("A", Token::AmPm(["AM", "PM"])), ("a", Token::AmPm(["am", "pm"])),
];

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

impl Form {
    /// Parses a format. Every text is valid: text that is not a token, and text in `[` and `]`, is copied.
    pub fn new(text: &str) -> Form {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let token = TOKENS.iter().find(|(name, _)| rest.starts_with(name));
            let quoted = rest.strip_prefix('[').and_then(|text| text.split_once(']'));
            if let Some((name, token)) = token {
                pieces.push(Piece::Token(*token));
                rest = rest.strip_prefix(name).unwrap_or_default();
            } else if let Some((text, behind)) = quoted {
                add_text(&mut pieces, text);
                rest = behind;
            } else {
                let (text, behind) = rest.split_at(first.len_utf8());
                add_text(&mut pieces, text);
                rest = behind;
            }
        }
        Form(pieces)
    }

    /// Writes a time in this format.
    pub fn write(&self, at: &Moment, out: &mut Vec<u8>) {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Token(token) => token.write(at, out),
            }
        }
    }

    /// Reads a time in this format at the beginning of a text, and returns it with the rest. `None` if the text does not
    /// begin with one, or the format lacks date, hour or minute.
    pub fn read<'a>(&self, text: &'a [u8]) -> Option<(Reading, &'a [u8])> {
        let mut parts = Parts::default();
        let mut rest = text;
        for piece in &self.0 {
            rest = match piece {
                Piece::Text(text) => rest.strip_prefix(text.as_slice())?,
                Piece::Token(token) => token.read(rest, &mut parts)?,
            };
        }
        Some((parts.reading()?, rest))
    }
}

fn add_text(pieces: &mut Vec<Piece>, text: &str) {
    match pieces.last_mut() {
        Some(Piece::Text(before)) => before.extend_from_slice(text.as_bytes()),
        _ => pieces.push(Piece::Text(text.as_bytes().to_vec())),
    }
}

impl Token {
    fn write(self, at: &Moment, out: &mut Vec<u8>) {
        let year = u64::try_from(at.year).unwrap_or(0);
        let milli = at.ms % 1000;
        match self {
            Token::Year => digits(year, 4, out),
            Token::ShortYear => digits(year % 100, 2, out),
            Token::Quarter => digits(u64::from(at.month.saturating_sub(1) / 3 + 1), 1, out),
            Token::Month(width) => digits(at.month.into(), width, out),
            Token::MonthName(length) => name(&MONTHS, at.month.saturating_sub(1), length, out),
            Token::Day(width) => digits(at.day.into(), width, out),
            Token::Ordinal => {
                digits(at.day.into(), 1, out);
                out.extend_from_slice(ending(at.day).as_bytes());
            }
            Token::YearDay(width) => digits(at.yearday.into(), width, out),
            Token::Weekday => digits(at.weekday.into(), 1, out),
            Token::WeekdayName(length) => name(&WEEKDAYS, at.weekday, length, out),
            Token::IsoWeekday => digits(at.iso_weekday().into(), 1, out),
            Token::IsoWeek(width) => digits(at.iso_week().into(), width, out),
            Token::Hour(width) => digits(at.hour.into(), width, out),
            Token::Hour12(width) => digits(u64::from((at.hour + 11) % 12 + 1), width, out),
            Token::Hour24(width) => digits(u64::from((at.hour + 23) % 24 + 1), width, out),
            Token::Minute(width) => digits(at.minute.into(), width, out),
            Token::Second(width) => digits(at.second.into(), width, out),
            Token::Fraction(1) => digits(milli / 100, 1, out),
            Token::Fraction(2) => digits(milli / 10, 2, out),
            Token::Fraction(_) => digits(milli, 3, out),
            Token::Offset(between) => {
                out.push(if at.offset < 0 { b'-' } else { b'+' });
                let minutes = u64::from(at.offset.unsigned_abs());
                digits(minutes / 60, 2, out);
                out.extend_from_slice(between.as_bytes());
                digits(minutes % 60, 2, out);
            }
            Token::Seconds => digits(at.ms / 1000, 1, out),
            Token::Millis => digits(at.ms, 1, out),
            Token::AmPm([before, after]) => {
                let half = if at.hour < 12 { before } else { after };
                out.extend_from_slice(half.as_bytes());
            }
        }
    }

    /// Reads the value of this token, and returns the rest. Redundant values, such as the day of the week, are skipped.
    fn read<'a>(self, text: &'a [u8], parts: &mut Parts) -> Option<&'a [u8]> {
        let (part, width) = match self {
            Token::Year => (&mut parts.year, 4..=4),
            Token::ShortYear => {
                let (year, rest) = number(text, 2..=2)?;
                parts.year = Some(if year > 68 { 1900 + year } else { 2000 + year });
                return Some(rest);
            }
            Token::Quarter | Token::Weekday | Token::IsoWeekday => (&mut parts.unused, 1..=1),
            Token::IsoWeek(least) => (&mut parts.unused, least..=2),
            Token::Month(least) => (&mut parts.month, least..=2),
            Token::Day(least) => (&mut parts.day, least..=2),
            Token::YearDay(least) => (&mut parts.yearday, least..=3),
            Token::Hour(least) => (&mut parts.hour, least..=2),
            Token::Hour12(least) => (&mut parts.hour12, least..=2),
            Token::Hour24(least) => (&mut parts.hour24, least..=2),
            Token::Minute(least) => (&mut parts.minute, least..=2),
            Token::Second(least) => (&mut parts.second, least..=2),
            Token::Millis => (&mut parts.since_epoch, 1..=17),
            Token::Seconds => {
                let (seconds, rest) = number(text, 1..=14)?;
                // The format may have milliseconds too.
                parts.since_epoch.get_or_insert(seconds * 1000);
                return Some(rest);
            }
            Token::Fraction(width) => {
                let (value, rest) = number(text, width..=width)?;
                let scale = [100, 10, 1].get(width.saturating_sub(1)).copied();
                parts.milli = Some(value * scale.unwrap_or(1));
                return Some(rest);
            }
            Token::MonthName(length) => {
                let (month, rest) = named(text, &MONTHS, length)?;
                parts.month = Some(month + 1);
                return Some(rest);
            }
            Token::WeekdayName(length) => return Some(named(text, &WEEKDAYS, length)?.1),
            Token::AmPm(names) => {
                let (half, rest) = named(text, &names, WHOLE)?;
                parts.afternoon = Some(half == 1);
                return Some(rest);
            }
            Token::Ordinal => {
                let (day, rest) = number(text, 1..=2)?;
                parts.day = Some(day);
                return rest.strip_prefix(ending(u32::try_from(day).ok()?).as_bytes());
            }
            Token::Offset(between) => {
                let (sign, rest) = text.split_first()?;
                let (hours, rest) = number(rest, 2..=2)?;
                let (minutes, rest) = number(rest.strip_prefix(between.as_bytes())?, 2..=2)?;
                let east = i64::try_from(hours * 60 + minutes).ok()?;
                parts.offset = match sign {
                    b'+' => Some(east),
                    b'-' => Some(-east),
                    _ => return None,
                };
                return Some(rest);
            }
        };
        let (value, rest) = number(text, width)?;
        *part = Some(value);
        Some(rest)
    }
}

/// The values of the tokens of a format.
#[derive(Default)]
struct Parts {
    since_epoch: Option<u64>,
    year: Option<u64>,
    month: Option<u64>,
    day: Option<u64>,
    yearday: Option<u64>,
    hour: Option<u64>,
    hour12: Option<u64>,
    hour24: Option<u64>,
    afternoon: Option<bool>,
    minute: Option<u64>,
    second: Option<u64>,
    milli: Option<u64>,
    /// Minutes east of UTC.
    offset: Option<i64>,
    unused: Option<u64>,
}

impl Parts {
    fn reading(&self) -> Option<Reading> {
        if let Some(ms) = self.since_epoch {
            // With `X`, another token may have the milliseconds.
            let rest = self.milli.filter(|_| ms % 1000 == 0);
            return Some(Reading::At(ms + rest.unwrap_or(0)));
        }
        let within = |part: u64, range: std::ops::RangeInclusive<u64>| {
            let part = Some(part).filter(|part| range.contains(part))?;
            u32::try_from(part).ok()
        };
        let (month, day) = match (self.month, self.day) {
            (Some(month), Some(day)) => (within(month, 1..=12)?, within(day, 1..=31)?),
            _ => (1, within(self.yearday?, 1..=366)?),
        };
        let hour = match (self.hour, self.hour24) {
            (Some(hour), _) => within(hour, 0..=23)?,
            (None, Some(hour)) => within(hour, 1..=24)? % 24,
            (None, None) => {
                within(self.hour12?, 1..=12)? % 12 + if self.afternoon? { 12 } else { 0 }
            }
        };
        let civil = Civil {
            year: i32::try_from(self.year?).ok()?,
            month,
            day,
            hour,
            minute: within(self.minute?, 0..=59)?,
            second: within(self.second.unwrap_or(0), 0..=60)?,
            milli: within(self.milli.unwrap_or(0), 0..=999)?,
        };
        match self.offset {
            None => Some(Reading::Local(civil)),
            Some(east) => {
                let ms = civil.as_utc().checked_sub(east * 60_000)?;
                u64::try_from(ms).ok().map(Reading::At)
            }
        }
    }
}

/// Writes a number with at least `width` digits.
fn digits(value: u64, width: usize, out: &mut Vec<u8>) {
    let mut text = [b'0'; 20];
    let mut rest = value;
    let mut used = 0;
    for place in text.iter_mut().rev() {
        if rest == 0 && used >= width {
            break;
        }
        *place += u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        used += 1;
    }
    out.extend_from_slice(text.get(text.len() - used..).unwrap_or_default());
}

fn name(names: &[&str], number: u32, length: usize, out: &mut Vec<u8>) {
    let name = usize::try_from(number).ok().and_then(|n| names.get(n));
    let name = name.copied().unwrap_or_default();
    out.extend_from_slice(name.get(..length).unwrap_or(name).as_bytes());
}

/// Reads a number with digits in this range, as many as possible, and returns it with the rest.
fn number(text: &[u8], width: std::ops::RangeInclusive<usize>) -> Option<(u64, &[u8])> {
    let is_digit = |b: &&u8| b.is_ascii_digit();
    let length = text.iter().take(*width.end()).take_while(is_digit).count();
    let (digits, rest) = text.split_at_checked(length)?;
    let add = |sum: u64, b: &u8| sum * 10 + u64::from(b - b'0');
    (length >= *width.start()).then(|| (digits.iter().fold(0, add), rest))
}

/// Reads one of these names, cut to `length`, and returns its index with the rest.
fn named<'a>(text: &'a [u8], names: &[&str], length: usize) -> Option<(u64, &'a [u8])> {
    names.iter().zip(0..).find_map(|(name, number)| {
        let name = name.get(..length).unwrap_or(name);
        Some((number, text.strip_prefix(name.as_bytes())?))
    })
}

/// The suffix of an ordinal number.
fn ending(number: u32) -> &'static str {
    match (number % 100, number % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    }
}
