//! The rules.

use std::collections::{BTreeMap, BTreeSet};

use orca::model::*;
use orca::plan::Step;

use crate::project::STACK;
use crate::world::World;

impl World {
    /// Holds after every event.
    pub(crate) fn check_always(&self) {
        let alive = |phase: &Phase| !matches!(phase, Phase::Exited(_));
        let mut tasks = BTreeMap::<TaskId, u32>::new();
        let mut slots = BTreeMap::<_, u32>::new();
        for (attempt, fake) in &self.host.containers {
            if alive(&fake.phase) {
                *tasks.entry(attempt.task).or_default() += 1;
                // What was started by decisions that were lost may overlap until it is found.
                if self.agreed.tasks.contains_key(&attempt.task) {
                    *slots.entry(&fake.place).or_default() += 1;
                }
            }
        }
        assert!(tasks.values().all(|n| *n <= 1), "C2: two containers of one task run: {tasks:?}");
        assert!(slots.values().all(|n| *n <= 1), "C1: two containers in one slot: {slots:?}");
        self.check_addresses();
    }

    /// No two tasks have one address; every address is in its network.
    fn check_addresses(&self) {
        let mut seen = BTreeSet::new();
        for (id, task) in &self.agreed.tasks {
            for (name, address) in &task.addresses {
                let network = &self.agreed.networks[name];
                assert!(network.subnet.contains(&address.v4), "{id} is outside {name}");
                assert!(address.v4 != network.gateway, "{id} has the gateway's address");
                assert!(seen.insert((name, address.v4)), "{id} has another's address");
                assert_eq!(address.v6.is_some(), network.subnet6.is_some());
            }
        }
    }

    /// Holds for every decision, before it is made.
    pub(crate) fn check_decision(&self, decision: &Decision) {
        match decision {
            Decision::NextAttempt { attempt, fails: 0, last_exit: None, .. } => {
                let task = &self.agreed.tasks[&attempt.task];
                let later = AttemptId { number: u32::MAX, ..*attempt };
                let adopted = self.host.containers.range(*attempt..=later).next().is_some();
                if !adopted {
                    self.check_dependencies(task);
                }
            }
            Decision::NextAttempt { attempt, fails: fails @ 2.., not_before, .. } => {
                self.check_backoff(&self.agreed.tasks[&attempt.task], *fails, not_before.as_ref());
            }
            Decision::StopTask { task } => {
                self.check_budget(*task);
                self.check_order_of_removal(*task);
            }
            _ => {}
        }
    }

    /// C4: no storm of restarts.
    fn check_backoff(&self, task: &Task, fails: u32, not_before: Option<&Deadline>) {
        let service = &self.agreed.stacks[&task.stack].project.services[&task.service];
        let delay = service.deploy.restart.delay.unwrap_or(RestartPolicy::DELAY);
        let doubled = delay.saturating_mul(2_u32.saturating_pow(fails - 2));
        let least = doubled.min(RestartPolicy::MAX_DELAY) * 9 / 10;
        let now = self.now();
        let left = not_before.and_then(|d| d.left(&now.boot, now.boottime)).unwrap_or_default();
        let lost = self.host.containers.keys().any(|a| self.is_ahead(a));
        assert!(left >= least || lost, "C4: {} waits only {left:?}", task.service);
    }

    /// Whether a container belongs to an attempt whose decision was lost.
    fn is_ahead(&self, attempt: &AttemptId) -> bool {
        self.agreed.tasks.get(&attempt.task).is_some_and(|task| attempt.number > task.attempt)
    }

    /// C5: what a task needs is there when its first attempt is decided.
    fn check_dependencies(&self, task: &Task) {
        let stack = &self.agreed.stacks[&task.stack];
        for (name, dependency) in &stack.project.services[&task.service].depends_on {
            let Some(service) = stack.project.services.get(name) else { continue };
            let mine = self.agreed.tasks.iter().filter(|(_, other)| {
                other.service == *name
                    && other.want == Want::Run
                    && other.revision == stack.revisions[name]
            });
            let met = mine.filter(|(id, other)| {
                let phase = other
                    .current(**id)
                    .and_then(|attempt| self.host.containers.get(&attempt))
                    .map(|fake| &fake.phase);
                match dependency.condition {
                    Condition::Completed => matches!(other.outcome, Some(Outcome::Completed(_))),
                    Condition::Healthy => {
                        matches!(phase, Some(Phase::Running { health: Health::Healthy, .. }))
                    }
                    Condition::Started => phase.is_some(),
                }
            });
            let count = met.count() as u32;
            assert!(count >= service.replicas(), "C5: {} starts before {name}", task.service);
        }
    }

