//! The configuration of an image: what its blob says, and what a container needs of it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::document::Platform;
use super::error::{Result, bad};
use super::limits::LAYERS;
use crate::model::{Digest, HealthCheck, ImageConfig, Probe};

/// The blob, as far as it matters here. Unknown fields stay in the blob, which is kept as it came.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ConfigFile {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) created: Option<String>,
    pub(crate) architecture: String,
    pub(crate) os: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) variant: Option<String>,
    pub(crate) config: Option<Process>,
    pub(crate) rootfs: RootfsIds,
    pub(crate) history: Option<Vec<HistoryEntry>>,
}

/// The layers, the bottom one first.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RootfsIds {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) diff_ids: Vec<Digest>,
}

/// How one layer, or one change of the configuration, came to be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HistoryEntry {
    /// When, as RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// By which command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// By whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// What was said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether it has no layer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

/// The process to run. Every field may be missing or `null`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Process {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exposed_ports: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    env: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entrypoint: Option<Words>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cmd: Option<Words>,
    #[serde(skip_serializing_if = "Option::is_none")]
    volumes: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    working_dir: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_signal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    healthcheck: Option<Healthcheck>,
}

/// Very old images have a single text where a list belongs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum Words {
    List(Vec<String>),
    One(String),
}

impl From<Words> for Vec<String> {
    fn from(words: Words) -> Self {
        match words {
            Words::List(list) => list,
            Words::One(one) => vec![one],
        }
    }
}

