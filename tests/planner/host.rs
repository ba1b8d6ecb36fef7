//! The made-up host: containers, sandboxes, volumes, and effects that take their time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use orca::model::*;
use orca::plan::{Step, StopReason};

use crate::project::BEHAVIOUR;

/// What is on the host.
#[derive(Default)]
pub(crate) struct Host {
    pub(crate) containers: BTreeMap<AttemptId, Fake>,
    pub(crate) sandboxes: BTreeSet<TaskId>,
    pub(crate) volumes: BTreeSet<String>,
    /// Sandboxes and volumes that are being removed: the engine does not begin that twice.
    pub(crate) removing: BTreeSet<String>,
}

/// A container.
#[derive(Clone, Debug)]
pub(crate) struct Fake {
    pub(crate) id: ContainerId,
    pub(crate) phase: Phase,
    pub(crate) busy: bool,
    pub(crate) behaviour: String,
    pub(crate) has_check: bool,
    /// Stack, service and slot.
    pub(crate) place: (String, String, u32),
    pub(crate) was_healthy: bool,
    pub(crate) told_unhealthy: bool,
}

impl Host {
    pub(crate) fn observed(&self) -> Observed {
        let seen = |(attempt, fake): (&AttemptId, &Fake)| {
            let container = ObservedContainer {
                id: fake.id.clone(),
                phase: fake.phase.clone(),
                busy: fake.busy,
            };
            (*attempt, container)
        };
        Observed {
            containers: self.containers.iter().map(seen).collect(),
            sandboxes: self.sandboxes.clone(),
            volumes: self.volumes.clone(),
            on_link: vec!["10.192.0.0/12".parse().unwrap()],
            ..Observed::default()
        }
    }

    /// Begins a step. False if it is under way already and nothing has to be done.
    pub(crate) fn begin(&mut self, step: &Step) -> bool {
        match step {
            Step::Start(start) => {
                let labels = &start.container.labels;
                let fake = Fake {
                    id: start.container.id.clone(),
                    phase: Phase::Creating,
                    busy: true,
                    behaviour: labels[BEHAVIOUR].clone(),
                    has_check: start.health.is_some(),
                    place: (
                        labels[labels::PROJECT].clone(),
                        labels[labels::SERVICE].clone(),
                        labels[labels::NUMBER].parse().unwrap(),
                    ),
                    was_healthy: false,
                    told_unhealthy: false,
                };
                let before = self.containers.insert(start.attempt, fake);
                assert!(before.is_none_or(|fake| !fake.busy), "C6: starts twice {}", start.attempt);
                true
            }
            Step::Stop { attempt, reason, .. } => {
                let fake = self.containers.get_mut(attempt).expect("stops what is not there");
                assert!(!fake.busy, "C6: stops what is busy {attempt}");
                fake.busy = true;
                fake.told_unhealthy = *reason == StopReason::Unhealthy;
                if let Phase::Running { stopping, .. } = &mut fake.phase {
                    assert!(!*stopping, "C6: stops twice {attempt}");
                    *stopping = true;
                }
                true
            }
            Step::Remove { id, .. } => {
                let (attempt, fake) = self.by_id(id).expect("removes what is not there");
                assert!(!fake.busy, "C6: removes what is busy {attempt}");
                assert!(matches!(fake.phase, Phase::Exited(_)), "removes what runs {attempt}");
                fake.busy = true;
                true
            }
            Step::RemoveSandbox { task } => {
                assert!(self.sandboxes.contains(task), "removes a sandbox that is not there");
                self.removing.insert(task.to_string())
            }
            Step::RemoveVolume { name } => {
                assert!(self.volumes.contains(name), "removes a volume that is not there");
                self.removing.insert(name.clone())
            }
        }
    }

    /// A step ends, in success or not. Returns the attempt whose program has begun to run, if one has.
    pub(crate) fn end(&mut self, step: &Step, success: bool, now: Boottime) -> Option<AttemptId> {
        match step {
            Step::Start(start) => {
                self.sandboxes.insert(start.attempt.task);
                self.volumes.extend(start.volumes.iter().map(|volume| volume.name.clone()));
                let fake = self.containers.get_mut(&start.attempt)?;
                fake.busy = false;
                if !success {
                    let error = Some("the host said no".to_owned());
                    fake.phase =
                        Phase::Exited(Exit { code: 127, error, at: now, ..Exit::default() });
                    return None;
                }
                fake.phase = Phase::Running {
                    since: now,
                    pid: 1,
                    health: if fake.has_check { Health::Starting } else { Health::None },
                    health_since: now,
                    stopping: false,
                    paused: false,
                };
                return Some(start.attempt);
            }
            Step::Stop { attempt, .. } => {
                let fake = self.containers.get_mut(attempt)?;
                fake.busy = false;
                match (&mut fake.phase, success) {
                    (Phase::Running { stopping, .. }, false) => *stopping = false,
                    (Phase::Running { .. }, true) => self.exit(*attempt, 143, now),
                    (phase @ Phase::Creating, _) => *phase = Phase::Exited(Exit::default()),
                    (Phase::Exited(_), _) => {}
                }
            }
            Step::Remove { id, .. } => {
                let (attempt, fake) = self.by_id(id)?;
                fake.busy = false;
                if success {
                    self.containers.remove(&attempt);
                }
            }
            Step::RemoveSandbox { task } => {
                self.removing.remove(&task.to_string());
                if success {
                    self.sandboxes.remove(task);
                }
            }
            Step::RemoveVolume { name } => {
                self.removing.remove(name);
                if success {
                    self.volumes.remove(name);
                }
            }
        }
        None
    }

    /// A program ends.
    pub(crate) fn exit(&mut self, attempt: AttemptId, code: i32, now: Boottime) {
        let Some(fake) = self.containers.get_mut(&attempt) else { return };
        if let Phase::Running { since, .. } = fake.phase {
            fake.phase = Phase::Exited(Exit {
                code,
                at: now,
                ran: now.since(since),
                unhealthy: fake.told_unhealthy,
                was_healthy: fake.was_healthy,
                ..Exit::default()
            });
        }
    }

    /// A check says something new.
    pub(crate) fn health(&mut self, attempt: AttemptId, says: Health, now: Boottime) {
        let Some(fake) = self.containers.get_mut(&attempt) else { return };
        if let Phase::Running { health, health_since, .. } = &mut fake.phase {
            (*health, *health_since) = (says, now);
            fake.was_healthy |= says == Health::Healthy;
        }
    }

    /// The daemon died: what it had begun is settled, and it forgets that it had.
    pub(crate) fn forget(&mut self) {
        self.removing.clear();
        for fake in self.containers.values_mut() {
            fake.busy = false;
            if let Phase::Running { stopping, .. } = &mut fake.phase {
                *stopping = false;
            }
        }
        self.containers.retain(|_, fake| fake.phase != Phase::Creating);
    }

    /// The host was restarted.
    pub(crate) fn reboot(&mut self) {
        self.containers.clear();
        self.sandboxes.clear();
        self.removing.clear();
    }

    fn by_id(&mut self, id: &ContainerId) -> Option<(AttemptId, &mut Fake)> {
        let found = self.containers.iter_mut().find(|(_, fake)| fake.id == *id);
        found.map(|(attempt, fake)| (*attempt, fake))
    }
}

/// How long a step takes at most.
pub(crate) fn longest(step: &Step) -> Duration {
    match step {
        Step::Start(_) => Duration::from_secs(3),
        Step::Stop { .. } => Duration::from_secs(10),
        _ => Duration::from_millis(500),
    }
}
