//! What was agreed: the stacks a user applied, and the decisions the planner made. This is what the
//! store keeps; what runs is never written here, it is read back from the host.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use super::{
    AttemptId, BootId, Boottime, ContainerId, Deadline, Exit, PinnedImage, Project, Protocol,
    TaskId, Timestamp, UserPool,
};

/// All that the store holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Agreed {
    /// A random text made with the store: ids of containers depend on it.
    pub identity: String,
    /// The id of the next task.
    pub next_task: u64,
    /// The stacks, by name.
    pub stacks: BTreeMap<String, Stack>,
    /// The tasks, of all stacks.
    pub tasks: BTreeMap<TaskId, Task>,
    /// The networks that have addresses, by their name in the instance.
    pub networks: BTreeMap<String, AgreedNetwork>,
    /// The host ports that orca chose, for ports with no fixed one: (stack, service, slot, target
    /// port, protocol) to port.
    pub chosen_ports: Vec<ChosenPort>,
    /// Whether everything rests: containers are stopped until the daemon starts again
    /// (`system stop --containers`).
    pub suspended: bool,
    /// The boot in which it was last taken up.
    pub boot: BootId,
    /// Which users of the host are given to stacks to come.
    pub users: UserPool,
}

/// A stack as a user applied it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stack {
    /// What is wanted.
    pub project: Project,
    /// The images that its services resolved to, by reference as written (also those of image
    /// volumes).
    pub images: BTreeMap<String, PinnedImage>,
    /// Counts up with each `up`.
    pub generation: u64,
    /// The first number of the host's users that its containers have
    /// ([`IdMaps::given`](super::IdMaps::given)). Set by the store when the stack comes, and kept until
    /// it goes.
    pub users: Option<u32>,
    /// When it was applied.
    pub applied_at: Timestamp,
    /// The template hash of each service (see `plan::revision`), by service.
    pub revisions: BTreeMap<String, String>,
    /// Services a user has stopped: they stay down until started.
    pub stopped: std::collections::BTreeSet<String>,
    /// Counts up when a user asks for a restart of the service: part of what a task must match.
    pub nonces: BTreeMap<String, u64>,
    /// Set by `down`: everything goes, then the stack itself.
    pub removing: Option<Removal>,
}

/// What `down` takes along.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Removal {
    /// Named volumes too.
    pub volumes: bool,
}

/// Whether a task is to run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Want {
    /// It is to run.
    #[default]
    Run,
    /// It is to end, and then to go. Never changes back.
    Stop,
}

/// One slot of a service at one revision. It owns the sandbox (namespace, addresses, names); its
/// containers come and go in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Task {
    /// The stack.
    pub stack: String,
    /// The service.
    pub service: String,
    /// Counts from 1.
    pub slot: u32,
    /// The revision's hash; with the restart nonce, what it must match to stay.
    pub revision: String,
    /// The restart nonce it was made for.
    pub nonce: u64,
    /// Whether it is to run.
    pub want: Want,
    /// The current attempt's number; 0 before the first.
    pub attempt: u32,
    /// Failures in a row.
    pub fails: u32,
    /// The next attempt does not start before this.
    pub not_before: Option<Deadline>,
    /// How it ended for good: no further attempt will be made.
    pub outcome: Option<Outcome>,
    /// How the attempt before the current one ended, for people.
    pub last_exit: Option<Exit>,
    /// How often it was restarted, for people.
    pub restarts: u32,
    /// Its addresses, by the network's name in the instance.
    pub addresses: BTreeMap<String, TaskAddress>,
    /// When it was made.
    pub created: Timestamp,
    /// The signal that asks its program to end: kept here because the service may have changed, or
    /// be gone, by the time the task has to stop. Empty is SIGTERM.
    pub stop_signal: String,
    /// How long its program has to end.
    pub stop_grace: std::time::Duration,
}

/// A task's address in a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskAddress {
    /// IPv4.
    pub v4: Ipv4Addr,
    /// IPv6, when the network has it.
    pub v6: Option<Ipv6Addr>,
}

/// How a task ended for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// With exit status 0, and its policy asks for no restart.
    Completed(Exit),
    /// Otherwise, and its policy asks for no (further) restart.
    Failed(Exit),
}

/// A network that has addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgreedNetwork {
    /// The stack that made it, and the network's key there.
    pub stack: String,
    /// The key in the project.
    pub key: String,
    /// Its addresses.
    pub subnet: Ipv4Net,
    /// The bridge's address.
    pub gateway: Ipv4Addr,
    /// The IPv6 addresses and gateway.
    pub subnet6: Option<(Ipv6Net, Ipv6Addr)>,
    /// The address given out last: the next search starts behind it, so that an address is not used
    /// again at once.
    pub last: Ipv4Addr,
}

