//! Which tasks there are: one for each slot of each service, at its current revision.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Decision, NetworkMode, Service, Stack, Task, TaskId, Want};

use super::Decided;
use super::address::Addresses;
use super::container::{stop_grace, stop_signal};
use super::depends;
use super::look::{self, Look};
use super::networks;

/// Stops the tasks that are not wanted, forgets those that are gone, makes those that are missing.
pub(super) fn decide(look: &Look<'_>) -> Decided {
    let mut group = Vec::new();
    for (id, task) in look.agreed.tasks.iter().filter(|(_, task)| task.want == Want::Run) {
        if is_to_go(look, task) {
            group.push(Decision::StopTask { task: *id });
        }
    }
    let mut making =
        Making { look, gone: gone(look), addresses: Addresses::new(look), next: next_task(look) };
    for stack in look.agreed.stacks.values() {
        for (name, service) in &stack.project.services {
            if look::is_up(stack, name) {
                replace(look, stack, name, service, &mut group);
                making.tasks(stack, name, service, &mut group);
            }
        }
    }
    group.extend(making.gone.into_keys().map(|task| Decision::ReapTask { task }));
    group.extend(done_one_offs(look));
    group.extend(dropped_stacks(look).map(|stack| Decision::DropStack { stack }));
    Decided { group, wake_at: None }
}

/// Whether a task has to go whatever its revision: its service is gone, stopped or smaller now, and
/// whoever needs it and goes too has gone before.
fn is_to_go(look: &Look<'_>, task: &Task) -> bool {
    let Some((stack, service)) = look.service(task) else { return true };
    if look::is_up(stack, &task.service) {
        return task.slot > service.replicas();
    }
    !depends::has_dependents_running(look, stack, &task.service)
}

/// Stops tasks that are not as their service is now: those that do nothing useful at once, others only
/// while no more than the update's `parallelism` of the slots are without a working task. An update
/// that does not work therefore ends by itself, with the rest still at the old revision.
fn replace(
    look: &Look<'_>,
    stack: &Stack,
    name: &str,
    service: &Service,
    group: &mut Vec<Decision>,
) {
    let tasks = look.tasks(&stack.project.name, name);
    let kept =
        |(_, task): &&(TaskId, &Task)| task.want == Want::Run && task.slot <= service.replicas();
    let available: BTreeSet<u32> = tasks
        .iter()
        .filter(kept)
        .filter(|(id, task)| look.is_available(*id, task))
        .map(|(_, task)| task.slot)
        .collect();
    let mut down = (1..=service.replicas()).filter(|slot| !available.contains(slot)).count();
    let at_once = match usize::try_from(service.deploy.update.parallelism) {
        Ok(0) | Err(_) => usize::MAX,
        Ok(_) if networks::is_changing(look, stack, service) => usize::MAX,
        Ok(limit) => limit,
    };
    for (id, task) in tasks.iter().filter(kept).filter(|(id, _)| !look.is_current(*id)) {
        if !available.contains(&task.slot) {
            group.push(Decision::StopTask { task: *id });
        } else if down < at_once {
            down += 1;
            group.push(Decision::StopTask { task: *id });
        }
    }
}

/// What new tasks are made of.
struct Making<'a> {
    look: &'a Look<'a>,
    /// The tasks that are to end and of which nothing is left, but for those whose place was taken.
    gone: BTreeMap<TaskId, &'a Task>,
    addresses: Addresses<'a>,
    next: u64,
}

