use super::*;
use crate::test_rng::test_rng;

fn read(head: &str) -> Result<Request, u16> {
    match head_length(head.as_bytes()) {
        Ok(Some(length)) => parse(&head.as_bytes()[..length]).map_err(|refusal| refusal.status),
        Ok(None) => Err(0),
        Err(refusal) => Err(refusal.status),
    }
}

#[test]
fn a_request_is_read_as_it_was_meant() {
    let request = read(
        "GET /api/logs/3?lines=5&token=a HTTP/1.1\r\nhOST:\t localhost:9615 \r\nAccept: text/html\r\n\
         accept: */*;q=0.1\r\nAuthorization: Bearer abc\r\nX-Other:\r\nConnection: keep-alive, Close\r\n\r\nmore",
    );
    let expected = Request {
        method: Method::Get,
        path: "/api/logs/3".into(),
        query: "lines=5&token=a".into(),
        hosts: vec!["localhost:9615".into()],
        accept: "text/html,*/*;q=0.1,".into(),
        authorization: Some("Bearer abc".into()),
        close: true,
    };
    assert_eq!(
        read("\r\nHEAD / HTTP/1.0\r\nHost:a\r\n\r\n")
            .unwrap()
            .method,
        Method::Head
    );
    assert_eq!(request, Ok(expected));
    let proxied = read("DELETE http://x:1/a?b HTTP/1.1\r\nHost: y\r\n\r\n").unwrap();
    assert_eq!(proxied.hosts, ["x:1", "y"]);
    assert_eq!(
        (proxied.method, proxied.path.as_str()),
        (Method::Other, "/a")
    );
    assert_eq!(parameter("a=1&lines=&lines=2", "lines"), Some(""));
    assert_eq!(parameter("lines", "lines"), None);
}

#[test]
fn the_last_of_two_pipelined_requests_is_left_alone() {
    let one = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let both = format!("{one}{one}");
    assert_eq!(head_length(both.as_bytes()), Ok(Some(one.len())));
    for length in 0..one.len() {
        assert_eq!(head_length(&one.as_bytes()[..length]), Ok(None), "{length}");
    }
}

#[test]
fn what_the_grammar_does_not_allow_is_refused() {
    for (head, status) in [
        ("\x16\x03\x01", 400),
        (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("\n", 400),
        ("GET / HTTP/1.1\nHost: a\n\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", 400),
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET http://a/ HTTP/1.1\r\n\r\n", 400),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
        ("GET / x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", 400),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/11\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ("G\u{e9}T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET http://a?b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nno field\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nA: \x01\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nA: \x7f\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nA: x\rB: y\r\n\r\n", 400),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: a\r\nAuthorization: a\r\n\r\n",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
            413,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0, 0\r\n\r\n",
            400,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
            400,
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
            400,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
            413,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            413,
        ),
    ] {
        assert_eq!(read(head), Err(status), "{head:?}");
    }
    assert!(read("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 00\r\n\r\n").is_ok());
}

#[test]
fn a_head_has_limits() {
    let field = |length: usize| {
        let start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
        format!("{start}{}\r\n\r\n", "x".repeat(length - start.len() - 4))
    };
    assert!(read(&field(MAX_HEAD)).is_ok());
    assert_eq!(read(&field(MAX_HEAD + 1)), Err(431));
    assert_eq!(read(&format!("GET /{}", "x".repeat(MAX_HEAD))), Err(414));
    let fields = |count: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
            "A: b\r\n".repeat(count - 1)
        )
    };
    assert!(read(&fields(MAX_FIELDS)).is_ok());
    assert_eq!(read(&fields(MAX_FIELDS + 1)), Err(431));
}

#[test]
fn random_and_damaged_heads_never_panic_and_what_is_read_is_clean() {
    let mut next = test_rng();
    let whole = b"GET /a?b HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nContent-Length: 0\r\n\r\n";
    let alphabet = b"GET /:?#%a1.\r\n\r\n \t\0\xffHTTP/1.1Host: ";
    let mut taken = 0;
    for round in 0..300_000 {
        let bytes: Vec<u8> = match round % 2 {
            0 => {
                let length = (next() % 80) as usize;
                let one = |_| alphabet[next() as usize % alphabet.len()];
                (0..length).map(one).collect()
            }
            _ => {
                let mut bytes = whole.to_vec();
                for _ in 0..=next() % 3 {
                    let at = next() as usize % bytes.len();
                    bytes[at] = next() as u8;
                }
                bytes
            }
        };
        let Ok(Some(length)) = head_length(&bytes) else {
            continue;
        };
        assert!(length <= bytes.len());
        if let Ok(request) = parse(&bytes[..length]) {
            taken += 1;
            assert!(request.path.starts_with('/') && request.path.is_ascii());
            assert!(!request.hosts.is_empty());
            let text = format!("{request:?}");
            assert!(!text.contains("\\r") && !text.contains("\\n"), "{text}");
        }
    }
    assert!(taken > 1000, "only {taken} were read at all");
}

#[test]
fn a_browser_gets_html_and_a_program_json() {
    for (accept, html) in [
        (
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8,",
            true,
        ),
        ("text/html", true),
        ("TEXT/*;q=0.5, */*;q=0.1", true),
        ("", false),
        ("*/*", false),
        ("application/json", false),
        ("application/json, text/html;q=0.9", false),
        ("text/html, application/json", false),
        ("text/html;q=0", false),
        ("text/html;q=nonsense", false),
        ("*/*, text/html;q=0", false),
    ] {
        assert_eq!(prefers_html(accept), html, "{accept}");
    }
}
