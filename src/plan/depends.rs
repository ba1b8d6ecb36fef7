//! Whether what a service needs is there, and in which order services come and go.

use std::collections::BTreeSet;

use crate::model::{
    Condition, Dependency, Exit, Health, NamespaceMode, NetworkMode, Outcome, Phase, Service,
    Stack, Task, TaskId,
};

use super::look::{self, Look};

/// Something a service still needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unmet {
    /// A sentence without a capital: `waiting for db to be healthy`.
    pub reason: String,
    /// Whether waiting will not help.
    pub never: bool,
}

/// What a service's first start has to wait for, if anything.
pub(super) fn unmet(look: &Look<'_>, stack: &Stack, service: &Service) -> Option<Unmet> {
    service
        .depends_on
        .iter()
        .filter_map(|(name, dependency)| {
            let unmet = unmet_dependency(look, stack, name, dependency)?;
            // Something optional is waited for only as long as it may still come.
            (dependency.required || !unmet.never).then_some(unmet)
        })
        .max_by_key(|unmet| unmet.never)
}

fn unmet_dependency(
    look: &Look<'_>,
    stack: &Stack,
    name: &str,
    dependency: &Dependency,
) -> Option<Unmet> {
    let Some(service) = stack.project.services.get(name) else {
        return never(format!("needs {name}, which is not part of the stack"));
    };
    if service.replicas() == 0 {
        return None;
    }
    if stack.stopped.contains(name) {
        let reason = format!("waiting for {name}, which is stopped");
        return Some(Unmet { reason, never: !dependency.required });
    }
    if dependency.condition == Condition::Healthy && look::health_check(stack, service).is_none() {
        return never(format!("waits for {name} to be healthy, but it has no health check"));
    }
    let mut slots = 0;
    for (id, task) in look.wanted(&stack.project.name, name) {
        if let Some(unmet) = unmet_task(look, name, dependency.condition, (id, task)) {
            return Some(unmet);
        }
        slots += 1;
    }
    (slots < service.replicas()).then(|| waiting(name, dependency.condition))
}

/// What one task of a dependency still lacks.
fn unmet_task(
    look: &Look<'_>,
    name: &str,
    condition: Condition,
    (id, task): (TaskId, &Task),
) -> Option<Unmet> {
    match (condition, &task.outcome) {
        (Condition::Completed | Condition::Started, Some(Outcome::Completed(_))) => return None,
        (Condition::Healthy, Some(Outcome::Completed(_))) => {
            return never(format!("waits for {name} to be healthy, but it has completed"));
        }
        (Condition::Started, Some(Outcome::Failed(exit))) if exit.error.is_none() => return None,
        (_, Some(Outcome::Failed(exit))) => {
            return never(format!("needs {name}, which failed: {}", describe(exit)));
        }
        (_, None) => {}
    }
    let met = match (condition, look.container(id, task).map(|c| &c.phase)) {
        (Condition::Started, Some(Phase::Running { .. })) => true,
        (Condition::Started, Some(Phase::Exited(exit))) => exit.error.is_none(),
        (Condition::Healthy, Some(Phase::Running { health, stopping, .. })) => {
            *health == Health::Healthy && !stopping
        }
        _ => false,
    };
    (!met).then(|| waiting(name, condition))
}

fn waiting(name: &str, condition: Condition) -> Unmet {
    let what = match condition {
        Condition::Started => "to start",
        Condition::Healthy => "to be healthy",
        Condition::Completed => "to complete",
    };
    Unmet { reason: format!("waiting for {name} {what}"), never: false }
}

fn never(reason: String) -> Option<Unmet> {
    Some(Unmet { reason, never: true })
}

/// How a container ended, as people say it.
pub(super) fn describe(exit: &Exit) -> String {
    match &exit.error {
        Some(error) => error.clone(),
        None if exit.oom => "killed for lack of memory".to_owned(),
        None if exit.unhealthy => "stopped because it was unhealthy".to_owned(),
        None if exit.code > 128 => {
            format!("exited with status {} (signal {})", exit.code, exit.code - 128)
        }
        None => format!("exited with status {}", exit.code),
    }
}

/// The services whose namespaces or volumes a service uses: they come first, like those in
/// `depends_on`, and their first task must run whenever the service starts.
pub(super) fn shares(service: &Service) -> BTreeSet<&str> {
    let mut names: BTreeSet<&str> =
        service.volumes_from.iter().map(|from| from.service.as_str()).collect();
    if let NetworkMode::Service(name) = &service.network_mode {
        names.insert(name);
    }
    let namespaces = [&service.pid, &service.ipc, &service.uts, &service.cgroup];
    names.extend(namespaces.into_iter().filter_map(|mode| match mode {
        NamespaceMode::Service(name) => Some(name.as_str()),
        _ => None,
    }));
    names
}

/// Whether a service that needs `name`, and is to go too, still runs: `name` goes after it.
pub(super) fn has_dependents_running(look: &Look<'_>, stack: &Stack, name: &str) -> bool {
    stack.project.services.iter().any(|(other, service)| {
        other != name
            && !look::is_up(stack, other)
            && (service.depends_on.contains_key(name) || shares(service).contains(name))
            && look.tasks(&stack.project.name, other).iter().any(|(id, _)| look.is_alive(*id))
    })
}

/// A dependency that is itself unhealthy, if there is one: restarting a dependent will not help then.
pub(super) fn sick_dependency<'a>(
    look: &Look<'_>,
    stack: &'a Stack,
    service: &'a Service,
) -> Option<&'a str> {
    service.depends_on.keys().map(String::as_str).find(|name| {
        let mut tasks = look.wanted(&stack.project.name, name).peekable();
        let checked = |s: &Service| look::health_check(stack, s).is_some();
        stack.project.services.get(*name).is_some_and(checked)
            && tasks.peek().is_some()
            && !tasks.any(|(id, task)| look.is_available(id, task))
    })
}
