//! How registries are reached, and who is told of progress.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::auth::Shown;
use super::credentials::{Credentials, Logins};
use super::session::{Place, Session};
use super::trouble::Patience;
use super::url::Scheme;
use crate::image::error::Result;
use crate::image::reference::Reference;
use crate::model::Digest;

/// How registries are reached.
#[derive(Debug, Clone, Default)]
pub struct Registries {
    /// Registries (`host` or `host:port`) that are spoken to without encryption. Those on the
    /// loopback address always are.
    pub insecure: BTreeSet<String>,
    /// Hosts that are asked first instead of a registry, in order.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// Who we are there.
    pub logins: Logins,
    /// How long to wait for what.
    pub timeouts: Timeouts,
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

impl Registries {
    /// Asks a registry whether it accepts `credentials`.
    ///
    /// # Errors
    /// If it does not, or cannot be reached.
    pub fn check_login(&self, registry: &str, credentials: &Credentials) -> Result<()> {
        let mut registries = self.clone();
        registries.logins.add(registry, credentials.clone());
        let place = Place {
            registries: &registries,
            registry: registry.to_owned(),
            host: host(registry),
            repository: String::new(),
            actions: "",
            shown: Shown::default(),
        };
        let session = Session::open(&place)?;
        Patience::new(self.timeouts).retry(&Silent, || session.enter())
    }

    /// The hosts to ask for an image, in order: the mirrors, then the registry itself.
    pub(super) fn hosts(&self, reference: &Reference) -> Vec<String> {
        let mirrors = self.mirrors.get(&reference.registry).cloned().unwrap_or_default();
        mirrors.into_iter().chain([host(&reference.registry)]).collect()
    }

    /// How to speak to a host.
    pub(super) fn scheme(&self, host: &str) -> Scheme {
        let plain = self.insecure.contains(host) || is_loopback(host);
        if plain { Scheme::Http } else { Scheme::Https }
    }
}

/// The host of a registry: docker's is not where its name says.
fn host(registry: &str) -> String {
    match registry {
        Reference::DEFAULT_REGISTRY => "registry-1.docker.io".to_owned(),
        other => other.to_owned(),
    }
}

/// Whether `host` (with or without a port) is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost"
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// What a transfer is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// These layers (with their sizes in bytes) make up the image.
    Layers(Vec<(Digest, u64)>),
    /// A layer is there already.
    Exists(Digest),
    /// So many bytes of a layer have come or gone.
    Moved {
        /// The layer.
        layer: Digest,
        /// Bytes so far.
        done: u64,
    },
    /// A layer has come or gone as a whole.
    Done(Digest),
    /// Something failed and is tried again.
    Retry {
        /// What happened.
        reason: String,
        /// When, from now.
        wait: Duration,
    },
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
