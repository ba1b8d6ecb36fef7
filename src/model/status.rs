//! How stacks are doing, as people and programs ask for it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::{AttemptId, ContainerId, Health, Publication, TaskId, Timestamp};

/// How a stack is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StackStatus {
    /// Its name.
    pub name: String,
    /// The compose files it came from.
    pub files: Vec<String>,
    /// Counts up with each `up`.
    pub generation: u64,
    /// Whether everything is as wanted: each service has its replicas, up, healthy where there is a
    /// check, or completed where it is a job; nothing else is left.
    pub converged: bool,
    /// Why it will not converge without help, if so: `service web: exited with status 1`.
    pub failed: Option<String>,
    /// Whether it is being taken down.
    pub removing: bool,
    /// Its services, by name.
    pub services: BTreeMap<String, ServiceStatus>,
    /// Its tasks, ordered by service and slot.
    pub tasks: Vec<TaskStatus>,
}

/// How a service is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceStatus {
    /// The image reference.
    pub image: String,
    /// How many are wanted.
    pub wanted: u32,
    /// How many are up (and healthy, where there is a check), or have completed.
    pub available: u32,
    /// Whether a user has stopped it.
    pub stopped: bool,
    /// What it waits for, if it does: `waiting for db to be healthy`.
    pub waiting: Option<String>,
    /// Why it will not be as wanted without help, if so.
    pub failed: Option<String>,
    /// For a container that runs one program: the service it was made from.
    pub one_off: Option<String>,
}

/// Where a task is in its life, in the words that docker and compose use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// Waits for something: see [`TaskStatus::reason`].
    #[default]
    Pending,
    /// Its program is being started.
    Starting,
    /// Its program runs.
    Running,
    /// Frozen.
    Paused,
    /// Waits for its next attempt.
    Restarting,
    /// Has been asked to end.
    Stopping,
    /// Ended with status 0, for good.
    Completed,
    /// Ended otherwise, for good.
    Failed,
}

/// How a task is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskStatus {
    /// The task.
    pub task: TaskId,
    /// The current attempt.
    pub attempt: Option<AttemptId>,
    /// Its container.
    pub container: Option<ContainerId>,
    /// The container's name, such as `shop-web-1`.
    pub name: String,
    /// The stack.
    pub stack: String,
    /// The service.
    pub service: String,
    /// The slot, from 1.
    pub slot: u32,
    /// The revision's hash.
    pub revision: String,
    /// The image reference.
    pub image: String,
    /// Program and arguments, as one line.
    pub command: String,
    /// Where it is in its life.
    pub state: TaskState,
    /// What its check says.
    pub health: Health,
    /// Why it waits, restarts or failed, for people.
    pub reason: Option<String>,
    /// The last exit status, if it ever ended.
    pub exit_code: Option<i32>,
    /// Whether that end was for lack of memory.
    pub oom: bool,
    /// How often it was restarted.
    pub restarts: u32,
    /// The process in the host's view.
    pub pid: Option<u32>,
    /// When the task was made.
    pub created: Timestamp,
    /// For how long its program has run.
    pub running_for: Option<std::time::Duration>,
    /// Its addresses, by network.
    pub addresses: BTreeMap<String, Ipv4Addr>,
    /// The published ports that lead to it.
    pub publications: Vec<Publication>,
    /// Whether it is the one that is wanted, not an old one on its way out.
    pub wanted: bool,
    /// The container's labels.
    pub labels: BTreeMap<String, String>,
    /// For a container that runs one program: the service it was made from.
    pub one_off: Option<String>,
    /// Why its containers have the users of the host; `None` if they have users of their own.
    pub host_users: Option<String>,
}
