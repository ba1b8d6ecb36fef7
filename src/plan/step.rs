//! What a plan is made of.

use std::time::Duration;

use crate::model::{
    AttemptId, Boottime, Container, ContainerId, Decision, HealthCheck, NetworkTable, Sandbox,
    TaskId, Volume,
};

/// What to do next. Decisions come first: while there are any, they are committed and the plan is
/// made again, and only a plan without decisions has its steps carried out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// Groups of decisions; each group is one entry of the log.
    pub decisions: Vec<Vec<Decision>>,
    /// Steps that may all run at the same time: a step that has to wait for another one is not in the
    /// plan yet.
    pub steps: Vec<Step>,
    /// What the network should be: put in force as a whole when it differs from what is in force.
    pub network: NetworkTable,
    /// When to look again if nothing else happens first.
    pub wake_at: Option<Boottime>,
}

/// One change to the host. Safe to repeat.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Remove a named volume and what is in it.
    RemoveVolume {
        /// Its name in the instance.
        name: String,
    },
    /// Make what is missing of the volumes and the task's sandbox, make its container and run its
    /// program.
    Start(Box<Start>),
    /// Ask a container to end; kill it after its grace.
    Stop {
        /// The container.
        attempt: AttemptId,
        /// Its id.
        id: ContainerId,
        /// The signal.
        signal: String,
        /// The grace.
        grace: Duration,
        /// Why, for events and logs.
        reason: StopReason,
    },
    /// Remove a container that has ended (a stray is killed first): its files, its record; its log
    /// stays with the task.
    Remove {
        /// The container.
        id: ContainerId,
        /// Whether its log goes too (the task is gone).
        log: bool,
    },
    /// Remove a task's sandbox and whatever else is left of the task.
    RemoveSandbox {
        /// The task.
        task: TaskId,
    },
}

/// Why a container is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// Its task is to end.
    NotWanted,
    /// Its check says unhealthy.
    Unhealthy,
    /// Nobody knows it.
    Stray,
}

/// Everything about the start of one container.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    /// Which attempt it is.
    pub attempt: AttemptId,
    /// The volumes that it mounts: each is made if it is not there, except an external one, whose
    /// absence is an error.
    pub volumes: Vec<StartVolume>,
    /// The task's sandbox; `None` when the container uses another's or the host's.
    pub sandbox: Option<Sandbox>,
    /// The container.
    pub container: Container,
    /// Why it has the users of the host, if it does.
    pub host_users: Option<String>,
    /// How to see whether it works; the engine begins probing once it runs.
    pub health: Option<HealthCheck>,
}

/// A volume that a container mounts.
#[derive(Debug, Clone, PartialEq)]
pub struct StartVolume {
    /// Its name in the instance.
    pub name: String,
    /// The stack it belongs to.
    pub stack: String,
    /// Its options; the defaults for an anonymous one.
    pub volume: Volume,
}
