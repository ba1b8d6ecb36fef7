//! What a host has: read back from it, never written down.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{AttemptId, Boottime, ContainerId, Health, Protocol, TaskId};

/// What the engine saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// The containers that carry this instance's labels, by attempt.
    pub containers: BTreeMap<AttemptId, ObservedContainer>,
    /// Containers of this instance whose labels say no attempt: to be removed.
    pub strays: BTreeSet<ContainerId>,
    /// The sandboxes that exist.
    pub sandboxes: BTreeSet<TaskId>,
    /// The volumes that exist, by their full name.
    pub volumes: BTreeSet<String>,
    /// The host's on-link routes and name servers: no network of ours may overlap them.
    pub on_link: Vec<IpNet>,
    /// Ports of the host that orca could not get: who has it, as far as it can be seen.
    pub taken_ports: BTreeMap<(Protocol, u16), String>,
}

/// One container as last seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedContainer {
    /// Its id.
    pub id: ContainerId,
    /// Where it is in its life.
    pub phase: Phase,
    /// The operation that the engine has begun and not finished. It occupies the slot like a
    /// container that runs.
    pub busy: bool,
}

/// Where a container is in its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Asked for; the program does not run yet.
    Creating,
    /// The program runs.
    Running {
        /// Since when.
        since: Boottime,
        /// The process in the host's view.
        pid: u32,
        /// What its check says.
        health: Health,
        /// Since when it says so.
        health_since: Boottime,
        /// Whether it has been asked to end.
        stopping: bool,
        /// Whether it is frozen.
        paused: bool,
    },
    /// The program has ended, or could not be started.
    Exited(Exit),
}

/// How a container ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Exit {
    /// The exit status as a shell shows it: 128 + n for signal n; 127 or 126 when the program could
    /// not be run, 255 when nobody saw it.
    pub code: i32,
    /// Whether the kernel killed it for lack of memory.
    pub oom: bool,
    /// Why the program could not be started at all.
    pub error: Option<String>,
    /// When it ended.
    pub at: Boottime,
    /// How long it ran.
    pub ran: std::time::Duration,
    /// Whether it was stopped because its check said unhealthy.
    pub unhealthy: bool,
    /// Whether it was ever healthy.
    pub was_healthy: bool,
}
