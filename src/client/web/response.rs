//! What is answered: a head of HTTP/1.1 and a body.

use std::fmt::Write as _;

use super::http::Refusal;

/// The media type of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Text,
    Json,
    Html,
    /// Of Prometheus: <https://prometheus.io/docs/instrumenting/exposition_formats/>
    Metrics,
    /// Server-sent events, which end when the connection does.
    Events,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Text => "text/plain; charset=utf-8",
            Kind::Json => "application/json",
            Kind::Html => "text/html; charset=utf-8",
            Kind::Metrics => "text/plain; version=0.0.4; charset=utf-8",
            Kind::Events => "text/event-stream",
        }
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// What the body is.
    pub kind: Kind,
    /// Other fields, each with CR LF at its end.
    pub fields: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// An answer to a request that is served.
    pub fn new(kind: Kind, body: impl Into<Vec<u8>>) -> Response {
        Response {
            status: 200,
            kind,
            fields: String::new(),
            body: body.into(),
        }
    }

    /// The same with one more field.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Response {
        let _ = write!(self.fields, "{name}: {value}\r\n");
        self
    }

    /// An answer that is a sentence.
    pub fn sentence(status: u16, sentence: &str) -> Response {
        Response {
            status,
            ..Response::new(Kind::Text, format!("{sentence}\n"))
        }
    }

    /// Appends head and body to `out`. `wall_ms` is the present time.
    pub fn write(&self, out: &mut Vec<u8>, wall_ms: u64, close: bool, with_body: bool) {
        let mut head = format!(
            "HTTP/1.1 {} {}\r\nDate: {}\r\nContent-Type: {}\r\nCache-Control: no-store\r\n\
             X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
             Cross-Origin-Resource-Policy: same-origin\r\n{}",
            self.status,
            reason(self.status),
            date(wall_ms),
            self.kind.name(),
            self.fields
        );
        if self.kind != Kind::Events {
            let _ = write!(head, "Content-Length: {}\r\n", self.body.len());
        }
        let connection = if close { "close" } else { "keep-alive" };
        let _ = write!(head, "Connection: {connection}\r\n\r\n");
        out.extend_from_slice(head.as_bytes());
        if with_body {
            out.extend_from_slice(&self.body);
        }
    }
}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Response {
        let response = Response::sentence(refusal.status, refusal.why);
        match refusal.status {
            // RFC 9110 sections 11.6.1 and 15.5.6 ask for these.
            401 => response.with("WWW-Authenticate", "Bearer"),
            405 => response.with("Allow", "GET, HEAD"),
            _ => response,
        }
    }
}

/// The words of a status code, RFC 9110 section 15.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        421 => "Misdirected Request",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Internal Server Error",
    }
}

/// A moment as HTTP writes it, `Sun, 06 Nov 1994 08:49:37 GMT`. RFC 9110 section 5.6.7
fn date(wall_ms: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let named = |names: &[&'static str], at: u64| {
        let at = usize::try_from(at).unwrap_or(0);
        names.get(at).copied().unwrap_or_default()
    };
    let seconds = wall_ms / 1000;
    let days = seconds / 86_400;
    let (year, month, day) = civil(days);
    format!(
        "{}, {day:02} {} {year} {:02}:{:02}:{:02} GMT",
        named(&DAYS, days % 7),
        named(&MONTHS, month - 1),
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// Year, month and day of a day since the epoch. A year that begins with March has its leap day at the end:
/// <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month < 3), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_http_has_them() {
        for (seconds, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"),
            (4_102_444_800, "Fri, 01 Jan 2100 00:00:00 GMT"),
        ] {
            assert_eq!(date(seconds * 1000), text);
        }
    }

    #[test]
    fn a_head_says_what_follows() {
        let mut out = Vec::new();
        let response = Response::from(Refusal::new(405, "only reading"));
        response.write(&mut out, 0, true, false);
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.starts_with("HTTP/1.1 405 Method Not Allowed\r\nDate: Thu"),
            "{text}"
        );
        for field in [
            "Allow: GET, HEAD",
            "Content-Length: 13",
            "Connection: close",
        ] {
            assert!(text.contains(&format!("\r\n{field}\r\n")), "{text}");
        }
        assert!(text.ends_with("\r\n\r\n"));
    }
}
