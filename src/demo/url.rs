//! `http://name:port/path`.

use std::fmt;
use std::str::FromStr;

/// The address of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    /// A name or an address; an IPv6 address without its brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// With the first slash, and what follows a question mark.
    pub(super) path: String,
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = |why: &str| format!("`{text}` is not an address of a page: {why}");
        let rest = text
            .strip_prefix("http://")
            .ok_or_else(|| bad("it must begin with http:// (this client knows no https)"))?;
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (host, port) = match authority.strip_prefix('[') {
            Some(v6) => v6.split_once(']').ok_or_else(|| bad("a `]` is missing"))?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(number) => number.parse().map_err(|_| bad("the port is not a number"))?,
            None if port.is_empty() => 80,
            None => return Err(bad("the port is not a number")),
        };
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c == '@') {
            return Err(bad("the name of the host is missing or wrong"));
        }
        if path.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(bad("the path has a space in it"));
        }
        let path = path.split('#').next().unwrap_or_default();
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self { host: host.to_owned(), port, path: format!("{slash}{path}") })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority(), self.path)
    }
}

impl Url {
    /// The host and port, as they stand in a `Host` header.
    pub(super) fn authority(&self) -> String {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == 80 { host } else { format!("{host}:{}", self.port) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let got = match text.parse::<Url>() {
            Ok(url) => format!("{} {} {}", url.host, url.port, url.path),
            Err(why) => why.split_once(": ").unwrap().1.to_owned(),
        };
        assert_eq!(got, expected, "{text}");
    }

    #[test]
    fn addresses_of_pages_are_read() {
        check("http://api", "api 80 /");
        check("http://api:8080/", "api 8080 /");
        check("http://127.0.0.1:8080/a/b?c=d#e", "127.0.0.1 8080 /a/b?c=d");
        check("http://[::1]:8080/x", "::1 8080 /x");
        check("http://[::1]", "::1 80 /");
        check("http://api?x", "api 80 /?x");
        check("https://api", "it must begin with http:// (this client knows no https)");
        check("api:8080", "it must begin with http:// (this client knows no https)");
        check("http://", "the name of the host is missing or wrong");
        check("http://:80/", "the name of the host is missing or wrong");
        check("http://me@api/", "the name of the host is missing or wrong");
        check("http://api:x/", "the port is not a number");
        check("http://api:99999/", "the port is not a number");
        check("http://[::1", "a `]` is missing");
        check("http://[::1]80", "the port is not a number");
        check("http://api/a b", "the path has a space in it");
    }

    #[test]
    fn an_address_is_written_as_it_was_read() {
        for text in ["http://api/", "http://api:8080/a?b", "http://[::1]:8080/"] {
            assert_eq!(text.parse::<Url>().unwrap().to_string(), text);
        }
    }
}
