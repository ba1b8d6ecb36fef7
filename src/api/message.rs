//! What client and server say to each other, in plain values, where the words of [`control`] and
//! the model do not say it already.
//!
//! [`control`]: super::control

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::{Ipv4Net, Ipv6Net};

use super::control::{Info, LogLine, LogOptions, Process, Usage};
pub use crate::engine::{Event, Problem};
use crate::model::Timestamp;

/// A part of the past, or of what is to come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Period {
    /// From this time on; from now on if there is none.
    pub since: Option<Timestamp>,
    /// Before this time; for ever if there is none.
    pub until: Option<Timestamp>,
}
use crate::model::{Project, StackStatus};

/// The version of the interface: a client works with a daemon of the same number.
pub const API_VERSION: u32 = 1;

/// A stack is to be as a project says, or a part of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Up {
    /// What is wanted.
    pub project: Project,
    /// Only these services and what they depend on; empty is all.
    pub services: Vec<String>,
    /// Not even what they depend on.
    pub no_deps: bool,
    /// Which containers are replaced.
    pub recreate: Recreate,
    /// Services that are new to the stack are left stopped, and what is stopped stays so.
    pub no_start: bool,
    /// How long replaced programs have to end, instead of what their services say.
    pub grace: Option<Duration>,
}

/// Which containers an `up` replaces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Recreate {
    /// Those whose service changed.
    #[default]
    Changed,
    /// All.
    Always,
    /// None: services that are there stay as they are.
    Never,
}

impl Recreate {
    /// What `--force-recreate` and `--no-recreate` mean; the first wins.
    pub fn from_flags(force: bool, never: bool) -> Self {
        match (force, never) {
            (true, _) => Self::Always,
            (false, true) => Self::Never,
            (false, false) => Self::Changed,
        }
    }
}

/// Containers of one stack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// The stack.
    pub stack: String,
    /// Services, containers by name, or the beginning of a container's id; empty is all.
    pub names: Vec<String>,
    /// Only this slot of the services, from 1.
    pub index: Option<u32>,
}

/// How a stack is doing, and what the host would not do for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StackReport {
    /// How it is doing.
    pub status: StackStatus,
    /// What the host would not do.
    pub problems: Vec<Problem>,
}

/// Whose log, and which part of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogRequest {
    /// Whose.
    pub target: Target,
    /// Which part.
    pub options: LogOptions,
}

/// One line of a log, and whose it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogEntry {
    /// The stack.
    pub stack: String,
    /// The service.
    pub service: String,
    /// The slot, from 1.
    pub slot: u32,
    /// The container's name.
    pub container: String,
    /// The line.
    pub line: LogLine,
}

/// What a container uses, and which it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerUsage {
    /// The container's id.
    pub container: String,
    /// Its name.
    pub name: String,
    /// The stack.
    pub stack: String,
    /// The service.
    pub service: String,
    /// What it uses.
    pub usage: Usage,
}

/// The processes of a container, and which it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerProcesses {
    /// Its name.
    pub name: String,
    /// The service.
    pub service: String,
    /// Its processes.
    pub processes: Vec<Process>,
}

/// A network that has addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSummary {
    /// Its name in the instance, such as `shop_default`.
    pub name: String,
    /// The stack that made it.
    pub stack: String,
    /// Its key in the project.
    pub key: String,
    /// Its addresses.
    pub subnet: Ipv4Net,
    /// The bridge's address.
    pub gateway: Ipv4Addr,
    /// The IPv6 addresses and gateway.
    pub subnet6: Option<(Ipv6Net, Ipv6Addr)>,
    /// Whether it has no way out.
    pub internal: bool,
    /// The addresses in it, by container name.
    pub containers: BTreeMap<String, Ipv4Addr>,
}

/// A daemon's version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Version {
    /// Of the program.
    pub version: String,
    /// Of the interface.
    pub api: u32,
}

/// What a daemon and its host are, and what it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemInfo {
    /// Its version.
    pub version: String,
    /// What it says of itself.
    pub info: Info,
    /// How many stacks it has.
    pub stacks: u32,
    /// How many containers there are.
    pub containers: u32,
    /// How many of them run.
    pub running: u32,
}
