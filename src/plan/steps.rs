//! What is to be done on the host for what was decided.

use std::time::Duration;

use crate::model::{
    AttemptId, Boottime, ContainerId, Health, ObservedContainer, Phase, Task, TaskId, Want,
};

use super::look::{self, Look};
use super::{Plan, Step, StopReason, container, depends, mounts, services};

/// So many containers may be starting at one time: a stack of hundreds comes up no sooner when all of
/// them fight for the processor at once, and the host stays usable.
const STARTS_AT_ONCE: usize = 16;

/// Lists the steps that may run now.
pub(super) fn list(look: &Look<'_>, plan: &mut Plan) {
    for (attempt, container) in &look.observed.containers {
        if !container.busy {
            plan.steps.extend(end(look, *attempt, container));
        }
    }
    plan.steps.extend(unhealthy(look));
    for id in &look.observed.strays {
        plan.steps.push(Step::Remove { id: id.clone(), log: true });
    }
    for task in &look.observed.sandboxes {
        if is_sandbox_done(look, *task) {
            plan.steps.push(Step::RemoveSandbox { task: *task });
        }
    }
    remove_volumes(look, plan);
    start(look, plan);
}

/// What has to happen to a container so that it goes, if it is to go.
fn end(look: &Look<'_>, attempt: AttemptId, container: &ObservedContainer) -> Option<Step> {
    let task = look.agreed.tasks.get(&attempt.task);
    let reason = match task {
        None => StopReason::Stray,
        Some(task) if task.want == Want::Stop => StopReason::NotWanted,
        Some(task) if attempt.number < task.attempt => StopReason::Stray,
        Some(_) => return None,
    };
    match container.phase {
        Phase::Exited(_) if task.is_some_and(|task| is_kept(look, attempt, task)) => None,
        Phase::Exited(_) => {
            let log = task.is_none_or(|task| task.want == Want::Stop);
            Some(Step::Remove { id: container.id.clone(), log })
        }
        Phase::Running { stopping: true, .. } => None,
        Phase::Creating | Phase::Running { .. } => Some(stop(attempt, &container.id, task, reason)),
    }
}

pub(super) fn stop(
    attempt: AttemptId,
    id: &ContainerId,
    task: Option<&Task>,
    reason: StopReason,
) -> Step {
    let default = Task { stop_grace: Duration::from_secs(10), ..Task::default() };
    let task = task.unwrap_or(&default);
    let signal = match task.stop_signal.as_str() {
        "" => "SIGTERM".to_owned(),
        signal => signal.to_owned(),
    };
    Step::Stop { attempt, id: id.clone(), signal, grace: task.stop_grace, reason }
}

/// Whether an ended container stays for `ps` and `logs`: a user has stopped its service, as it is now.
fn is_kept(look: &Look<'_>, attempt: AttemptId, task: &Task) -> bool {
    let service = look.service(task);
    attempt.number == task.attempt
        && look.is_current(attempt.task)
        && service.is_some_and(|(stack, service)| {
            stack.removing.is_none()
                && stack.stopped.contains(&task.service)
                && task.slot <= service.replicas()
        })
}

/// A sandbox goes once its task will not use it any more.
fn is_sandbox_done(look: &Look<'_>, id: TaskId) -> bool {
    let over = |task: &Task| task.want == Want::Stop || task.outcome.is_some();
    let ends = look.agreed.tasks.get(&id).is_none_or(over);
    ends && !look.is_alive(id)
}

/// Containers whose check says unhealthy are stopped, and then follow the restart policy: but only a
/// quarter of a service's replicas at a time, and not while what they depend on is sick itself.
fn unhealthy(look: &Look<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    for stack in look.agreed.stacks.values() {
        for (name, service) in &stack.project.services {
            if !look::is_up(stack, name) || !container::restarts_unhealthy(service) {
                continue;
            }
            let tasks: Vec<_> = look.wanted(&stack.project.name, name).collect();
            let mut sick: Vec<_> =
                tasks.iter().filter_map(|(id, task)| sick_since(look, *id, task)).collect();
            if sick.is_empty() || depends::sick_dependency(look, stack, service).is_some() {
                continue;
            }
            let budget = usize::try_from(service.replicas() / 4).unwrap_or(1).max(1);
            let away = tasks.iter().filter(|(id, task)| is_coming_back(look, *id, task)).count();
            // Those that wait longest first, so that none waits for ever.
            sick.sort();
            for (_, attempt, id) in sick.into_iter().take(budget.saturating_sub(away)) {
                let task = look.agreed.tasks.get(&attempt.task);
                steps.push(stop(attempt, &id, task, StopReason::Unhealthy));
            }
        }
    }
    steps
}

