//! Images as a container needs them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{BadId, HealthCheck};

/// A content digest, such as `sha256:6c3c…`. Only sha256 is used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Digest(String);

impl Digest {
    /// The digest whose sha256 is `hex`, 64 lower-case digits.
    pub fn sha256(hex: &str) -> Result<Self, BadId> {
        format!("sha256:{hex}").parse()
    }

    /// The 64 hexadecimal digits.
    pub fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }

    /// The digest as text, with its algorithm.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Digest {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        match text.strip_prefix("sha256:") {
            Some(hex) if hex.len() == 64 && hex.chars().all(digit) => Ok(Self(text.to_owned())),
            _ => Err(BadId(text.to_owned())),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An image that a service was resolved to: the digest of its configuration, and what that says of
/// the process to run. Pinned when a stack is applied, so that a tag that moves later changes nothing
/// that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedImage {
    /// The digest of the image's configuration.
    pub id: Digest,
    /// What its registry calls it: the digest that its name stood for when it was pulled. `None` if it
    /// did not come from one.
    #[serde(default)]
    pub digest: Option<Digest>,
    /// What the configuration says.
    pub config: ImageConfig,
}

/// The part of an image's configuration that a container starts from.
/// <https://github.com/opencontainers/image-spec/blob/main/config.md>
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageConfig {
    /// `KEY=VALUE`, in the image's order.
    pub env: Vec<String>,
    /// The program and its first arguments.
    pub entrypoint: Vec<String>,
    /// The default arguments.
    pub cmd: Vec<String>,
    /// The directory the program starts in; empty means `/`.
    pub working_dir: String,
    /// `user[:group]`, by name or number; empty means root.
    pub user: String,
    /// The signal that asks the program to end, such as `SIGQUIT`; empty means SIGTERM.
    pub stop_signal: String,
    /// `port/protocol`, for information.
    pub exposed_ports: Vec<String>,
    /// Directories that get an anonymous volume.
    pub volumes: Vec<String>,
    /// The image's labels.
    pub labels: BTreeMap<String, String>,
    /// The image's own health check (a Docker extension).
    pub healthcheck: Option<HealthCheck>,
}
