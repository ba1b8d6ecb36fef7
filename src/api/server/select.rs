//! Finds what a caller means in the engine's view.

use crate::api::control::{Answer, ControlError};
use crate::api::message::{StackReport, Target};
use crate::engine::View;
use crate::model::{ContainerId, Stack, StackStatus, TaskState, TaskStatus};

/// How a stack is doing, if it is there.
pub(super) fn report(view: &View, stack: &str) -> Option<StackReport> {
    let mut status = view.stacks.get(stack)?.clone();
    let since = view.made.elapsed();
    for running_for in status.tasks.iter_mut().filter_map(|task| task.running_for.as_mut()) {
        *running_for += since;
    }
    let ours = |of: &str| of.is_empty() || of == stack;
    let problems = view.problems.iter().filter(|problem| ours(&problem.stack)).cloned().collect();
    Some(StackReport { status, problems })
}

/// The status of a stack that must be there.
pub(super) fn stack<'a>(view: &'a View, name: &str) -> Answer<&'a StackStatus> {
    view.stacks.get(name).ok_or_else(|| no_stack(name))
}

/// What was agreed of a stack that must be there.
pub(super) fn agreed<'a>(view: &'a View, name: &str) -> Answer<&'a Stack> {
    view.agreed.stacks.get(name).ok_or_else(|| no_stack(name))
}

/// These services of a stack, all of them checked; every service that was written down if none is named.
pub(super) fn services(stack: &Stack, names: &[String]) -> Answer<Vec<String>> {
    let known = &stack.project.services;
    if names.is_empty() {
        let written = known.iter().filter(|(_, service)| service.one_off.is_none());
        return Ok(written.map(|(name, _)| name.clone()).collect());
    }
    match names.iter().find(|name| !known.contains_key(*name)) {
        Some(unknown) => Err(no_service(unknown, known.keys().map(String::as_str))),
        None => Ok(names.to_vec()),
    }
}

/// The tasks that a target means, ordered by service and slot. It may mean none, as long as each
/// name is known.
pub(super) fn tasks<'a>(view: &'a View, target: &Target) -> Answer<Vec<&'a TaskStatus>> {
    let stack = stack(view, &target.stack)?;
    for name in &target.names {
        let known =
            stack.services.contains_key(name) || stack.tasks.iter().any(|task| task_is(task, name));
        if !known {
            return Err(no_service(name, stack.services.keys().map(String::as_str)));
        }
    }
    Ok(stack.tasks.iter().filter(|task| is_meant(task, target)).collect())
}

/// Whether a target means this task.
pub(super) fn is_meant(task: &TaskStatus, target: &Target) -> bool {
    // What runs one program beside the services is only meant when it is named.
    let unnamed = target.names.is_empty() && task.one_off.is_none();
    let named = unnamed || target.names.iter().any(|name| task_is(task, name));
    named && target.index.is_none_or(|index| index == task.slot)
}

/// The containers of a target that have a program running or frozen. There must be at least one.
pub(super) fn running<'a>(
    view: &'a View,
    target: &Target,
) -> Answer<Vec<(&'a ContainerId, &'a TaskStatus)>> {
    let tasks = tasks(view, target)?;
    let running: Vec<_> = tasks.into_iter().filter_map(running_container).collect();
    if running.is_empty() { Err(nothing_runs(target)) } else { Ok(running) }
}

/// The one container of a target to talk to: of the wanted ones the first that runs.
pub(super) fn one<'a>(view: &'a View, target: &Target) -> Answer<&'a ContainerId> {
    if target.names.len() != 1 {
        return Err(ControlError::invalid_input("exactly one service must be named"));
    }
    let mut running = running(view, target)?;
    // False sorts before true, and the sort keeps the order of slots.
    running.sort_by_key(|(_, task)| !task.wanted);
    running.first().map(|(id, _)| *id).ok_or_else(|| nothing_runs(target))
}

/// The one container of a target that is there, whether its program runs or has ended: of the wanted
/// ones the first that runs.
pub(super) fn there<'a>(view: &'a View, target: &Target) -> Answer<&'a ContainerId> {
    if target.names.len() != 1 {
        return Err(ControlError::invalid_input("exactly one service must be named"));
    }
    let tasks = tasks(view, target)?.into_iter();
    let mut there: Vec<_> =
        tasks.filter_map(|task| Some((task.container.as_ref()?, task))).collect();
    there.sort_by_key(|(_, task)| (running_container(task).is_none(), !task.wanted));
    there.first().map(|(id, _)| *id).ok_or_else(|| nothing_runs(target))
}

/// The container of a task whose program runs or is frozen.
pub(super) fn running_container(task: &TaskStatus) -> Option<(&ContainerId, &TaskStatus)> {
    let runs = matches!(task.state, TaskState::Running | TaskState::Paused | TaskState::Stopping);
    task.container.as_ref().filter(|_| runs).map(|id| (id, task))
}

/// Whether `name` is the task's service, or its container's name, or the beginning of its
/// container's id (four digits at least).
fn task_is(task: &TaskStatus, name: &str) -> bool {
    let id = task.container.as_ref().map(ContainerId::as_str);
    task.service == name
        || task.name == name
        || name.len() >= 4 && id.is_some_and(|id| id.starts_with(name))
}

/// There is no such stack.
pub(super) fn no_stack(name: &str) -> ControlError {
    ControlError::not_found(format!("there is no stack `{name}`"))
        .with_hint("`orca ls` lists the stacks")
}

fn no_service<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> ControlError {
    let known: Vec<_> = known.collect();
    let error = ControlError::not_found(format!("there is no service or container `{name}`"));
    match known.as_slice() {
        [] => error,
        known => error.with_hint(format!("the services are: {}", known.join(", "))),
    }
}

fn nothing_runs(target: &Target) -> ControlError {
    let what = match (target.names.as_slice(), target.index) {
        ([], _) => format!("no container of stack `{}` is running", target.stack),
        ([name], Some(index)) => format!("container {index} of `{name}` is not running"),
        ([name], None) => format!("no container of `{name}` is running"),
        (names, _) => format!("no container of {} is running", names.join(", ")),
    };
    ControlError::failed_precondition(what).with_hint("`orca ps -a` shows how they are")
}

#[cfg(test)]
mod tests;