/// A host port that orca chose.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ChosenPort {
    /// The stack.
    pub stack: String,
    /// The service.
    pub service: String,
    /// The port in the container.
    pub target: u16,
    /// The protocol.
    pub protocol: Protocol,
    /// The port on the host.
    pub host_port: u16,
}

/// One change of what is agreed. Applying the same commands in the same order gives the same state:
/// everything that is chosen (ids, times, addresses) is in the command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// A user applied a stack (`up`). The stack's `generation` is set by the store.
    ApplyStack(Box<Stack>),
    /// A user takes a stack down.
    RemoveStack {
        /// Its name.
        stack: String,
        /// What goes too.
        removal: Removal,
    },
    /// A user changes how many containers a service has.
    Scale {
        /// The stack.
        stack: String,
        /// The service.
        service: String,
        /// How many.
        replicas: u32,
    },
    /// A user stops services.
    StopServices {
        /// The stack.
        stack: String,
        /// The services.
        services: Vec<String>,
        /// Whether what is left of their containers goes too.
        #[serde(default)]
        remove: bool,
    },
    /// A user starts stopped services. Tasks that ended for good are made anew.
    StartServices {
        /// The stack.
        stack: String,
        /// The services.
        services: Vec<String>,
    },
    /// A user restarts services: their tasks are replaced.
    RestartServices {
        /// The stack.
        stack: String,
        /// The services.
        services: Vec<String>,
    },
    /// A user removes containers that were made to run one program.
    DropOneOffs {
        /// The stack.
        stack: String,
        /// Their services.
        services: Vec<String>,
    },
    /// A user stops everything until the daemon starts again (true), or it has started again (false).
    Suspend(bool),
    /// The daemon goes on in another boot: `restart: always` starts also what a user had stopped.
    Boot(BootId),
    /// The daemon found other users of the host free to be given out than before.
    GiveUsers(UserPool),
    /// What the planner decided: one group, all or nothing.
    Decide(Vec<Decision>),
}

/// One thing that the planner decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// A network gets its addresses.
    AddNetwork {
        /// Its name in the instance.
        name: String,
        /// Its addresses.
        network: AgreedNetwork,
    },
    /// A network is not needed any more.
    DropNetwork {
        /// Its name in the instance.
        name: String,
    },
    /// A host port is chosen.
    ChoosePort(ChosenPort),
    /// A chosen port is not needed any more.
    DropPort(ChosenPort),
    /// A task is made. Its id is the state's `next_task` or a later one; `next_task` then goes on
    /// behind it.
    CreateTask {
        /// The id.
        id: TaskId,
        /// The task.
        task: Box<Task>,
    },
    /// A task is to end.
    StopTask {
        /// The task.
        task: TaskId,
    },
    /// The next container of a task may start, from `not_before` on.
    NextAttempt {
        /// The new attempt; its number is one more than the task's.
        attempt: AttemptId,
        /// Failures in a row.
        fails: u32,
        /// Not before this.
        not_before: Option<Deadline>,
        /// How the last one ended, if there was one.
        last_exit: Option<Exit>,
    },
    /// A task has run well: its failures are forgotten.
    ResetFails {
        /// The task.
        task: TaskId,
    },
    /// A task ended for good.
    Finish {
        /// The task.
        task: TaskId,
        /// How.
        outcome: Outcome,
    },
    /// Nothing of a task is left.
    ReapTask {
        /// The task.
        task: TaskId,
    },
    /// A container that was to run one program has done so, and leaves nothing.
    DropOneOff {
        /// The stack.
        stack: String,
        /// Its service.
        service: String,
    },
    /// Nothing of a stack is left.
    DropStack {
        /// The stack.
        stack: String,
    },
}

impl Agreed {
    /// The id of an attempt's container.
    pub fn container_id(&self, attempt: AttemptId) -> ContainerId {
        ContainerId::of(&self.identity, attempt)
    }

    /// The tasks of a service, by id.
    pub fn tasks_of<'a>(
        &'a self,
        stack: &'a str,
        service: &'a str,
    ) -> impl Iterator<Item = (TaskId, &'a Task)> {
        let of = move |task: &Task| task.stack == stack && task.service == service;
        self.tasks.iter().filter(move |(_, task)| of(task)).map(|(id, task)| (*id, task))
    }
}

impl Task {
    /// The current attempt, once there is one.
    pub fn current(&self, id: TaskId) -> Option<AttemptId> {
        (self.attempt > 0).then_some(AttemptId { task: id, number: self.attempt })
    }

    /// Whether the next attempt has to wait at `now`.
    pub fn backing_off(&self, boot: &super::BootId, now: Boottime) -> bool {
        self.not_before.as_ref().is_some_and(|deadline| deadline.left(boot, now).is_some())
    }
}
