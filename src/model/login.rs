//! Who a user is at which registry.

use std::collections::BTreeMap;
use std::fmt;

/// Who we are at a registry.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A user name and a password (or an access token in its place).
    Password {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// A token that is exchanged for others (`identitytoken`).
    Identity(String),
}

impl fmt::Debug for Credentials {
    /// Says nothing that is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { user, .. } => write!(f, "Password({user})"),
            Self::Identity(_) => f.write_str("Identity"),
        }
    }
}

/// Who we are at which registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Logins {
    known: BTreeMap<String, Credentials>,
    helpers: BTreeMap<String, String>,
}

impl Logins {
    /// Remembers who we are at a registry.
    pub fn add(&mut self, registry: &str, credentials: Credentials) {
        self.known.insert(registry_host(registry), credentials);
    }

    /// Remembers which program of the host would know who we are at a registry; `*` is for all. Orca
    /// runs no program of the host: it is only named in messages.
    pub fn add_helper(&mut self, registry: &str, program: &str) {
        self.helpers.insert(registry_host(registry), program.to_owned());
    }

    /// Who we are at a registry.
    pub fn get(&self, registry: &str) -> Option<&Credentials> {
        self.known.get(&registry_host(registry))
    }

    /// The program that would know.
    pub fn helper(&self, registry: &str) -> Option<&str> {
        let named = self.helpers.get(&registry_host(registry)).or_else(|| self.helpers.get("*"));
        named.map(String::as_str)
    }

    /// All that is known, by registry.
    pub fn known(&self) -> &BTreeMap<String, Credentials> {
        &self.known
    }

    /// All programs that are named, by registry.
    pub fn helpers(&self) -> &BTreeMap<String, String> {
        &self.helpers
    }
}

/// Where images without a registry in their name come from.
pub const DEFAULT_REGISTRY: &str = "docker.io";

/// The host of a registry, which docker's configuration writes in several ways: as an address, and
/// its own under several names.
pub fn registry_host(text: &str) -> String {
    let plain = text.trim_start_matches("https://").trim_start_matches("http://");
    let host = plain.split('/').next().unwrap_or_default();
    match host {
        "index.docker.io" | "registry-1.docker.io" => DEFAULT_REGISTRY.to_owned(),
        other => other.to_owned(),
    }
}
