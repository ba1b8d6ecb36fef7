//! The short form of published ports: `[[ip:][host]:]container[/protocol]`.

use std::net::IpAddr;

/// One port of a short form, with ranges spread out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShortPort {
    /// The host address, as written but for brackets; empty is every address.
    pub(crate) host_ip: String,
    /// The host's port or range of ports; empty leaves the choice to the engine.
    pub(crate) published: String,
    /// The container's port.
    pub(crate) target: u16,
    /// `tcp`, `udp` or `sctp`.
    pub(crate) protocol: String,
}

/// Reads the short form.
pub(crate) fn parse_ports(text: &str) -> Result<Vec<ShortPort>, String> {
    let mut parts: Vec<&str> = text.split(':').collect();
    let container = parts.pop().unwrap_or_default();
    let host = parts.pop().unwrap_or_default();
    let ip = parts.join(":");
    let (container, protocol) = match container.split_once('/') {
        Some((port, "")) => (port, "tcp".to_owned()),
        Some((port, protocol)) => (port, protocol.to_ascii_lowercase()),
        None => (container, "tcp".to_owned()),
    };
    let ip = host_address(&ip)?;
    if container.is_empty() {
        return Err(format!("no container port in {text:?}"));
    }
    let target = range(container).ok_or_else(|| format!("invalid container port {container:?}"))?;
    let published = match host {
        "" => None,
        host => Some(range(host).ok_or_else(|| {
            let message = format!("invalid host port {host:?}");
            match host.parse::<IpAddr>() {
                Ok(_) => format!(
                    "{message}: an address goes before two colons, as in \"{host}::{container}\""
                ),
                Err(_) => message,
            }
        })?),
    };
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("invalid protocol {protocol:?}: must be one of tcp, udp, sctp"));
    }
    let length = target.1 - target.0;
    if let Some((first, last)) = published
        && last - first != length
        && length != 0
    {
        return Err(format!("the ranges {host} and {container} are not of one length"));
    }
    let mut ports: Vec<ShortPort> = (0..=length)
        .map(|offset| ShortPort {
            host_ip: ip.clone(),
            published: match published {
                None => String::new(),
                Some((first, last)) if length == 0 && first != last => format!("{first}-{last}"),
                Some((first, _)) => (first + offset).to_string(),
            },
            target: target.0 + offset,
            protocol: protocol.clone(),
        })
        .collect();
    // docker compose sorts them as text.
    ports.sort_by_cached_key(|port| port.target.to_string() + "/");
    Ok(ports)
}

fn host_address(text: &str) -> Result<String, String> {
    let address = match text.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').unwrap_or(text),
        None if text.contains(':') => {
            return Err(format!("an IPv6 address goes into brackets, as in \"[{text}]:8080:80\""));
        }
        None => text,
    };
    if address.is_empty() || address.parse::<IpAddr>().is_ok() {
        return Ok(address.to_owned());
    }
    Err(format!("invalid IP address {text:?}"))
}

fn range(text: &str) -> Option<(u16, u16)> {
    let port = |text: &str| -> Option<u16> {
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
    };
    match text.split_once('-') {
        Some((first, last)) => {
            let (first, last) = (port(first)?, port(last)?);
            (first <= last).then_some((first, last))
        }
        None => {
            let port = port(text)?;
            Some((port, port))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let ports = parse_ports(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let ports: Vec<String> = ports
            .iter()
            .map(|p| format!("{}|{}|{}/{}", p.host_ip, p.published, p.target, p.protocol))
            .collect();
        assert_eq!(ports, expected, "{text}");
    }

    #[test]
    fn every_short_form_is_read() {
        check("80", &["||80/tcp"]);
        check("8080:80", &["|8080|80/tcp"]);
        check("127.0.0.1:8080:80/udp", &["127.0.0.1|8080|80/udp"]);
        check("127.0.0.1::80", &["127.0.0.1||80/tcp"]);
        check("[::1]:8080:80", &["::1|8080|80/tcp"]);
        check(":80", &["||80/tcp"]);
        check("0:80/TCP", &["|0|80/tcp"]);
        check("3000-3002:80", &["|3000-3002|80/tcp"]);
        check("3000-3001:80-81", &["|3000|80/tcp", "|3001|81/tcp"]);
        check("80-81", &["||80/tcp", "||81/tcp"]);
    }

    #[test]
    fn what_is_no_port_is_refused() {
        for text in [
            "",
            "80a",
            "80:",
            "localhost:80:80",
            "127.0.0.1:80",
            "80/icmp",
            "70000",
            "1:70000",
            "1-3:1-2",
            "5-1",
            "-1",
            "a:80",
            "1.2.3:1:1",
            "+80",
        ] {
            assert!(parse_ports(text).is_err(), "{text}");
        }
    }
}
