//! What others may see of the engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::{Agreed, ContainerId, NetworkTable, Observed, StackStatus, Timestamp};

/// The latest pass, as one value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct View {
    /// What is agreed.
    pub agreed: Arc<Agreed>,
    /// What was observed.
    pub observed: Observed,
    /// The network in force.
    pub network: NetworkTable,
    /// How each stack is doing, by name.
    pub stacks: BTreeMap<String, StackStatus>,
    /// When it was made: durations in it have grown by what has passed since.
    pub made: Moment,
    /// What the host would not do, for people: `cannot publish port 80: taken by nginx (pid 812)`.
    pub problems: Vec<Problem>,
}

/// Something that the host would not do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The stack it belongs to; empty when it is the instance's own.
    pub stack: String,
    /// The service, if it belongs to one.
    pub service: Option<String>,
    /// What and why, as a sentence.
    pub message: String,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, for people.
    pub time: Timestamp,
    /// What, in docker's words: `create`, `start`, `die`, `oom`, `health_status: healthy`, `kill`,
    /// `stop`, `destroy`, `restart`, `up`, `down`, `scale`, …
    pub action: String,
    /// The stack.
    pub stack: String,
    /// The service, if it is about one.
    pub service: Option<String>,
    /// The container, if it is about one.
    pub container: Option<ContainerId>,
    /// More: `exitCode`, `name`, `image`, `signal`, …
    pub attributes: BTreeMap<String, String>,
}

/// When a view was made. All moments are equal: a view that differs from another only in when it was
/// made does not differ.
#[derive(Debug, Clone, Copy)]
pub struct Moment(tokio::time::Instant);

impl Moment {
    /// How long ago it was.
    pub fn elapsed(self) -> std::time::Duration {
        self.0.elapsed()
    }
}

impl Default for Moment {
    /// Now.
    fn default() -> Self {
        Self(tokio::time::Instant::now())
    }
}

impl PartialEq for Moment {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
