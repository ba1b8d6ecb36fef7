//! Everything rests: what runs is stopped, dependents first, and nothing is started.

use crate::model::{Phase, TaskId};

use super::look::Look;
use super::{Plan, Step, StopReason, steps};

/// The way to rest. Tasks stay as they are: they go on from there when the rest is over.
pub(super) fn plan(look: &Look<'_>) -> Plan {
    let mut plan = Plan::default();
    for (attempt, container) in &look.observed.containers {
        if container.busy {
            continue;
        }
        let id = container.id.clone();
        match container.phase {
            Phase::Exited(_) => plan.steps.push(Step::Remove { id, log: false }),
            Phase::Running { stopping: true, .. } => {}
            Phase::Creating | Phase::Running { .. } if has_dependents(look, attempt.task) => {}
            Phase::Creating | Phase::Running { .. } => {
                let task = look.agreed.tasks.get(&attempt.task);
                plan.steps.push(steps::stop(*attempt, &id, task, StopReason::NotWanted));
            }
        }
    }
    for id in &look.observed.strays {
        plan.steps.push(Step::Remove { id: id.clone(), log: true });
    }
    for task in &look.observed.sandboxes {
        if look.containers(*task).next().is_none() {
            plan.steps.push(Step::RemoveSandbox { task: *task });
        }
    }
    plan
}

/// Whether a container of a service that needs this one still runs.
fn has_dependents(look: &Look<'_>, id: TaskId) -> bool {
    let Some(task) = look.agreed.tasks.get(&id) else { return false };
    let Some(stack) = look.agreed.stacks.get(&task.stack) else { return false };
    let needs = |service: &crate::model::Service| service.depends_on.contains_key(&task.service);
    let dependents = stack.project.services.iter().filter(|(_, service)| needs(service));
    dependents
        .flat_map(|(name, _)| look.tasks(&task.stack, name))
        .any(|(dependent, _)| look.is_alive(*dependent))
}
