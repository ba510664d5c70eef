use super::*;

/// Wednesday, 25 November 2026, 14:05:09.087 two and a half hours west of Greenwich.
const AT: Moment = Moment {
    ms: 1_795_624_509_087,
    year: 2026,
    month: 11,
    day: 25,
    hour: 14,
    minute: 5,
    second: 9,
    weekday: 3,
    yearday: 329,
    offset: -150,
};

const CIVIL: Civil = Civil {
    year: 2026,
    month: 11,
    day: 25,
    hour: 14,
    minute: 5,
    second: 9,
    milli: 87,
};

fn written(form: &str, at: &Moment) -> String {
    let mut out = Vec::new();
    Form::new(form).write(at, &mut out);
    String::from_utf8(out).unwrap()
}

fn read(form: &str, text: &str) -> Option<(Reading, String)> {
    let form = Form::new(form);
    let (reading, rest) = form.read(text.as_bytes())?;
    Some((reading, String::from_utf8(rest.to_vec()).unwrap()))
}

#[test]
fn the_sample_is_one_moment() {
    let utc = i64::try_from(AT.ms).unwrap();
    assert_eq!(CIVIL.as_utc() + 150 * 60_000, utc);
}

#[test]
fn every_token_is_written_as_moment_does() {
    for (token, text) in [
        ("YYYY", "2026"),
        ("YY", "26"),
        ("Q", "4"),
        ("M", "11"),
        ("MM", "11"),
        ("MMM", "Nov"),
        ("MMMM", "November"),
        ("D", "25"),
        ("DD", "25"),
        ("Do", "25th"),
        ("DDD", "329"),
        ("DDDD", "329"),
        ("d", "3"),
        ("dd", "We"),
        ("ddd", "Wed"),
        ("dddd", "Wednesday"),
        ("E", "3"),
        ("H", "14"),
        ("HH", "14"),
        ("h", "2"),
        ("hh", "02"),
        ("k", "14"),
        ("kk", "14"),
        ("m", "5"),
        ("mm", "05"),
        ("s", "9"),
        ("ss", "09"),
        ("S", "0"),
        ("SS", "08"),
        ("SSS", "087"),
        ("Z", "-02:30"),
        ("ZZ", "-0230"),
        ("X", "1795624509"),
        ("x", "1795624509087"),
        ("A", "PM"),
        ("a", "pm"),
        ("W", "48"),
        ("WW", "48"),
        ("[YYYY at] YYYY", "YYYY at 2026"),
        ("T-[]/é[", "T-/é["),
        ("", ""),
    ] {
        assert_eq!(written(token, &AT), text, "{token}");
    }
    let midnight = Moment {
        hour: 0,
        month: 2,
        day: 3,
        yearday: 34,
        ..AT
    };
    for (token, text) in [
        ("h", "12"),
        ("kk", "24"),
        ("A", "AM"),
        ("M", "2"),
        ("Do", "3rd"),
        ("DDDD", "034"),
    ] {
        assert_eq!(written(token, &midnight), text, "{token}");
    }
}

#[test]
fn ordinals_and_weeks_are_those_of_the_calendar() {
    for (day, text) in [
        (1, "1st"),
        (2, "2nd"),
        (11, "11th"),
        (13, "13th"),
        (22, "22nd"),
    ] {
        assert_eq!(written("Do", &Moment { day, ..AT }), text);
    }
    // The first of January 2021 was a Friday, that of 2020 a Wednesday, the last of December 2024 a Tuesday.
    for (year, yearday, weekday, week) in [
        (2021, 1, 5, "53"),
        (2021, 4, 1, "01"),
        (2020, 1, 3, "01"),
        (2020, 366, 4, "53"),
        (2024, 366, 2, "01"),
        (2022, 1, 6, "52"),
    ] {
        let at = Moment {
            year,
            yearday,
            weekday,
            ..AT
        };
        assert_eq!(written("WW", &at), week, "{year} {yearday}");
    }
}

/// Every token stands in one of these, beside what it needs to tell a moment.
#[test]
fn what_a_form_has_written_it_reads() {
    let seconds = Civil { milli: 0, ..CIVIL };
    for (form, reading) in [
        ("YYYY-MM-DDTHH:mm:ss.SSS", Reading::Local(CIVIL)),
        ("YY/M/D H:m:s", Reading::Local(seconds)),
        ("MMMM Do YYYY, h:mm:ss.SSS a", Reading::Local(CIVIL)),
        (
            "ddd dd dddd d E W WW Q MMM D YY hh:mm:ss A",
            Reading::Local(seconds),
        ),
        ("DD.MM.YYYY kk:mm:ss.SSS", Reading::Local(CIVIL)),
        (
            "DD.MM.YYYY k:mm:ss.SS",
            Reading::Local(Civil { milli: 80, ..CIVIL }),
        ),
        ("YYYY-MM-DD HH:mm:ss.S", Reading::Local(seconds)),
        ("YYYYMMDDHHmmssSSS", Reading::Local(CIVIL)),
        (
            "YYYY-DDD H:m:s.SSS",
            Reading::Local(Civil {
                month: 1,
                day: 329,
                ..CIVIL
            }),
        ),
        (
            "YYYY-DDDD H:m:s.SSS",
            Reading::Local(Civil {
                month: 1,
                day: 329,
                ..CIVIL
            }),
        ),
        ("YYYY-MM-DDTHH:mm:ss.SSSZ", Reading::At(AT.ms)),
        ("YYYY-MM-DDTHH:mm:ss.SSS ZZ", Reading::At(AT.ms)),
        ("[x] X", Reading::At(AT.ms - 87)),
        ("X.SSS", Reading::At(AT.ms)),
        ("x", Reading::At(AT.ms)),
    ] {
        let text = written(form, &AT) + ": rest";
        assert_eq!(
            read(form, &text),
            Some((reading, ": rest".to_owned())),
            "{text}"
        );
    }
}

#[test]
fn what_tells_no_moment_is_not_read() {
    for (form, text) in [
        ("YYYY-MM-DD", "2026-11-25"),
        ("HH:mm:ss", "14:05:09"),
        ("YYYY-MM-DD hh:mm", "2026-11-25 02:05"),
        ("YYYY-MM-DD HH:mm", "2026-13-25 02:05"),
        ("YYYY-MM-DD HH:mm", "2026-11-25 24:05"),
        ("YYYY-MM-DD HH:mm", "2026-11-5 02:05"),
        ("YYYY-MM-DD HH:mm", "2026-11-25 "),
        ("YYYY-MM-DD HH:mm", "GET /"),
        ("YYYY-MM-DD HH:mmZ", "2026-11-25 02:05x02:00"),
        ("YYYY-MM-DD HH:mmZ", "1969-11-25 02:05+02:00"),
        ("MMM Do YYYY HH:mm", "Nov 22th 2026 14:05"),
        ("", "x"),
    ] {
        assert_eq!(read(form, text), None, "{form}");
    }
}

#[test]
fn utc_is_written_as_javascript_does() {
    for (ms, text) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (1_795_610_096_789, "2026-11-25T12:34:56.789Z"),
        (1_735_689_599_999, "2024-12-31T23:59:59.999Z"),
        (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
    ] {
        assert_eq!(iso(ms), text);
    }
    // Days of four centuries, read back.
    for day in (0..146_097).step_by(11) {
        let ms = day * 86_400_000 + 1;
        let back = read("YYYY-MM-DDTHH:mm:ss.SSS[Z]", &iso(ms)).unwrap().0;
        assert!(matches!(back, Reading::Local(civil) if civil.as_utc() == ms as i64));
    }
}