impl<'a> Making<'a> {
    /// Makes a task for each slot that has none. A slot holds one task: the new one comes when nothing
    /// is left of the old one, and takes its addresses.
    fn tasks(
        &mut self,
        stack: &'a Stack,
        name: &'a str,
        service: &'a Service,
        group: &mut Vec<Decision>,
    ) {
        let look = self.look;
        // Whose network is shared has its task first.
        let owner = match &service.network_mode {
            NetworkMode::Service(owner) => Some(owner.as_str()),
            _ => None,
        };
        let waits =
            owner.is_some_and(|owner| look.wanted(&stack.project.name, owner).next().is_none());
        if waits
            || networks::is_changing(look, stack, service)
            || networks::obstacle(look, stack, service).is_some()
        {
            return;
        }
        let mut by_slot: BTreeMap<u32, Vec<(TaskId, &Task)>> = BTreeMap::new();
        for (id, task) in look.tasks(&stack.project.name, name) {
            by_slot.entry(task.slot).or_default().push((*id, task));
        }
        for slot in 1..=service.replicas() {
            let here = by_slot.get(&slot).map_or(&[][..], Vec::as_slice);
            if here.iter().any(|(id, _)| !self.gone.contains_key(id)) {
                continue;
            }
            let before = here.last().map(|(_, task)| *task);
            let id = TaskId(self.next);
            let Some(addresses) = self.addresses.assign(stack, service, id, before) else {
                continue;
            };
            // In the same entry of the log: a slot is never without a task, nor an address with two.
            for (old, _) in here {
                self.gone.remove(old);
                group.push(Decision::ReapTask { task: *old });
            }
            let task = Task {
                stack: stack.project.name.clone(),
                service: name.to_owned(),
                slot,
                revision: stack.revisions.get(name).cloned().unwrap_or_default(),
                nonce: look::nonce(stack, name),
                addresses,
                created: look.now.wall,
                stop_signal: stop_signal(stack, service),
                stop_grace: stop_grace(service),
                ..Task::default()
            };
            group.push(Decision::CreateTask { id, task: Box::new(task) });
            self.next += 1;
        }
    }
}

/// The id of the next task. Tasks that were made while nothing could be written, and lost with the
/// daemon, may still be on the host: their ids are not used again.
fn next_task(look: &Look<'_>) -> u64 {
    let seen = look.observed.containers.keys().map(|attempt| attempt.task);
    let seen = seen.chain(look.observed.sandboxes.iter().copied());
    seen.map(|task| task.0.saturating_add(1)).max().unwrap_or(0).max(look.agreed.next_task)
}

/// The tasks that are to end and of which nothing is left.
fn gone<'a>(look: &Look<'a>) -> BTreeMap<TaskId, &'a Task> {
    let gone = |(id, task): &(&TaskId, &Task)| task.want == Want::Stop && !look.has_remains(**id);
    look.agreed.tasks.iter().filter(gone).map(|(id, task)| (*id, task)).collect()
}

/// Containers that were to run one program, have done so, and were to leave nothing.
fn done_one_offs(look: &Look<'_>) -> impl Iterator<Item = Decision> {
    let stacks = look.agreed.stacks.values().filter(|stack| stack.removing.is_none());
    stacks.flat_map(|stack| {
        let stack_name = &stack.project.name;
        let goes = |service: &Service| service.one_off.as_ref().is_some_and(|one| one.remove);
        let done = |name: &str| {
            let tasks = look.tasks(stack_name, name);
            tasks.iter().any(|(_, task)| task.outcome.is_some())
        };
        let done = stack.project.services.iter().filter(move |(name, s)| goes(s) && done(name));
        done.map(|(name, _)| Decision::DropOneOff {
            stack: stack_name.clone(),
            service: name.clone(),
        })
    })
}

/// The stacks that are to go and of which nothing is left.
fn dropped_stacks<'a>(look: &'a Look<'a>) -> impl Iterator<Item = String> {
    look.agreed.stacks.iter().filter_map(|(name, stack)| {
        let removal = stack.removing.as_ref()?;
        let has_tasks = look.agreed.tasks.values().any(|task| task.stack == *name);
        let has_volumes = removal.volumes && removable_volumes(look, stack).next().is_some();
        (!has_tasks && !has_volumes).then(|| name.clone())
    })
}

/// The volumes that go with a stack and are still there: its own, unless another stack uses them.
pub(super) fn removable_volumes<'a>(
    look: &'a Look<'a>,
    stack: &'a Stack,
) -> impl Iterator<Item = &'a str> {
    let used = |volume: &str| {
        look.agreed.stacks.values().any(|other| {
            other.project.name != stack.project.name
                && other.project.volumes.values().any(|v| v.name == volume)
        })
    };
    let own = stack.project.volumes.values().filter(|volume| !volume.external);
    own.map(|volume| volume.name.as_str())
        .filter(move |name| look.observed.volumes.contains(*name) && !used(name))
}
