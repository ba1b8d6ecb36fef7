//! The attempts of a task: when the next container comes, and when none does.

use std::time::Duration;

use crate::model::{
    AttemptId, Deadline, Decision, Exit, Health, Outcome, Phase, RestartCondition, RestartPolicy,
    Service, Stack, Task, TaskId, Want,
};

use super::look::{self, Look};
use super::{Decided, backoff, depends, sooner};

/// Looks at each task that is to run.
pub(super) fn decide(look: &Look<'_>) -> Decided {
    let mut decided = Decided::default();
    for (id, task) in &look.agreed.tasks {
        if task.want == Want::Stop || task.outcome.is_some() {
            continue;
        }
        let Some((stack, service)) = look.service(task) else { continue };
        // A task of an old revision is not brought back: it is replaced. Nor is one that is on its way
        // out, and only waits for those who need it.
        if !look.is_current(*id) || !look::is_up(stack, &task.service) {
            continue;
        }
        let this = Life { look, stack, service, id: *id, task };
        let (decision, wake_at) = this.decide();
        decided.group.extend(decision);
        decided.wake_at = sooner(decided.wake_at, wake_at);
    }
    decided
}

/// One task that is to run, with its service.
struct Life<'a> {
    look: &'a Look<'a>,
    stack: &'a Stack,
    service: &'a Service,
    id: TaskId,
    task: &'a Task,
}

impl Life<'_> {
    fn decide(&self) -> (Option<Decision>, Option<crate::model::Boottime>) {
        if let Some(adopted) = self.adopt() {
            return (Some(adopted), None);
        }
        let Some(container) = self.look.container(self.id, self.task) else {
            return (self.absent(), None);
        };
        if container.busy {
            return (None, None);
        }
        match &container.phase {
            Phase::Creating => (None, None),
            Phase::Running { since, health, stopping: false, .. } => self.running(*since, *health),
            Phase::Running { .. } => (None, None),
            Phase::Exited(exit) => (Some(self.ended(exit)), None),
        }
    }

    /// A container of a later attempt is there: the decision for it was made while nothing could be
    /// written (disk full), and lost with the daemon. It is made again, so that the container stays.
    fn adopt(&self) -> Option<Decision> {
        let (last, _) = self.look.containers(self.id).last()?;
        (last.number > self.task.attempt).then(|| self.next(self.task.fails, Duration::ZERO, None))
    }

    /// There is no container of the current attempt.
    fn absent(&self) -> Option<Decision> {
        let reboot = self.look.is_from_earlier_boot(self.task);
        if self.task.attempt > 0 && !reboot {
            // Decided and not carried out yet, or gone without a trace: both are a step, not a decision.
            return None;
        }
        if reboot && self.service.deploy.restart.condition == RestartCondition::Never {
            let error = Some("the host was restarted while it ran".to_owned());
            let exit = Exit { code: 255, error, ..Exit::default() };
            return Some(Decision::Finish { task: self.id, outcome: Outcome::Failed(exit) });
        }
        // After a boot everything comes up in order, like the first time.
        let unmet = depends::unmet(self.look, self.stack, self.service);
        unmet.is_none().then(|| self.next(0, Duration::ZERO, None))
    }

    /// Failures are forgotten once it has run well.
    fn running(
        &self,
        since: crate::model::Boottime,
        health: Health,
    ) -> (Option<Decision>, Option<crate::model::Boottime>) {
        if self.task.fails == 0 || matches!(health, Health::Starting | Health::Unhealthy) {
            return (None, None);
        }
        let stable = since + stable_after(&self.service.deploy.restart);
        if health == Health::Healthy && self.service.deploy.restart.window.is_none()
            || self.look.now.boottime >= stable
        {
            return (Some(Decision::ResetFails { task: self.id }), None);
        }
        (None, Some(stable))
    }

    /// The container has ended: another attempt, or the end of the task.
    fn ended(&self, exit: &Exit) -> Decision {
        let policy = &self.service.deploy.restart;
        let success = exit.code == 0 && !exit.unhealthy && !exit.oom && exit.error.is_none();
        let again = match policy.condition {
            RestartCondition::Never => false,
            RestartCondition::OnFailure => !success,
            RestartCondition::Any => {
                !success || !look::is_job(self.stack, &self.task.service, self.service)
            }
        };
        let long = exit.ran >= stable_after(policy) && !exit.unhealthy;
        let well = long || (exit.was_healthy && policy.window.is_none());
        let fails = if well { 1 } else { self.task.fails.saturating_add(1) };
        if again && policy.max_attempts.is_none_or(|most| fails <= most) {
            let wait = backoff::wait(policy, fails, self.attempt());
            return self.next(fails, wait, Some(exit.clone()));
        }
        let outcome =
            if success { Outcome::Completed(exit.clone()) } else { Outcome::Failed(exit.clone()) };
        Decision::Finish { task: self.id, outcome }
    }

    fn attempt(&self) -> AttemptId {
        AttemptId { task: self.id, number: self.task.attempt.saturating_add(1) }
    }

    /// The deadline is always there, passed or not: it says in which boot the attempt was decided.
    fn next(&self, fails: u32, wait: Duration, last_exit: Option<Exit>) -> Decision {
        let now = self.look.now;
        let not_before = Some(Deadline { boot: now.boot.clone(), at: now.boottime + wait });
        Decision::NextAttempt { attempt: self.attempt(), fails, not_before, last_exit }
    }
}

/// How long a container has to run until its failures are forgotten.
pub(super) fn stable_after(policy: &RestartPolicy) -> Duration {
    policy.window.unwrap_or(RestartPolicy::STABLE)
}