    /// C3: an update takes no more slots away at one time than it may.
    fn check_budget(&self, id: TaskId) {
        let task = &self.agreed.tasks[&id];
        let stack = self.agreed.stacks.get(&task.stack);
        let Some(stack) = stack.filter(|s| s.removing.is_none()) else { return };
        let Some(service) = stack.project.services.get(&task.service) else { return };
        let limit = service.deploy.update.parallelism;
        let networks_change = service.networks.keys().any(|key| {
            let wanted = &stack.project.networks[key];
            let agreed = self.agreed.networks.get(&wanted.name);
            agreed.is_none_or(|agreed| wanted.subnet.is_some_and(|s| s != agreed.subnet))
        });
        let user = stack.stopped.contains(&task.service) || task.slot > service.replicas();
        if limit == 0 || user || networks_change || !self.works(id, task) {
            return;
        }
        let others_down =
            (1..=service.replicas()).filter(|slot| *slot != task.slot).filter(|slot| {
                let mut here = self.agreed.tasks.iter().filter(|(_, t)| {
                    t.service == task.service && t.slot == *slot && t.want == Want::Run
                });
                !here.any(|(id, t)| self.works(*id, t))
            });
        assert!(
            (others_down.count() as u32) < limit,
            "C3: too many slots down for {}",
            task.service
        );
    }

    fn works(&self, id: TaskId, task: &Task) -> bool {
        let Some(attempt) = task.current(id) else { return false };
        match self.host.containers.get(&attempt).map(|fake| &fake.phase) {
            Some(Phase::Running { health, stopping: false, .. }) => {
                matches!(health, Health::None | Health::Healthy)
            }
            _ => matches!(task.outcome, Some(Outcome::Completed(_))),
        }
    }

    /// When a whole stack goes, what others need goes after them.
    fn check_order_of_removal(&self, id: TaskId) {
        let task = &self.agreed.tasks[&id];
        let Some(stack) = self.agreed.stacks.get(&task.stack).filter(|s| s.removing.is_some())
        else {
            return;
        };
        for (attempt, fake) in &self.host.containers {
            let runs = matches!(fake.phase, Phase::Running { .. });
            let needs = stack
                .project
                .services
                .get(&fake.place.1)
                .is_some_and(|service| service.depends_on.contains_key(&task.service));
            let known = self.agreed.tasks.contains_key(&attempt.task);
            assert!(!(runs && needs && known), "{} goes before {}", task.service, fake.place.1);
        }
    }

    /// Holds for every step, before it begins.
    pub(crate) fn check_step(&self, step: &Step) {
        let Step::Start(start) = step else { return };
        let id = start.attempt.task;
        let task = self.agreed.tasks.get(&id).expect("C9: starts what nobody decided");
        assert!(task.attempt == start.attempt.number && task.want == Want::Run, "C9");
        assert!(self.agreed.stacks[STACK].removing.is_none(), "starts what goes");
        let now = self.now();
        let waits = task.not_before.as_ref().and_then(|d| d.left(&now.boot, now.boottime));
        assert!(waits.is_none(), "C4: {} starts too soon", start.attempt);
    }

    /// C7 and C11: after a calm time all is as wanted.
    pub(crate) fn check_converged(&self) {
        for (name, stack) in &self.agreed.stacks {
            assert!(stack.removing.is_none(), "C7: {name} is still being removed");
            let status = &self.status()[name];
            assert!(status.failed.is_none(), "C7: {:?}", status.failed);
            let waits_for_stopped = stack.project.services.iter().any(|(service, definition)| {
                !stack.stopped.contains(service)
                    && definition.depends_on.keys().any(|dep| {
                        stack.stopped.contains(dep) || !stack.project.services.contains_key(dep)
                    })
            });
            assert!(
                status.converged || waits_for_stopped,
                "C7: {name} does not converge {status:#?}"
            );
        }
        let no_stack = self.agreed.stacks.is_empty();
        assert!(!no_stack || self.agreed.networks.is_empty(), "C7: networks are left");
        assert!(!no_stack || self.agreed.tasks.is_empty(), "C7: tasks are left");
        for (attempt, fake) in &self.host.containers {
            let task = self.agreed.tasks.get(&attempt.task);
            let owned = task.is_some_and(|task| task.attempt == attempt.number);
            assert!(owned, "C7: container {attempt} is left");
            let sick = matches!(fake.phase, Phase::Running { health: Health::Unhealthy, .. });
            assert!(!sick, "C11: {attempt} stays unhealthy");
        }
        for task in &self.host.sandboxes {
            assert!(self.agreed.tasks.contains_key(task), "C7: sandbox of {task} is left");
        }
        for volume in self.host.volumes.iter().filter_map(|v| v.strip_prefix("anonymous.t")) {
            let task = TaskId(volume.split('.').next().unwrap().parse().unwrap());
            assert!(self.agreed.tasks.contains_key(&task), "C7: volume of {task} is left");
        }
    }
}
