//! How registries are reached, and who is told of progress.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::memory::Memory;
use super::policy::Policy;
use super::proxy::Proxies;
use super::session::{Place, Session};
use super::tls::Tls;
use super::trouble::Patience;
use super::url::Scheme;
use crate::image::error::Result;
use crate::image::reference::Reference;
use crate::model::{Credentials, DEFAULT_REGISTRY, Logins, Progress};

/// How registries are reached.
#[derive(Debug, Clone, Default)]
pub struct Registries {
    /// Registries (`host`, `host:port` or a subnet) that are believed without a certificate, and spoken
    /// to without encryption where they do not speak it.
    pub insecure: BTreeSet<String>,
    /// Hosts that are asked first instead of a registry, in order; `http://host` is spoken to without
    /// encryption.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// Proxies on the way.
    pub proxies: Proxies,
    /// Who we are there.
    pub logins: Logins,
    /// Which images are accepted.
    pub policy: Policy,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// What was learnt of registries.
    pub memory: Arc<Memory>,
    pub(super) tls: Arc<Tls>,
}

/// How long to wait for a registry.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// For the beginning of an answer, and for each next piece of it.
    pub idle: Duration,
    /// How often a transfer that fails without any progress is tried again.
    pub retries: u32,
    /// The wait before the first of these; it doubles each time.
    pub back_off: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            idle: Duration::from_secs(60),
            retries: 5,
            back_off: Duration::from_millis(300),
        }
    }
}

/// A host that is asked for an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Host {
    /// Its name, with a port if it is not the usual one.
    pub(super) name: String,
    /// Whose login is shown to it: the registry's own name, or the mirror's.
    pub(super) account: String,
    /// Whether it is spoken to without encryption because its address says so.
    pub(super) plain: bool,
}

impl Registries {
    /// The same with the certificates in these directories, each with a directory for each registry:
    /// `HOST/ca.crt`, `HOST/client.cert` and `HOST/client.key`.
    #[must_use]
    pub fn with_certificates(self, directories: Vec<PathBuf>) -> Self {
        Self { tls: Arc::new(Tls::new(directories)), ..self }
    }

    /// Asks a registry whether it accepts `credentials`.
    ///
    /// # Errors
    /// If it does not, or cannot be reached.
    pub fn check_login(&self, registry: &str, credentials: &Credentials) -> Result<()> {
        let mut registries = self.clone();
        registries.logins.add(registry, credentials.clone());
        // What was shown before would open the door too.
        registries.memory = Arc::default();
        let place = Place {
            registries: &registries,
            registry: registry.to_owned(),
            host: own_host(registry),
            repository: String::new(),
            actions: "",
            sources: Vec::new(),
            watcher: &Silent,
        };
        let session = Session::open(&place)?;
        Patience::new(self.timeouts).retry(&Silent, || session.enter())
    }

    /// The hosts to ask for an image, in order: the mirrors, then the registry itself.
    pub(super) fn hosts(&self, reference: &Reference) -> Vec<Host> {
        let mirrors = self.mirrors.get(&reference.registry).into_iter().flatten();
        mirrors.map(|text| mirror(text)).chain([own_host(&reference.registry)]).collect()
    }

    /// Whether whoever answers as `host` is believed.
    pub(super) fn is_insecure(&self, host: &str) -> bool {
        let name = without_port(host);
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
        let within = |entry: &String| matches!((entry.parse::<IpNet>(), address), (Ok(net), Some(ip)) if net.contains(&ip));
        self.insecure.contains(host)
            || self.insecure.contains(name)
            || self.insecure.iter().any(within)
    }

    /// The ways to speak to a host, the best first. This machine's own registries mostly have no
    /// certificate; where somebody has put certificates for one, it is not spoken to without.
    pub(super) fn schemes(&self, host: &Host) -> &'static [Scheme] {
        if host.plain {
            &[Scheme::Http]
        } else if self.is_insecure(&host.name) && !is_loopback(&host.name) {
            &[Scheme::Https, Scheme::Http]
        } else if is_loopback(&host.name) && !self.tls.has_certificates(&host.name) {
            &[Scheme::Http, Scheme::Https]
        } else {
            &[Scheme::Https]
        }
    }
}

/// The host of a registry: docker's is not where its name says.
fn own_host(registry: &str) -> Host {
    let name = match registry {
        DEFAULT_REGISTRY => "registry-1.docker.io",
        other => other,
    };
    Host { name: name.to_owned(), account: registry.to_owned(), plain: false }
}

fn mirror(text: &str) -> Host {
    let plain = text.starts_with("http://");
    let name = text.trim_start_matches("http://").trim_start_matches("https://");
    let name = name.trim_end_matches('/').to_owned();
    Host { account: name.clone(), name, plain }
}

/// Whether `host` (with or without a port) is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let name = without_port(host).trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() && !name.ends_with(':') => name,
        _ => host,
    }
}

/// Follows a transfer, and may end it.
pub trait Watcher: Sync {
    /// Something has happened. Called from several threads, often.
    fn progress(&self, progress: Progress);

    /// Whether to give up.
    fn cancelled(&self) -> bool {
        false
    }
}

/// Does not follow.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Watcher for Silent {
    fn progress(&self, _progress: Progress) {}
}

#[cfg(test)]
mod tests {
    use super::{Registries, Scheme, is_loopback, mirror, own_host};

    #[test]
    fn this_machine_is_known_under_its_names() {
        for (host, is) in [
            ("localhost", true),
            ("localhost:5000", true),
            ("127.0.0.1", true),
            ("127.9.9.9:1", true),
            ("[::1]:5000", true),
            ("::1", true),
            ("[::1]", true),
            ("localhost.example", false),
            ("10.0.0.1:5000", false),
        ] {
            assert_eq!(is_loopback(host), is, "{host}");
        }
    }

    #[test]
    fn what_is_not_encrypted_is_said() {
        let insecure = ["r.lan", "s.lan:5000", "10.0.0.0/8"].map(str::to_owned).into();
        let registries = Registries { insecure, ..Registries::default() };
        for (host, schemes) in [
            ("x.io", &[Scheme::Https][..]),
            ("127.0.0.1:5000", &[Scheme::Http, Scheme::Https]),
            ("r.lan", &[Scheme::Https, Scheme::Http]),
            ("r.lan:5000", &[Scheme::Https, Scheme::Http]),
            ("s.lan:5000", &[Scheme::Https, Scheme::Http]),
            ("s.lan:5001", &[Scheme::Https]),
            ("10.1.2.3:5000", &[Scheme::Https, Scheme::Http]),
            ("11.1.2.3:5000", &[Scheme::Https]),
        ] {
            assert_eq!(registries.schemes(&own_host(host)), schemes, "{host}");
        }
        assert_eq!(registries.schemes(&mirror("http://m.lan/")), [Scheme::Http]);
        assert_eq!(registries.schemes(&mirror("https://m.lan")), [Scheme::Https]);
    }
}