/// Docker's extension; times in nanoseconds, where 0 is "the default".
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Healthcheck {
    #[serde(skip_serializing_if = "Option::is_none")]
    test: Option<Vec<String>>,
    #[serde(skip_serializing_if = "is_zero")]
    interval: i64,
    #[serde(skip_serializing_if = "is_zero")]
    timeout: i64,
    #[serde(skip_serializing_if = "is_zero")]
    start_period: i64,
    #[serde(skip_serializing_if = "is_zero")]
    start_interval: i64,
    #[serde(skip_serializing_if = "is_zero")]
    retries: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form serde asks for")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

impl ConfigFile {
    /// The configuration of a new image with one layer.
    pub(crate) fn new(
        config: &ImageConfig,
        platform: Platform,
        layer: &Digest,
        by: HistoryEntry,
    ) -> Self {
        Self {
            created: by.created.clone(),
            architecture: platform.architecture,
            os: platform.os,
            variant: Some(platform.variant).filter(|variant| !variant.is_empty()),
            config: Some(Process::from(config)),
            rootfs: RootfsIds { kind: "layers".to_owned(), diff_ids: vec![layer.clone()] },
            history: Some(vec![by]),
        }
    }

    /// Refuses a configuration that does not fit `layers` layers.
    pub(crate) fn check(&self, image: &str, layers: usize) -> Result<()> {
        if !self.rootfs.kind.is_empty() && self.rootfs.kind != "layers" {
            return Err(bad(
                image,
                format!("root file systems of type `{}` are not supported", self.rootfs.kind),
            ));
        }
        let ids = self.rootfs.diff_ids.len();
        if ids != layers {
            return Err(bad(
                image,
                format!("it has {layers} layers, but its configuration names {ids}"),
            ));
        }
        if layers > LAYERS {
            return Err(bad(image, format!("it has more than {LAYERS} layers")));
        }
        Ok(())
    }

    pub(crate) fn platform(&self) -> Platform {
        let variant = self.variant.clone().unwrap_or_default();
        Platform { architecture: self.architecture.clone(), os: self.os.clone(), variant }
    }

    /// What a container needs.
    pub(crate) fn for_containers(&self) -> ImageConfig {
        let process = self.config.clone().unwrap_or_default();
        let keys = |map: Option<Map<String, Value>>| {
            map.unwrap_or_default().into_iter().map(|(k, _)| k).collect()
        };
        ImageConfig {
            env: process.env.unwrap_or_default(),
            entrypoint: process.entrypoint.map(Vec::from).unwrap_or_default(),
            cmd: process.cmd.map(Vec::from).unwrap_or_default(),
            working_dir: process.working_dir.unwrap_or_default(),
            user: process.user.unwrap_or_default(),
            stop_signal: process.stop_signal.unwrap_or_default(),
            exposed_ports: keys(process.exposed_ports),
            volumes: keys(process.volumes),
            labels: process.labels.unwrap_or_default(),
            healthcheck: process.healthcheck.and_then(Healthcheck::for_containers),
        }
    }
}

impl From<&ImageConfig> for Process {
    fn from(config: &ImageConfig) -> Self {
        let text = |text: &String| (!text.is_empty()).then(|| text.clone());
        let list = |list: &Vec<String>| (!list.is_empty()).then(|| list.clone());
        let set = |list: &Vec<String>| {
            let empty = || Value::Object(Map::new());
            (!list.is_empty()).then(|| list.iter().map(|key| (key.clone(), empty())).collect())
        };
        Self {
            user: text(&config.user),
            exposed_ports: set(&config.exposed_ports),
            env: list(&config.env),
            entrypoint: list(&config.entrypoint).map(Words::List),
            cmd: list(&config.cmd).map(Words::List),
            volumes: set(&config.volumes),
            working_dir: text(&config.working_dir),
            labels: (!config.labels.is_empty()).then(|| config.labels.clone()),
            stop_signal: text(&config.stop_signal),
            healthcheck: config.healthcheck.as_ref().map(Healthcheck::from),
        }
    }
}

impl Healthcheck {
    fn for_containers(self) -> Option<HealthCheck> {
        let test = self.test.unwrap_or_default();
        let test = match test.split_first() {
            None => None,
            Some((word, _)) if word == "NONE" => Some(Probe::None),
            Some((word, args)) if word == "CMD" && !args.is_empty() => {
                Some(Probe::Exec(args.to_vec()))
            }
            Some((word, args)) if word == "CMD-SHELL" && !args.is_empty() => {
                Some(Probe::Shell(args.join(" ")))
            }
            Some((word, [url])) if word == "HTTP" => Some(Probe::Http(url.clone())),
            Some((word, [port])) if word == "TCP" => Some(Probe::Tcp(port.parse().ok()?)),
            // Docker runs the container without a check, too.
            Some(_) => return None,
        };
        let time =
            |nanos: i64| u64::try_from(nanos).ok().filter(|n| *n > 0).map(Duration::from_nanos);
        Some(HealthCheck {
            disable: test == Some(Probe::None),
            test,
            interval: time(self.interval),
            timeout: time(self.timeout),
            retries: u32::try_from(self.retries).ok().filter(|n| *n > 0),
            start_period: time(self.start_period),
            start_interval: time(self.start_interval),
        })
    }
}

impl From<&HealthCheck> for Healthcheck {
    fn from(check: &HealthCheck) -> Self {
        let nanos = |time: Option<Duration>| {
            time.map_or(0, |time| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX))
        };
        let words = |first: &str, rest: &[String]| {
            Some([first.to_owned()].into_iter().chain(rest.iter().cloned()).collect())
        };
        let test = match &check.test {
            _ if check.disable => words("NONE", &[]),
            Some(Probe::None) => words("NONE", &[]),
            Some(Probe::Exec(args)) => words("CMD", args),
            Some(Probe::Shell(line)) => words("CMD-SHELL", std::slice::from_ref(line)),
            // Docker logs that it does not know these, and runs the container without a check.
            Some(Probe::Http(url)) => words("HTTP", std::slice::from_ref(url)),
            Some(Probe::Tcp(port)) => words("TCP", &[port.to_string()]),
            None => None,
        };
        Self {
            test,
            interval: nanos(check.interval),
            timeout: nanos(check.timeout),
            start_period: nanos(check.start_period),
            start_interval: nanos(check.start_interval),
            retries: check.retries.map_or(0, i64::from),
        }
    }
}
