//! Health checks and what they find.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How to find out whether a container is healthy. Each `None` is inherited from the image's own
/// check, else the default of the constant beside it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthCheck {
    /// What to try.
    pub test: Option<Probe>,
    /// From the end of one probe to the start of the next.
    pub interval: Option<Duration>,
    /// How long one probe may take.
    pub timeout: Option<Duration>,
    /// This many failures in a row make a container unhealthy.
    pub retries: Option<u32>,
    /// Failures in this time after the start do not count.
    pub start_period: Option<Duration>,
    /// The interval while in the start period and not yet healthy.
    pub start_interval: Option<Duration>,
    /// Whether to have no check at all, not even the image's.
    pub disable: bool,
}

impl HealthCheck {
    /// Between probes.
    pub const INTERVAL: Duration = Duration::from_secs(30);
    /// For one probe.
    pub const TIMEOUT: Duration = Duration::from_secs(30);
    /// Failures in a row.
    pub const RETRIES: u32 = 3;
    /// Between probes while starting.
    pub const START_INTERVAL: Duration = Duration::from_secs(5);

    /// This check where it says something, else `image`'s. `None` if there is nothing to try.
    pub fn over(&self, image: Option<&Self>) -> Option<Self> {
        if self.disable || self.test == Some(Probe::None) {
            return None;
        }
        let image = image.cloned().unwrap_or_default();
        let merged = Self {
            test: self.test.clone().or(image.test),
            interval: self.interval.or(image.interval),
            timeout: self.timeout.or(image.timeout),
            retries: self.retries.or(image.retries),
            start_period: self.start_period.or(image.start_period),
            start_interval: self.start_interval.or(image.start_interval),
            disable: false,
        };
        merged.test.as_ref().is_some_and(|test| *test != Probe::None).then_some(merged)
    }
}

/// One way to ask a container how it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// `["NONE"]`: no check.
    None,
    /// Run this program inside the container; exit status 0 is healthy.
    Exec(Vec<String>),
    /// Run this line with `/bin/sh -c` inside the container.
    Shell(String),
    /// Ask this URL from inside the container's network namespace; 200 to 399 is healthy.
    Http(String),
    /// Connect to this port of the container.
    Tcp(u16),
}

/// What the health check says of a running container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// There is no check.
    #[default]
    None,
    /// Not yet known.
    Starting,
    /// The last probe succeeded.
    Healthy,
    /// Too many probes failed in a row.
    Unhealthy,
}
