//! Addresses of the web, as far as registries use them.

use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;

use hyper::Uri;

/// With or without encryption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Scheme {
    /// Without.
    Http,
    /// With.
    Https,
}

/// An absolute address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) scheme: Scheme,
    /// The host, with a port if it is not the usual one.
    pub(super) host: String,
    /// Path and query, beginning with a slash.
    pub(super) path: String,
}

impl Url {
    pub(super) fn new(scheme: Scheme, host: &str, path: &str) -> Self {
        Self { scheme, host: host.to_owned(), path: path.to_owned() }
    }

    /// Where an answer from here points: an address, or a path on the same host.
    pub(super) fn join(&self, location: &str) -> Option<Self> {
        if location.starts_with('/') && !location.starts_with("//") {
            let path: Uri = location.parse().ok()?;
            return Some(Self { path: path.path_and_query()?.to_string(), ..self.clone() });
        }
        if let Some(query) = location.strip_prefix('?') {
            let path = self.path.split('?').next().unwrap_or("/");
            return self.join(&format!("{path}?{query}"));
        }
        location.parse().ok()
    }

    /// The same with one more part of the query.
    pub(super) fn with_query(mut self, key: &str, value: &str) -> Self {
        self.path.push(if self.path.contains('?') { '&' } else { '?' });
        self.path.push_str(key);
        self.path.push('=');
        self.path.push_str(&encoded(value));
        self
    }

    /// Host name and port to connect to.
    pub(super) fn address(&self) -> (String, u16) {
        let usual = match self.scheme {
            Scheme::Http => 80,
            Scheme::Https => 443,
        };
        let (name, port) = match self.host.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => (name, port.parse().unwrap_or(usual)),
            _ => (self.host.as_str(), usual),
        };
        (name.trim_start_matches('[').trim_end_matches(']').to_owned(), port)
    }
}

impl FromStr for Url {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let uri: Uri = text.parse().map_err(drop)?;
        let scheme = match uri.scheme_str() {
            Some("http") => Scheme::Http,
            Some("https") => Scheme::Https,
            _ => return Err(()),
        };
        let authority = uri.authority().ok_or(())?;
        if authority.as_str().contains('@') {
            return Err(());
        }
        let path = uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
        Ok(Self { scheme, host: authority.to_string(), path })
    }
}

impl fmt::Display for Url {
    /// Without the query: it may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        let path = self.path.split('?').next().unwrap_or_default();
        write!(f, "{scheme}://{}{path}", self.host)
    }
}

/// `text` as a value of a query.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::Url;

    #[test]
    fn where_an_answer_points_is_found() {
        let here: Url = "http://127.0.0.1:5000/v2/x/blobs/uploads/?a=b".parse().unwrap();
        for (location, there) in [
            ("/v2/y?_state=z", "http://127.0.0.1:5000|/v2/y?_state=z"),
            ("http://other/v2?s=%2F", "http://other|/v2?s=%2F"),
            ("?q=1", "http://127.0.0.1:5000|/v2/x/blobs/uploads/?q=1"),
        ] {
            let url = here.join(location).unwrap();
            assert_eq!(format!("http://{}|{}", url.host, url.path), there);
        }
        for bad in ["ftp://x/", "http://user:secret@x/", "//x", "", "x y"] {
            assert_eq!(here.join(bad), None, "{bad}");
        }
    }

    #[test]
    fn secrets_of_a_query_are_not_shown() {
        let url: Url = "http://x:1/a?token=secret".parse().unwrap();
        assert_eq!(url.to_string(), "http://x:1/a");
        assert_eq!(url.address(), ("x".to_owned(), 1));
        let v6: Url = "http://[::1]:5000/".parse().unwrap();
        assert_eq!(v6.address(), ("::1".to_owned(), 5000));
        assert_eq!(url.with_query("scope", "a:b/c").path, "/a?token=secret&scope=a%3Ab%2Fc");
    }
}
