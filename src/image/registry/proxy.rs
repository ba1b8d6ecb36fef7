//! Proxies on the way to a registry, as `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` name them.

use std::fmt;
use std::io;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;

use super::settings::is_loopback;
use super::url::{Scheme, Url};

/// Which requests go through which proxy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For requests without encryption; an address.
    pub http: Option<String>,
    /// For encrypted ones.
    pub https: Option<String>,
    /// What is asked directly: names, domains (`.lan`), addresses, subnets, with or without a port;
    /// `*` is all.
    pub none: Vec<String>,
}

/// A proxy.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Proxy {
    pub(super) url: Url,
    /// The header that tells it who we are.
    pub(super) authorization: Option<String>,
}

impl fmt::Debug for Proxy {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({})", self.url)
    }
}

impl Proxies {
    /// What the environment says; the lower-case names count most, as they do elsewhere.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let get = |name: &str| {
            let text = variable(&name.to_ascii_lowercase()).or_else(|| variable(name));
            text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        let all = get("ALL_PROXY");
        Self {
            http: get("HTTP_PROXY").or_else(|| all.clone()),
            https: get("HTTPS_PROXY").or(all),
            none: list(&get("NO_PROXY").unwrap_or_default()),
        }
    }

    /// The proxy for a request, if it goes through one. The loopback address never does.
    ///
    /// # Errors
    /// If the proxy's address makes no sense.
    pub(super) fn of(&self, url: &Url) -> io::Result<Option<Proxy>> {
        let text = match url.scheme {
            Scheme::Http => &self.http,
            Scheme::Https => &self.https,
        };
        let Some(text) = text.as_ref().filter(|_| !self.direct(url)) else { return Ok(None) };
        proxy(text).map(Some)
    }

    fn direct(&self, url: &Url) -> bool {
        let (name, port) = url.address();
        is_loopback(&name) || self.none.iter().any(|pattern| fits(pattern, &name, port))
    }
}

/// A list with commas or blanks.
pub(super) fn list(text: &str) -> Vec<String> {
    let parts = text.split([',', ' ']).map(str::trim).filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

/// Whether `pattern` means this host.
fn fits(pattern: &str, name: &str, port: u16) -> bool {
    if pattern == "*" {
        return true;
    }
    if let (Ok(net), Ok(address)) = (pattern.parse::<IpNet>(), name.parse::<IpAddr>()) {
        return net.contains(&address);
    }
    if let (Ok(one), Ok(address)) = (pattern.parse::<IpAddr>(), name.parse::<IpAddr>()) {
        return one == address;
    }
    let (domain, of_port) = match pattern.rsplit_once(':') {
        Some((domain, text)) => match text.parse::<u16>() {
            Ok(number) => (domain, Some(number)),
            Err(_) => (pattern, None),
        },
        None => (pattern, None),
    };
    let domain = domain.trim_start_matches('*').trim_start_matches('.').to_ascii_lowercase();
    let name = name.to_ascii_lowercase();
    let below =
        name.strip_suffix(&domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    below && !domain.is_empty() && of_port.is_none_or(|number| number == port)
}

/// Reads `[http://][user:password@]host[:port]`.
fn proxy(text: &str) -> io::Result<Proxy> {
    let bad = |reason: &str| {
        io::Error::new(io::ErrorKind::InvalidData, format!("cannot use the proxy: {reason}"))
    };
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    if !matches!(scheme, "http" | "https") {
        return Err(bad(&format!("orca speaks to http and https proxies, not {scheme}")));
    }
    let rest = rest.split('/').next().unwrap_or_default();
    let (who, host) = match rest.rsplit_once('@') {
        Some((who, host)) => (Some(who), host),
        None => (None, rest),
    };
    let url: Url =
        format!("{scheme}://{host}/").parse().map_err(|()| bad("its address makes no sense"))?;
    let authorization = who.map(|who| format!("Basic {}", STANDARD.encode(decoded(who))));
    Ok(Proxy { url, authorization })
}

/// With `%40` as `@`.
fn decoded(text: &str) -> Vec<u8> {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::new(), 0);
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if bytes[at] == b'%' => {
                out.push(byte);
                at += 3;
            }
            _ => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Proxies, list};
    use crate::image::registry::url::Url;

    fn through(proxies: &Proxies, url: &str) -> Option<String> {
        let url: Url = url.parse().unwrap();
        proxies.of(&url).unwrap().map(|proxy| proxy.url.host)
    }

    #[test]
    fn the_environment_names_proxies() {
        let proxies = Proxies::from_environment(|name| {
            Some(match name {
                "http_proxy" => "proxy:3128".to_owned(),
                "HTTP_PROXY" => "other:1".to_owned(),
                "HTTPS_PROXY" => "http://me:p%40ss@secure:3129/".to_owned(),
                "NO_PROXY" => "lan, .corp.example,10.0.0.0/8 192.168.1.1,x.io:5000".to_owned(),
                _ => return None,
            })
        });
        for (url, proxy) in [
            ("http://a.example/", Some("proxy:3128")),
            ("https://a.example/", Some("secure:3129")),
            ("http://127.0.0.1:5000/", None),
            ("https://localhost/", None),
            ("https://[::1]:5000/", None),
            ("https://lan/", None),
            ("https://r.lan/", None),
            ("https://plan/", Some("secure:3129")),
            ("https://corp.example/", None),
            ("https://10.2.3.4:5000/", None),
            ("https://192.168.1.1/", None),
            ("https://192.168.1.2/", Some("secure:3129")),
            ("https://x.io:5000/", None),
            ("https://x.io/", Some("secure:3129")),
        ] {
            assert_eq!(through(&proxies, url).as_deref(), proxy, "{url}");
        }
        let url: Url = "https://a.example/".parse().unwrap();
        let proxy = proxies.of(&url).unwrap().unwrap();
        // me:p@ss
        assert_eq!(proxy.authorization.as_deref(), Some("Basic bWU6cEBzcw=="));
        assert!(!format!("{proxy:?}").contains("ss"));
    }

    #[test]
    fn what_is_no_proxy_is_refused() {
        let url: Url = "http://a.example/".parse().unwrap();
        for text in ["socks5://x:1", "http://", "http://a b"] {
            let proxies = Proxies { http: Some(text.to_owned()), ..Proxies::default() };
            assert!(proxies.of(&url).is_err(), "{text}");
        }
        let all = Proxies { http: Some("p:1".to_owned()), none: list("*"), ..Proxies::default() };
        assert_eq!(all.of(&url).unwrap(), None);
    }
}
