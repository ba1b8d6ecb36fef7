//! What a command would lead to: the planner and a host made of values, run to their end.

use crate::model::{
    Agreed, Boottime, Command, Exit, Health, Now, Observed, ObservedContainer, Phase,
};
use crate::plan::{self, Step};
use crate::store::{Refused, apply};

/// More rounds than any real stack needs.
const ROUNDS_MAX: usize = 10_000;

/// The lines of everything that would be decided and done, if every program starts and becomes
/// healthy. Nothing is done.
///
/// # Errors
/// If the command would be refused.
pub(super) fn preview(
    agreed: &Agreed,
    observed: &Observed,
    now: &Now,
    command: &Command,
) -> Result<Vec<String>, Refused> {
    let mut agreed = agreed.clone();
    let mut observed = observed.clone();
    let mut now = now.clone();
    apply(&mut agreed, command)?;
    let mut lines = Vec::new();
    for _ in 0..ROUNDS_MAX {
        let plan = plan::plan(&agreed, &observed, &now);
        if !plan.decisions.is_empty() {
            for group in plan.decisions {
                apply(&mut agreed, &Command::Decide(group))?;
            }
            continue;
        }
        let fresh: Vec<Step> =
            plan.steps.into_iter().filter(|step| !lines.contains(&step.to_string())).collect();
        match (fresh.is_empty(), plan.wake_at) {
            (true, Some(at)) if at > now.boottime => now.boottime = at,
            (true, _) => break,
            _ => {}
        }
        for step in fresh {
            lines.push(step.to_string());
            imagine(&mut observed, &step, now.boottime);
        }
    }
    Ok(lines)
}

/// The observation after `step` has gone well.
fn imagine(observed: &mut Observed, step: &Step, now: Boottime) {
    match step {
        Step::RemoveVolume { name } => {
            observed.volumes.remove(name);
        }
        Step::Start(start) => {
            observed.volumes.extend(start.volumes.iter().map(|volume| volume.name.clone()));
            observed.sandboxes.extend(start.sandbox.as_ref().map(|sandbox| sandbox.task));
            let health = if start.health.is_some() { Health::Healthy } else { Health::None };
            let phase = Phase::Running {
                since: now,
                pid: 1,
                health,
                health_since: now,
                stopping: false,
                paused: false,
            };
            let id = start.container.id.clone();
            observed.containers.insert(start.attempt, ObservedContainer { id, phase, busy: false });
        }
        Step::Stop { attempt, .. } => {
            if let Some(container) = observed.containers.get_mut(attempt) {
                container.phase = Phase::Exited(Exit { at: now, ..Exit::default() });
            }
        }
        Step::Remove { id, .. } => {
            observed.containers.retain(|_, container| container.id != *id);
            observed.strays.remove(id);
        }
        Step::RemoveSandbox { task } => {
            observed.sandboxes.remove(task);
        }
    }
}
