//! A plan as lines to read: the dry run, the log and the golden tests.

use std::fmt;

use crate::model::{Decision, Outcome, Task};

use super::depends::describe;
use super::{Plan, Start, Step, StopReason};

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for decision in self.decisions.iter().flatten() {
            writeln!(f, "{}", Line(decision))?;
        }
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        if let Some(at) = self.wake_at {
            writeln!(f, "look again at {at}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RemoveVolume { name } => write!(f, "remove volume {name}"),
            Self::Start(start) => write!(f, "{start}"),
            Self::Stop { attempt, signal, grace, reason, .. } => {
                write!(f, "stop {attempt} with {signal}, kill after {grace:?}: {reason}")
            }
            Self::Remove { id, log } => {
                let log = if *log { " and its log" } else { "" };
                write!(f, "remove container {}{log}", id.short())
            }
            Self::RemoveSandbox { task } => write!(f, "remove sandbox of {task}"),
        }
    }
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let image = self.container.image.hex();
        write!(f, "start {} as {} from {}", self.attempt, self.container.name, &image[..12])?;
        for interface in self.sandbox.iter().flat_map(|sandbox| &sandbox.interfaces) {
            write!(f, ", {} in {}", interface.address, interface.network)?;
        }
        for volume in &self.volumes {
            write!(f, ", volume {}", volume.name)?;
        }
        if let Some(why) = &self.host_users {
            write!(f, ", users of the host ({why})")?;
        }
        Ok(())
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotWanted => "not wanted any more",
            Self::Unhealthy => "unhealthy",
            Self::Stray => "nobody knows it",
        })
    }
}

/// A decision as one line.
struct Line<'a>(&'a Decision);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Decision::AddNetwork { name, network } => {
                write!(f, "decide: network {name} is {}", network.subnet)?;
                network.subnet6.map_or(Ok(()), |(subnet, _)| write!(f, " and {subnet}"))
            }
            Decision::DropNetwork { name } => write!(f, "decide: drop network {name}"),
            Decision::ChoosePort(port) => write!(
                f,
                "decide: {}/{} port {}/{} is {} on the host",
                port.stack,
                port.service,
                port.target,
                port.protocol.as_str(),
                port.host_port
            ),
            Decision::DropPort(port) => {
                write!(f, "decide: drop host port {}/{}", port.host_port, port.protocol.as_str())
            }
            Decision::CreateTask { id, task } => {
                write!(f, "decide: {id} is {}", described(task))
            }
            Decision::StopTask { task } => write!(f, "decide: {task} ends"),
            Decision::NextAttempt { attempt, fails, not_before, .. } => {
                write!(f, "decide: next is {attempt}")?;
                match (fails, not_before) {
                    (0, _) | (_, None) => Ok(()),
                    (n, Some(deadline)) => write!(f, " after failure {n}, from {} on", deadline.at),
                }
            }
            Decision::ResetFails { task } => write!(f, "decide: {task} runs well"),
            Decision::Finish { task, outcome: Outcome::Completed(_) } => {
                write!(f, "decide: {task} has completed")
            }
            Decision::Finish { task, outcome: Outcome::Failed(exit) } => {
                write!(f, "decide: {task} has failed: {}", describe(exit))
            }
            Decision::ReapTask { task } => write!(f, "decide: forget {task}"),
            Decision::DropOneOff { stack, service } => {
                write!(f, "decide: forget {stack}/{service}, which has run")
            }
            Decision::DropStack { stack } => write!(f, "decide: forget stack {stack}"),
        }
    }
}

fn described(task: &Task) -> String {
    let mut text = format!("{}/{} {}", task.stack, task.service, task.slot);
    for (network, address) in &task.addresses {
        text = format!("{text}, {} in {network}", address.v4);
    }
    text
}