/// Since when a task's container has been unhealthy, if it is and nothing has been done about it.
fn sick_since(
    look: &Look<'_>,
    id: TaskId,
    task: &Task,
) -> Option<(Boottime, AttemptId, ContainerId)> {
    let container = look.container(id, task).filter(|container| !container.busy)?;
    match container.phase {
        Phase::Running {
            health: Health::Unhealthy,
            health_since,
            stopping: false,
            paused: false,
            ..
        } => Some((health_since, task.current(id)?, container.id.clone())),
        _ => None,
    }
}

/// Whether a task is away because it was unhealthy, and has not come back yet.
fn is_coming_back(look: &Look<'_>, id: TaskId, task: &Task) -> bool {
    match look.container(id, task) {
        Some(ObservedContainer {
            phase: Phase::Running { stopping, health, .. }, busy, ..
        }) => {
            let restarted = task.last_exit.as_ref().is_some_and(|exit| exit.unhealthy);
            *stopping || *busy || (restarted && *health == Health::Starting)
        }
        Some(ObservedContainer { phase: Phase::Exited(exit), .. }) => {
            exit.unhealthy && task.outcome.is_none()
        }
        Some(ObservedContainer { phase: Phase::Creating, .. }) | None => {
            task.outcome.is_none() && task.last_exit.as_ref().is_some_and(|exit| exit.unhealthy)
        }
    }
}

/// Anonymous volumes of tasks that are gone, and named ones that `down --volumes` takes along.
fn remove_volumes(look: &Look<'_>, plan: &mut Plan) {
    for name in &look.observed.volumes {
        let gone = |task| !look.agreed.tasks.contains_key(&task);
        if mounts::is_anonymous_of(&look.agreed.identity, name, gone) {
            plan.steps.push(Step::RemoveVolume { name: name.clone() });
        }
    }
    for (name, stack) in &look.agreed.stacks {
        let all = stack.removing.as_ref().is_some_and(|removal| removal.volumes);
        if all && !look.agreed.tasks.values().any(|task| task.stack == *name) {
            for volume in services::removable_volumes(look, stack) {
                plan.steps.push(Step::RemoveVolume { name: volume.to_owned() });
            }
        }
    }
}

/// Starts what is decided and not there.
fn start(look: &Look<'_>, plan: &mut Plan) {
    let starting = |c: &&ObservedContainer| c.phase == Phase::Creating && c.busy;
    let mut room =
        STARTS_AT_ONCE.saturating_sub(look.observed.containers.values().filter(starting).count());
    for (id, task) in &look.agreed.tasks {
        if !is_to_start(look, *id, task) {
            continue;
        }
        if let Some(left) =
            task.not_before.as_ref().and_then(|d| d.left(&look.now.boot, look.now.boottime))
        {
            plan.wake(Some(look.now.boottime + left));
            continue;
        }
        if room == 0 {
            // The end of any start is an event that brings the next look.
            continue;
        }
        if let Ok(start) = container::start(look, *id, task) {
            plan.steps.push(Step::Start(Box::new(start)));
            room -= 1;
        }
    }
}

/// Whether the current attempt is decided, not there, and alone in its slot. One that is being made
/// without us is left alone: an earlier daemon was killed in the middle, and the shim goes on.
fn is_to_start(look: &Look<'_>, id: TaskId, task: &Task) -> bool {
    let due = task.want == Want::Run
        && task.attempt > 0
        && task.outcome.is_none()
        && look.is_current(id)
        && look.service(task).is_some_and(|(stack, _)| look::is_up(stack, &task.service));
    if !due {
        return false;
    }
    let others_alive = look.containers(id).any(|(attempt, c)| {
        attempt.number != task.attempt && (c.busy || !matches!(c.phase, Phase::Exited(_)))
    });
    look.container(id, task).is_none() && !others_alive
}
