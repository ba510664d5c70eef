//! What a target means.

use super::http::{self, Method, Refusal, Request, parameter};

/// How many lines of each log are given unless another number is asked for.
const LINES: usize = 100;
/// The most lines of a log that may be asked for.
const MOST_LINES: usize = 1000;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// The page for people.
    Page,
    /// All that is known, as pm2's `web` gives it.
    Overview,
    /// How programs fare, with their last minutes.
    Processes,
    /// The last lines of a program's logs.
    Logs {
        /// The program.
        id: u32,
        /// How many lines of each.
        lines: usize,
    },
    /// The same as `Processes`, then what changes.
    Events,
    /// For Prometheus.
    Metrics,
}

const NOT_FOUND: Refusal = Refusal::new(
    404,
    "there are /, /api/processes, /api/logs/ID, /api/events and /metrics here",
);

/// The route of a request.
pub fn route(request: &Request) -> Result<Route, Refusal> {
    if request.method == Method::Other {
        return Err(Refusal::new(405, "everything here is for reading: use GET"));
    }
    match request.path.as_str() {
        "/" if http::prefers_html(&request.accept) => Ok(Route::Page),
        "/" => Ok(Route::Overview),
        "/api/processes" => Ok(Route::Processes),
        "/api/events" => Ok(Route::Events),
        "/metrics" => Ok(Route::Metrics),
        path => {
            let id = path.strip_prefix("/api/logs/").ok_or(NOT_FOUND)?;
            let id = number(id).ok_or(Refusal::new(404, "a program is named by its id here"))?;
            let lines = match parameter(&request.query, "lines").map(number) {
                None => LINES,
                Some(Some(lines)) => usize::try_from(lines).unwrap_or(MOST_LINES),
                Some(None) => return Err(Refusal::new(400, "lines is a whole number")),
            };
            let lines = lines.min(MOST_LINES);
            Ok(Route::Logs { id, lines })
        }
    }
}

fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str, accept: &str) -> Result<Route, u16> {
        let head = format!("{line} HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\n\r\n");
        route(&http::parse(head.as_bytes()).unwrap()).map_err(|refusal| refusal.status)
    }

    #[test]
    fn each_target_has_one_meaning() {
        let logs = |id, lines| Ok(Route::Logs { id, lines });
        assert_eq!(of("GET /", "text/html"), Ok(Route::Page));
        assert_eq!(of("HEAD /", "*/*"), Ok(Route::Overview));
        assert_eq!(of("GET /?x=y", ""), Ok(Route::Overview));
        assert_eq!(of("GET /metrics", ""), Ok(Route::Metrics));
        assert_eq!(of("GET /api/logs/7", ""), logs(7, LINES));
        assert_eq!(of("GET /api/logs/0?lines=3", ""), logs(0, 3));
        assert_eq!(
            of("GET /api/logs/0?lines=4294967295", ""),
            logs(0, MOST_LINES)
        );
        for (line, status) in [
            ("GET /api/logs/0?lines=", 400),
            ("GET /api/logs/0?lines=-1", 400),
            ("GET /api/logs/0?lines=99999999999", 400),
            ("GET /api/logs/", 404),
            ("GET /api/logs/+1", 404),
            ("GET /api/logs/../../etc/passwd", 404),
            ("GET /api/logs/1/", 404),
            ("GET //", 404),
            ("GET /index.html", 404),
            ("POST /", 405),
            ("DELETE /api/logs/7", 405),
        ] {
            assert_eq!(of(line, ""), Err(status), "{line}");
        }
    }
}
