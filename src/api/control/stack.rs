//! Calls about stacks.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::Project;

/// A stack is to be as the project says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Apply {
    /// The whole project: when a caller named only some services, the server has already put the
    /// agreed form of the others in.
    pub project: Project,
    /// Services whose containers are replaced although nothing changed (`--force-recreate`).
    pub recreate: Vec<String>,
    /// Services that are to run although a user stopped them. Others of the stack that are stopped
    /// stay so; services that are new to the stack run in any case.
    pub start: Vec<String>,
    /// Services that are new to the stack and are not to run until a user starts them.
    pub hold: Vec<String>,
    /// How long replaced programs have to end, instead of what their services say.
    pub grace: Option<Duration>,
}

/// A stack was accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// The stack's generation now.
    pub generation: u64,
    /// Whether anything changed.
    pub changed: bool,
    /// What the user should know, as sentences.
    pub warnings: Vec<String>,
}

/// What an [`Apply`] would lead to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preview {
    /// One line for each decision and step, in order, as they would be logged. Empty when there is
    /// nothing to do.
    pub steps: Vec<String>,
    /// What the user should know, as sentences.
    pub warnings: Vec<String>,
}

/// A stack is to go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remove {
    /// The stack.
    pub stack: String,
    /// Its named volumes go too.
    pub volumes: bool,
    /// How long programs have to end, instead of what their services say.
    pub grace: Option<Duration>,
}

/// Services are to have this many containers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scale {
    /// The stack.
    pub stack: String,
    /// How many, by service.
    pub replicas: BTreeMap<String, u32>,
}

/// Services of a stack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Services {
    /// The stack.
    pub stack: String,
    /// The services.
    pub services: Vec<String>,
    /// How long programs have to end, instead of what their services say.
    pub grace: Option<Duration>,
    /// When they are stopped: whether what is left of their containers goes too.
    pub remove: bool,
}
