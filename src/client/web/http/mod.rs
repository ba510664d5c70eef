//! The head of an HTTP request, read strictly: what the grammar of RFC 9112 does not allow is refused, and so is
//! every body, as nothing here takes one. Two readers that understand a request differently are a hole between
//! them; one that guesses nothing leaves none.

/// The longest head of a request, in bytes.
pub const MAX_HEAD: usize = 8 << 10;
/// The most fields of a head.
const MAX_FIELDS: usize = 64;

/// What is done with the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// The answer is wanted.
    Get,
    /// Only its head is.
    Head,
    /// Anything else: not served.
    Other,
}

/// A request as it was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is done.
    pub method: Method,
    /// The target up to its question mark, as it was sent: nothing here has a name that needs an escape.
    pub path: String,
    /// The target behind its question mark.
    pub query: String,
    /// Whom the client thinks that it speaks to: the field `Host`, and the host of a target that has one.
    pub hosts: Vec<String>,
    /// The field `Accept`.
    pub accept: String,
    /// The field `Authorization`.
    pub authorization: Option<String>,
    /// No other request follows on this connection.
    pub close: bool,
}

/// A request that is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The status code, RFC 9110 section 15.
    pub status: u16,
    /// The sentence.
    pub why: &'static str,
}

impl Refusal {
    /// A refusal with this status.
    pub const fn new(status: u16, why: &'static str) -> Refusal {
        Refusal { status, why }
    }
}

const fn malformed(why: &'static str) -> Refusal {
    Refusal::new(400, why)
}

const NO_HTTP: Refusal = malformed("this is no HTTP request");
const LINE_END: Refusal = malformed("each line of a head ends with CR LF");
const BODY: Refusal = Refusal::new(413, "requests have no body here");
const TOO_LONG: Refusal = Refusal::new(431, "the head of the request has more than 8 KiB");

/// RFC 9110 section 5.6.2
fn is_token(word: &[u8]) -> bool {
    let tchar = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    !word.is_empty() && word.iter().all(tchar)
}

/// One empty line before a request is passed over, RFC 9112 section 2.2.
fn without_empty_line(input: &[u8]) -> &[u8] {
    input.strip_prefix(b"\r\n").unwrap_or(input)
}

/// How many bytes of the input are the head of a request, once it is complete. What can never become one is refused
/// at once.
pub fn head_length(input: &[u8]) -> Result<Option<usize>, Refusal> {
    let bare = without_empty_line(input);
    let skipped = input.len() - bare.len();
    match bare {
        [] | [b'\r'] => return Ok(None),
        [first, ..] if !is_token(&[*first]) => return Err(NO_HTTP),
        _ => {}
    }
    // A bare LF is looked for too, so that its refusal does not wait for what will not come.
    let mut ends = bare.iter().enumerate().filter(|(_, b)| **b == b'\n');
    let length = ends.find_map(|(at, _)| match bare.get(at + 1..)? {
        [b'\n', ..] => Some(at + 2),
        [b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    });
    match length {
        Some(length) if skipped + length <= MAX_HEAD => Ok(Some(skipped + length)),
        None if input.len() <= MAX_HEAD => Ok(None),
        None if !bare.contains(&b'\n') => Err(Refusal::new(414, "the target is too long")),
        _ => Err(TOO_LONG),
    }
}

/// Reads a head, from its first byte to the empty line at its end.
pub fn parse(head: &[u8]) -> Result<Request, Refusal> {
    let text = without_empty_line(head).strip_suffix(b"\r\n\r\n");
    let mut lines = text.ok_or(LINE_END)?.split(|b| *b == b'\n').peekable();
    let mut next = || {
        let line = lines.next()?;
        // The last one has lost its line end above.
        match (lines.peek(), line.strip_suffix(b"\r")) {
            (None, _) => Some(Ok(line)),
            (Some(_), Some(line)) => Some(Ok(line)),
            (Some(_), None) => Some(Err(LINE_END)),
        }
    };
    let first = next().unwrap_or(Err(NO_HTTP))?;
    let (mut request, minor) = request_line(first)?;
    let mut fields = Fields::default();
    for count in 0.. {
        let Some(line) = next() else { break };
        if count == MAX_FIELDS {
            return Err(Refusal::new(431, "the request has more than 64 fields"));
        }
        fields.take(&mut request, line?)?;
    }
    request.hosts.extend(fields.host);
    if request.hosts.is_empty() || !fields.has_host {
        return Err(malformed("the request names no host"));
    }
    request.close |= minor == 0;
    Ok(request)
}

/// `method SP request-target SP HTTP-version`, RFC 9112 section 3, and the minor version.
fn request_line(line: &[u8]) -> Result<(Request, u8), Refusal> {
    let mut words = line.split(|b| *b == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(malformed("the first line is METHOD TARGET VERSION"));
    };
    if !is_token(method) {
        return Err(malformed("the method is no word"));
    }
    let minor = match version {
        b"HTTP/1.1" => 1,
        b"HTTP/1.0" => 0,
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            return Err(Refusal::new(
                505,
                "the version of HTTP that is spoken here is 1.1",
            ));
        }
        _ => return Err(malformed("the first line ends with HTTP/1.1")),
    };
    let visible = |b: &u8| b.is_ascii_graphic() && *b != b'#';
    let target = std::str::from_utf8(target).unwrap_or_default();
    if target.is_empty() || !target.bytes().all(|b| visible(&b)) {
        return Err(malformed("the target has a character that is written %XX"));
    }
    let (host, target) = split_authority(target)?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let request = Request {
        method: match method {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            _ => Method::Other,
        },
        path: path.to_owned(),
        query: query.to_owned(),
        hosts: host.map(str::to_owned).into_iter().collect(),
        accept: String::new(),
        authorization: None,
        close: false,
    };
    Ok((request, minor))
}

