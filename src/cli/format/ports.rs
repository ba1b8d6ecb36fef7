//! Published ports.

use serde::Serialize;

use crate::model::{Publication, TaskStatus};

/// A published port in the words of docker compose.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Publisher {
    /// The host address.
    #[serde(rename = "URL")]
    pub(crate) url: String,
    /// The port in the container; 0 where nobody answers.
    #[serde(rename = "TargetPort")]
    pub(crate) target_port: u16,
    /// The port on the host.
    #[serde(rename = "PublishedPort")]
    pub(crate) published_port: u16,
    /// `tcp`, `udp` or `sctp`.
    #[serde(rename = "Protocol")]
    pub(crate) protocol: &'static str,
}

/// The published ports of a task.
pub(crate) fn publishers(task: &TaskStatus) -> Vec<Publisher> {
    let mut publishers: Vec<_> = task.publications.iter().flat_map(|p| of(task, p)).collect();
    publishers.sort();
    publishers
}

/// Every address is two, as in docker: all of IPv4 and all of IPv6.
fn of(task: &TaskStatus, publication: &Publication) -> Vec<Publisher> {
    let hosts = match publication.host_ip {
        Some(address) => vec![address.to_string()],
        None => vec!["0.0.0.0".to_owned(), "::".to_owned()],
    };
    let publisher = |url| Publisher {
        url,
        target_port: target(task, publication),
        published_port: publication.host_port,
        protocol: publication.protocol.as_str(),
    };
    hosts.into_iter().map(publisher).collect()
}

/// The port in this task's container; another replica has the same.
fn target(task: &TaskStatus, publication: &Publication) -> u16 {
    let own = |address| task.addresses.values().any(|own| own == address);
    let backends = || publication.backends.iter();
    let ours = backends().find(|(address, _)| own(address));
    ours.or_else(|| backends().next()).map_or(0, |(_, port)| *port)
}

/// `0.0.0.0:8080->80/tcp, [::]:8080->80/tcp`.
pub(crate) fn ports(publishers: &[Publisher]) -> String {
    let texts: Vec<_> = publishers.iter().map(port).collect();
    texts.join(", ")
}

fn port(publisher: &Publisher) -> String {
    let Publisher { url, target_port, published_port, protocol } = publisher;
    let url = if url.contains(':') { format!("[{url}]") } else { url.clone() };
    match target_port {
        0 => format!("{url}:{published_port}/{protocol}"),
        target => format!("{url}:{published_port}->{target}/{protocol}"),
    }
}
