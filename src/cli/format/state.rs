//! How a task is, in words.

use super::duration::human;
use crate::model::{Health, TaskState, TaskStatus};

/// The one of docker's words for the state of a container that fits best.
pub(crate) fn docker_state(state: TaskState) -> &'static str {
    match state {
        TaskState::Pending | TaskState::Starting => "created",
        TaskState::Running | TaskState::Stopping => "running",
        TaskState::Paused => "paused",
        TaskState::Restarting => "restarting",
        TaskState::Completed | TaskState::Failed => "exited",
    }
}

/// orca's own word.
pub(crate) fn phase(state: TaskState) -> &'static str {
    match state {
        TaskState::Pending => "pending",
        TaskState::Starting => "starting",
        TaskState::Running => "running",
        TaskState::Paused => "paused",
        TaskState::Restarting => "restarting",
        TaskState::Stopping => "stopping",
        TaskState::Completed => "completed",
        TaskState::Failed => "failed",
    }
}

/// The column STATUS: `Up 2 minutes (healthy)`, `Exited (1)`.
pub(crate) fn status(task: &TaskStatus) -> String {
    let code = task.exit_code.map(|code| format!(" ({code})")).unwrap_or_default();
    let why = task.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    // The reason of an end in words adds nothing where the status says it.
    let plain = task.reason.as_deref().is_some_and(|reason| {
        task.exit_code.is_some_and(|code| reason == format!("exited with status {code}"))
    });
    let told = task.reason.as_deref().is_some_and(|reason| reason.contains("memory"));
    let oom = if task.oom && !told { ", out of memory" } else { "" };
    let end = if plain { code.clone() } else { format!("{code}{why}") };
    match task.state {
        TaskState::Pending => format!("Waiting{why}"),
        TaskState::Starting => "Starting".to_owned(),
        TaskState::Running => format!("{}{}", up(task), health(task.health)),
        TaskState::Paused => format!("{} (Paused)", up(task)),
        TaskState::Restarting => format!("Restarting{code}{why}"),
        TaskState::Stopping => format!("{}, stopping", up(task)),
        TaskState::Completed => format!("Exited{code}"),
        TaskState::Failed => format!("Exited{end}{oom}"),
    }
}

fn up(task: &TaskStatus) -> String {
    task.running_for.map_or("Up".to_owned(), |duration| format!("Up {}", human(duration)))
}

fn health(health: Health) -> &'static str {
    match health {
        Health::None => "",
        Health::Starting => " (health: starting)",
        Health::Healthy => " (healthy)",
        Health::Unhealthy => " (unhealthy)",
    }
}