/// The host that a target names, and the rest of it: `/path`, or what a proxy is asked for, `http://host/path`.
fn split_authority(target: &str) -> Result<(Option<&str>, &str), Refusal> {
    if target.starts_with('/') {
        return Ok((None, target));
    }
    let rest = target.strip_prefix("http://");
    let rest = rest.ok_or(malformed("the target begins with a slash"))?;
    match rest.find(['/', '?']) {
        Some(at) => match rest.split_at(at) {
            (host, path) if path.starts_with('/') => Ok((Some(host), path)),
            _ => Err(malformed("the target has no path")),
        },
        None => Ok((Some(rest), "/")),
    }
}

/// What was seen of the fields that may come once.
#[derive(Default)]
struct Fields {
    has_host: bool,
    host: Option<String>,
    has_length: bool,
}

impl Fields {
    /// `field-name ":" OWS field-value OWS`, RFC 9112 section 5.
    fn take(&mut self, request: &mut Request, line: &[u8]) -> Result<(), Refusal> {
        let at = line.iter().position(|b| *b == b':');
        let at = at.ok_or(malformed("a field is NAME: VALUE"))?;
        let (name, value) = line.split_at(at);
        let value = value.get(1..).unwrap_or_default();
        if !is_token(name) {
            // A space before the colon and a value that goes on in the next line are among these.
            return Err(malformed("the name of a field is no word"));
        }
        let allowed = |b: &u8| matches!(b, b'\t' | b' '..=b'~' | 0x80..);
        if !value.iter().all(allowed) {
            return Err(malformed("the value of a field has a control character"));
        }
        let value = String::from_utf8_lossy(value);
        let value = value.trim_matches([' ', '\t']);
        match name.to_ascii_lowercase().as_slice() {
            b"host" if std::mem::replace(&mut self.has_host, true) => {
                return Err(malformed("the request names two hosts"));
            }
            b"host" => self.host = Some(value.to_owned()),
            b"content-length" if std::mem::replace(&mut self.has_length, true) => {
                return Err(malformed("the request has two lengths"));
            }
            b"content-length" => match value.bytes().all(|b| b.is_ascii_digit()) {
                _ if value.is_empty() => return Err(malformed("the length is no number")),
                false => return Err(malformed("the length is no number")),
                true if value.bytes().any(|b| b != b'0') => return Err(BODY),
                true => {}
            },
            b"transfer-encoding" => return Err(BODY),
            b"connection" => {
                let mut words = value.split(',').map(|word| word.trim_matches([' ', '\t']));
                request.close |= words.any(|word| word.eq_ignore_ascii_case("close"));
            }
            b"accept" => {
                request.accept.push_str(value);
                request.accept.push(',');
            }
            b"authorization" if request.authorization.is_some() => {
                return Err(malformed("the request has two authorizations"));
            }
            b"authorization" => request.authorization = Some(value.to_owned()),
            _ => {}
        }
        Ok(())
    }
}

/// The value of a parameter of a query, the first of its name.
pub fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find_map(|(key, value)| (key == name).then_some(value))
}

/// How much a client wants a media type, in thousandths, by the most specific range that has it. RFC 9110 section
/// 12.5.1
fn quality(accept: &str, kind: &str) -> u32 {
    let family = kind.split('/').next().unwrap_or_default();
    let mut best = (0, 0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let specific = match name.strip_suffix("/*") {
            _ if name == kind => 3,
            Some(of) if of == family => 2,
            Some("*") => 1,
            _ => continue,
        };
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        let weight = weight.map_or(1000, |text| {
            crate::units::parse_millis(&format!("{text}s")).map_or(0, |q| q.min(1000))
        });
        best = best.max((specific, u32::try_from(weight).unwrap_or(0)));
    }
    best.1
}

/// Whether the client would rather have HTML than JSON, as browsers do.
pub fn prefers_html(accept: &str) -> bool {
    quality(accept, "text/html") > quality(accept, "application/json")
}

#[cfg(test)]
mod tests;
