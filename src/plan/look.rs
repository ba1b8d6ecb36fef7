//! One look at the whole state: the questions that several rules ask.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    Agreed, AttemptId, Condition, DeployMode, Health, HealthCheck, NetworkMode, Now, Observed,
    ObservedContainer, Outcome, Phase, Service, Stack, Task, TaskId, Want,
};

use super::backoff::hash;

/// What is agreed, what was observed and the time, with the tasks in order.
pub(super) struct Look<'a> {
    pub agreed: &'a Agreed,
    pub observed: &'a Observed,
    pub now: &'a Now,
    by_service: BTreeMap<&'a str, ByService<'a>>,
    /// The tasks that are as their service is now.
    current: BTreeSet<TaskId>,
}

/// The tasks of a stack, by service.
type ByService<'a> = BTreeMap<&'a str, Vec<(TaskId, &'a Task)>>;

impl<'a> Look<'a> {
    pub(super) fn new(agreed: &'a Agreed, observed: &'a Observed, now: &'a Now) -> Self {
        let mut by_service: BTreeMap<&str, ByService<'_>> = BTreeMap::new();
        for (id, task) in &agreed.tasks {
            by_service
                .entry(&task.stack)
                .or_default()
                .entry(&task.service)
                .or_default()
                .push((*id, task));
        }
        let mut current = BTreeSet::new();
        for stack in agreed.stacks.values() {
            let tasks_of = by_service.get(stack.project.name.as_str());
            for service in stack.project.services.keys() {
                let Some(tasks) = tasks_of.and_then(|of| of.get(service.as_str())) else {
                    continue;
                };
                let revision = stack.revisions.get(service).map_or("", String::as_str);
                let nonce = nonce(stack, service);
                let fits = |task: &Task| task.revision == revision && task.nonce == nonce;
                current.extend(tasks.iter().filter(|(_, task)| fits(task)).map(|(id, _)| *id));
            }
        }
        let mut look = Self { agreed, observed, now, by_service, current };
        look.leave_old_networks();
        look
    }

    /// Takes out the tasks that hold on to the network of a task that has been replaced: whoever shares
    /// a network is made after the task whose network it is.
    fn leave_old_networks(&mut self) {
        let mut sharing: Vec<(&Stack, &str, &str)> = Vec::new();
        for stack in self.agreed.stacks.values() {
            for (name, service) in &stack.project.services {
                if let NetworkMode::Service(owner) = &service.network_mode {
                    sharing.push((stack, name, owner));
                }
            }
        }
        // One shares with another that shares with a third: each round is one step along such a chain.
        for _ in 0..sharing.len() {
            let mut old = Vec::new();
            for (stack, name, owner) in &sharing {
                let project = stack.project.name.as_str();
                let owner = self.wanted(project, owner).map(|(id, _)| id).min();
                let behind = |id: TaskId| owner.is_some_and(|owner| owner > id);
                let tasks = self.wanted(project, name).map(|(id, _)| id);
                old.extend(tasks.filter(|id| behind(*id)));
            }
            if old.is_empty() {
                return;
            }
            for id in old {
                self.current.remove(&id);
            }
        }
    }

    /// The tasks of a service, by id.
    pub(super) fn tasks(&self, stack: &str, service: &str) -> &[(TaskId, &'a Task)] {
        self.by_service.get(stack).and_then(|of| of.get(service)).map_or(&[], Vec::as_slice)
    }

    /// The tasks of a service that are wanted and as the service is now.
    pub(super) fn wanted(
        &self,
        stack: &str,
        service: &str,
    ) -> impl Iterator<Item = (TaskId, &'a Task)> {
        let here = |(id, task): &(TaskId, &Task)| task.want == Want::Run && self.is_current(*id);
        self.tasks(stack, service).iter().copied().filter(here)
    }

    /// The services that a task's stack has at present, with the task's one.
    pub(super) fn service(&self, task: &Task) -> Option<(&'a Stack, &'a Service)> {
        let stack = self.agreed.stacks.get(&task.stack)?;
        Some((stack, stack.project.services.get(&task.service)?))
    }

    /// Whether a task is as its service is now.
    pub(super) fn is_current(&self, task: TaskId) -> bool {
        self.current.contains(&task)
    }

    /// All containers of a task that were seen.
    pub(super) fn containers(
        &self,
        task: TaskId,
    ) -> impl Iterator<Item = (AttemptId, &'a ObservedContainer)> + use<'a> {
        let all = AttemptId { task, number: 0 }..=AttemptId { task, number: u32::MAX };
        self.observed.containers.range(all).map(|(id, container)| (*id, container))
    }

    /// The container of a task's current attempt, if it was seen.
    pub(super) fn container(&self, id: TaskId, task: &Task) -> Option<&'a ObservedContainer> {
        self.observed.containers.get(&task.current(id)?)
    }

    /// Whether any container of the task runs, or an operation on one is under way.
    pub(super) fn is_alive(&self, task: TaskId) -> bool {
        self.containers(task).any(|(_, c)| c.busy || !matches!(c.phase, Phase::Exited(_)))
    }

    /// Whether anything of the task is on the host.
    pub(super) fn has_remains(&self, task: TaskId) -> bool {
        self.containers(task).next().is_some() || self.observed.sandboxes.contains(&task)
    }

    /// Whether the task does what it is for: runs, and is healthy if there is a check, or has
    /// completed.
    pub(super) fn is_available(&self, id: TaskId, task: &Task) -> bool {
        if let Some(outcome) = &task.outcome {
            return matches!(outcome, Outcome::Completed(_));
        }
        self.running(id, task)
            .is_some_and(|(health, _)| matches!(health, Health::None | Health::Healthy))
    }

    /// The health of the current container, if its program runs and has not been asked to end, and
    /// whether it is paused.
    pub(super) fn running(&self, id: TaskId, task: &Task) -> Option<(Health, bool)> {
        match self.container(id, task)?.phase {
            Phase::Running { health, stopping: false, paused, .. } => Some((health, paused)),
            _ => None,
        }
    }

    /// Whether the current attempt was decided in an earlier boot: its container went with it.
    pub(super) fn is_from_earlier_boot(&self, task: &Task) -> bool {
        task.attempt > 0 && task.not_before.as_ref().is_some_and(|d| d.boot != self.now.boot)
    }
}

/// Whether a service is to be up.
pub(super) fn is_up(stack: &Stack, service: &str) -> bool {
    stack.removing.is_none()
        && !stack.stopped.contains(service)
        && stack.project.services.contains_key(service)
}

/// Whether a service is run to its end: by its mode, or because others wait for its end. A compose
/// file that says `service_completed_successfully` means a job, whatever `restart` is by default.
pub(super) fn is_job(stack: &Stack, name: &str, service: &Service) -> bool {
    matches!(service.deploy.mode, DeployMode::ReplicatedJob | DeployMode::GlobalJob)
        || stack.project.services.values().any(|other| {
            other.depends_on.get(name).is_some_and(|d| d.condition == Condition::Completed)
        })
}

/// The check of a service's containers: its own where it says something, else its image's.
pub(super) fn health_check(stack: &Stack, service: &Service) -> Option<HealthCheck> {
    let image = stack.images.get(&service.image).and_then(|i| i.config.healthcheck.as_ref());
    service.healthcheck.clone().unwrap_or_default().over(image)
}

/// What a task's nonce must be: the service's own, and with it all that a dependency with
/// `restart: true` is made of, so that replacing the dependency replaces the dependents.
pub(super) fn nonce(stack: &Stack, service: &str) -> u64 {
    // `compose` refuses cycles; a depth no chain can have keeps this total all the same.
    nonce_within(stack, service, stack.project.services.len())
}

fn nonce_within(stack: &Stack, name: &str, depth: usize) -> u64 {
    let own = stack.nonces.get(name).copied().unwrap_or(0);
    let Some(service) = stack.project.services.get(name) else { return own };
    let mut parts = String::new();
    for (dependency, _) in service.depends_on.iter().filter(|(_, d)| d.restart) {
        if depth == 0 || !stack.project.services.contains_key(dependency) {
            continue;
        }
        let revision = stack.revisions.get(dependency).map_or("", String::as_str);
        let nonce = nonce_within(stack, dependency, depth - 1);
        parts = format!("{parts}/{dependency} {revision} {nonce}");
    }
    if parts.is_empty() { own } else { hash(&format!("{own}{parts}")) }
}
