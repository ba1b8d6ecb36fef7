//! What is there after an `up`.

use std::collections::{BTreeMap, BTreeSet};

use super::format;
use crate::model::{StackStatus, TaskState, TaskStatus};

/// `shop is up: 2 services, 3 containers`, and a line for each service with published ports.
pub(super) fn lines(status: &StackStatus) -> Vec<String> {
    let lasting = |task: &&TaskStatus| task.wanted && task.one_off.is_none();
    let containers = status.tasks.iter().filter(lasting).count();
    let services = status.services.values().filter(|service| service.one_off.is_none()).count();
    let mut lines = vec![format!(
        "{} is up: {}, {}",
        status.name,
        counted(services, "service"),
        counted(containers, "container")
    )];
    let ports = ports(status);
    let width = ports.keys().map(|name| name.chars().count()).max().unwrap_or(0);
    for (service, ports) in ports {
        let ports: Vec<_> = ports.into_iter().collect();
        lines.push(format!("  {service:width$}  {}", ports.join(", ")));
    }
    lines.extend(notes(status));
    lines
}

/// The published ports of each service that has some.
fn ports(status: &StackStatus) -> BTreeMap<&str, BTreeSet<String>> {
    let mut ports: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for task in status.tasks.iter().filter(|task| task.wanted) {
        for publisher in format::publishers(task) {
            // The second half of "every address" says nothing new.
            if publisher.url != "::" {
                let port = format::ports(&[publisher]);
                ports.entry(&task.service).or_default().insert(port);
            }
        }
    }
    ports
}

/// What is not running, and is meant not to.
fn notes(status: &StackStatus) -> Vec<String> {
    let stopped = status.services.iter().filter(|(_, service)| service.stopped);
    let stopped: Vec<_> = stopped.map(|(name, _)| name.as_str()).collect();
    let over = |task: &&TaskStatus| task.state == TaskState::Completed && task.one_off.is_none();
    let completed = status.tasks.iter().filter(over);
    let completed: BTreeSet<_> = completed.map(|task| task.service.as_str()).collect();
    let mut notes = Vec::new();
    if !completed.is_empty() {
        let names: Vec<_> = completed.into_iter().collect();
        notes.push(format!("  completed: {}", names.join(", ")));
    }
    if !stopped.is_empty() {
        notes.push(format!("  stopped: {} (`orca start` starts them)", stopped.join(", ")));
    }
    notes
}

fn counted(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

#[cfg(test)]
mod tests;
