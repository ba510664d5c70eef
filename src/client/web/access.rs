//! Who is answered at all. A page of another site that has its own name point here (DNS rebinding) is recognized by
//! the host it asks for; others who can connect and should not see anything are kept out by a token.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::http::{Refusal, Request, parameter};

/// The fewest and the most characters of a token.
const TOKEN: std::ops::RangeInclusive<usize> = 8..=128;

/// What is known of those who may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Where it listens.
    pub address: IpAddr,
    /// The names that it has besides `localhost` and its addresses.
    pub names: Vec<String>,
    /// What everybody must know.
    pub token: Option<String>,
}

/// What is wrong with a token, if anything is. Its characters stand in an address as they are, RFC 3986 section 2.3.
pub fn check_token(token: &str) -> Result<(), String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    if !token.bytes().all(plain) {
        return Err("a token is made of letters, digits, and '-._~'".to_owned());
    }
    if !TOKEN.contains(&token.len()) {
        let (fewest, most) = TOKEN.into_inner();
        return Err(format!("a token has {fewest} to {most} characters"));
    }
    Ok(())
}

/// What is wrong with a host name, if anything is.
pub fn check_name(name: &str) -> Result<(), String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    match !name.is_empty() && name.bytes().all(plain) {
        true => Ok(()),
        false => Err(format!("'{name}' is not the name of a host, without port")),
    }
}

impl Access {
    /// Whether a request is served.
    pub fn check(&self, request: &Request) -> Result<(), Refusal> {
        if !request.hosts.iter().all(|host| self.is_own(host)) {
            return Err(Refusal::new(
                421,
                "this server is not the host that was asked for; --host NAME gives it another name",
            ));
        }
        let Some(token) = &self.token else {
            return Ok(());
        };
        let given = match &request.authorization {
            Some(credentials) => bearer(credentials),
            None => parameter(&request.query, "token"),
        };
        match given.is_some_and(|given| equal(given.as_bytes(), token.as_bytes())) {
            true => Ok(()),
            false => Err(Refusal::new(
                401,
                "the token is missing or wrong; add ?token=TOKEN to the address, or send Authorization: Bearer TOKEN",
            )),
        }
    }

    /// Whether `name` or `name:port` means this server. The port may be that of a tunnel.
    fn is_own(&self, host: &str) -> bool {
        let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some(parts) => parts,
            None => host.split_at(host.find(':').unwrap_or(host.len())),
        };
        let is_number =
            |text: &str| text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok();
        if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_number) {
            return false;
        }
        let address = match host.starts_with('[') {
            true => name.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            false => name.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        };
        match address {
            // An address is nobody's to point elsewhere.
            Some(address) => {
                let ours = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
                self.address.is_unspecified() || address == self.address || ours.contains(&address)
            }
            None if host.starts_with('[') => false,
            None => {
                let mut names = self.names.iter().map(String::as_str);
                let named = |own: &str| own.eq_ignore_ascii_case(name);
                named("localhost") || names.any(named)
            }
        }
    }
}

fn bearer(credentials: &str) -> Option<&str> {
    let (scheme, token) = credentials.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Compares in a time that tells nothing of where two words differ.
fn equal(a: &[u8], b: &[u8]) -> bool {
    let differing = a
        .iter()
        .zip(b)
        .fold(0, |sum, (a, b)| black_box(sum | (a ^ b)));
    a.len() == b.len() && differing == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::web::http;

    fn asked(host: &str, more: &str) -> Request {
        let query = if more.starts_with('?') { more } else { "" };
        let field = if query.is_empty() { more } else { "" };
        let head = format!("GET /{query} HTTP/1.1\r\nHost: {host}\r\n{field}\r\n");
        http::parse(head.as_bytes()).unwrap()
    }

    fn access(address: &str) -> Access {
        Access {
            address: address.parse().unwrap(),
            names: vec!["box.lan".into()],
            token: None,
        }
    }

    #[test]
    fn only_own_names_are_answered() {
        let local = access("127.0.0.1");
        for host in [
            "localhost",
            "LocalHost:9615",
            "127.0.0.1",
            "127.0.0.1:1",
            "[::1]",
            "[::1]:80",
            "[0:0::1]",
            "box.lan:80",
        ] {
            assert_eq!(local.check(&asked(host, "")), Ok(()), "{host}");
        }
        for host in [
            "",
            ":80",
            "evil.example",
            "evil.example:9615",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "xlocalhost",
            "localhost:",
            "localhost:x",
            "localhost:+80",
            "localhost:80:80",
            "localhost:99999",
            "localhost@evil.example",
            "127.1",
            "0177.0.0.1",
            "10.0.0.1",
            "[::2]",
            "[::1]x",
            "[::1",
            "::1",
            "[localhost]",
            "[127.0.0.1]",
        ] {
            let refused = local.check(&asked(host, "")).unwrap_err();
            assert_eq!(refused.status, 421, "{host}");
        }
        assert!(access("10.0.0.1").check(&asked("10.0.0.1", "")).is_ok());
        assert!(access("0.0.0.0").check(&asked("10.9.8.7:1", "")).is_ok());
        assert!(access("::").check(&asked("evil.example", "")).is_err());
        let head = b"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n";
        assert!(local.check(&http::parse(head).unwrap()).is_err());
    }

    #[test]
    fn a_token_is_asked_for_in_two_ways() {
        let mut access = access("127.0.0.1");
        access.token = Some("secret-token".into());
        let ask = |more: &str| {
            access
                .check(&asked("localhost", more))
                .map_err(|r| r.status)
        };
        assert_eq!(ask("?token=secret-token"), Ok(()));
        assert_eq!(ask("?a=b&token=secret-token"), Ok(()));
        assert_eq!(ask("Authorization: bearer secret-token\r\n"), Ok(()));
        for wrong in [
            "",
            "?token=",
            "?token=secret-toke",
            "?token=secret-tokenx",
            "?token=Secret-token",
            "?token=x&token=secret-token",
            "Authorization: Bearer\r\n",
            "Authorization: Bearer x\r\n",
            "Authorization: Basic secret-token\r\n",
        ] {
            assert_eq!(ask(wrong), Err(401), "{wrong}");
        }
        assert!(check_token("short").is_err() && check_token("with space").is_err());
        assert!(check_token("secret-token").is_ok() && check_token(&"x".repeat(129)).is_err());
    }
}
