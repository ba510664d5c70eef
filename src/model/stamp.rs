//! Time stamps in log files.

mod form;

use std::fmt;

pub use form::Form;

/// A point in time, with its local date and time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moment {
    /// Milliseconds since the epoch.
    pub ms: u64,
    /// The year, such as 2026.
    pub year: i32,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31.
    pub day: u32,
    /// 0 to 23.
    pub hour: u32,
    /// 0 to 59.
    pub minute: u32,
    /// 0 to 60.
    pub second: u32,
    /// 0 is Sunday.
    pub weekday: u32,
    /// 1 to 366.
    pub yearday: u32,
    /// Minutes east of UTC.
    pub offset: i32,
}

impl fmt::Display for Moment {
    /// ISO 8601: `2026-11-23T09:30:00.250+01:00`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Moment {
            year, month, day, ..
        } = self;
        let Moment {
            hour,
            minute,
            second,
            ..
        } = self;
        let milli = self.ms % 1000;
        let sign = if self.offset < 0 { '-' } else { '+' };
        let (hours, minutes) = (self.offset.abs() / 60, self.offset.abs() % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}{sign}{hours:02}:{minutes:02}"
        )
    }
}

/// The time in a time stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Milliseconds since the epoch.
    At(u64),
    /// A date and time without a zone, taken as local time.
    Local(Civil),
}

/// A date and time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    /// The year, such as 2026.
    pub year: i32,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31. With month 1 it may also be the day of the year, 1 to 366.
    pub day: u32,
    /// 0 to 23.
    pub hour: u32,
    /// 0 to 59.
    pub minute: u32,
    /// 0 to 60.
    pub second: u32,
    /// 0 to 999.
    pub milli: u32,
}

impl Civil {
    /// Milliseconds since the epoch, taken as UTC.
    pub fn as_utc(&self) -> i64 {
        let days = days_before(self.year, self.month) + i64::from(self.day) - 1;
        let minutes = days * 1440 + i64::from(self.hour) * 60 + i64::from(self.minute);
        (minutes * 60 + i64::from(self.second)) * 1000 + i64::from(self.milli)
    }

    /// Whether the month has this day.
    pub fn is_real(&self) -> bool {
        let next = match self.month {
            12 => days_before(self.year + 1, 1),
            month => days_before(self.year, month + 1),
        };
        i64::from(self.day) <= next - days_before(self.year, self.month)
    }
}

/// The days from the epoch to the first day of a month. Years are counted from March, so that a leap day is the last day
/// of a year. 400 years have 146097 days.
fn days_before(year: i32, month: u32) -> i64 {
    let year = i64::from(year) - i64::from(month < 3);
    let month = i64::from((month + 9) % 12);
    let century = year.div_euclid(100);
    year * 365 + year.div_euclid(4) - century + century.div_euclid(4) + (month * 153 + 2) / 5
        - 719_468
}

/// A time in ms since the epoch as `2026-11-25T12:34:56.789Z`, like `toISOString` of JavaScript.
pub fn iso(ms: u64) -> String {
    let days = i64::try_from(ms / 86_400_000).unwrap_or(0);
    // Find the last month that begins on or before that day, from an estimate of the year.
    let mut year = i32::try_from(days * 400 / 146_097).unwrap_or(0) + 1971;
    while days_before(year, 1) > days {
        year -= 1;
    }
    let mut month = 12;
    while days_before(year, month) > days {
        month -= 1;
    }
    let day = days - days_before(year, month) + 1;
    let (hour, minute) = (ms / 3_600_000 % 24, ms / 60_000 % 60);
    let (second, milli) = (ms / 1000 % 60, ms % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

impl Moment {
    /// 1 is Monday, 7 is Sunday.
    fn iso_weekday(&self) -> u32 {
        (self.weekday + 6) % 7 + 1
    }

    /// The ISO week, 1 to 53. A week belongs to the year that has most of its days.
    fn iso_week(&self) -> u32 {
        let week = (self.yearday + 10).saturating_sub(self.iso_weekday()) / 7;
        match week {
            0 if has_53_weeks(self.year - 1) => 53,
            0 => 52,
            53 if !has_53_weeks(self.year) => 1,
            week => week,
        }
    }
}

/// Whether a year has 53 ISO weeks: its first or last day is a Thursday. The epoch was a Thursday.
fn has_53_weeks(year: i32) -> bool {
    let is_thursday = |days: i64| days.rem_euclid(7) == 0;
    is_thursday(days_before(year, 1)) || is_thursday(days_before(year + 1, 1) - 1)
}

#[cfg(test)]
mod tests;
