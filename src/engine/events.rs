//! What changed between two observations, as events.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;

use super::Event;
use crate::model::{
    Agreed, AttemptId, Exit, Health, Observed, ObservedContainer, Phase, Timestamp,
};

/// So many events are kept for those who ask later.
const KEPT: usize = 512;

/// Tells events to whoever listens, and keeps the latest. Cheap to clone; all clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Events {
    sender: broadcast::Sender<Event>,
    latest: Arc<Mutex<VecDeque<Event>>>,
}

impl Events {
    /// Nothing has happened yet. A listener that is further behind than `most` loses the oldest.
    pub(super) fn new(most: usize) -> Self {
        Self { sender: broadcast::Sender::new(most), latest: Arc::default() }
    }

    /// Tells an event.
    pub(super) fn tell(&self, event: Event) {
        let mut latest = self.latest();
        if latest.len() == KEPT {
            latest.pop_front();
        }
        latest.push_back(event.clone());
        // Still locked, so that whoever asks now gets it once. Nobody listening is fine.
        drop(self.sender.send(event));
    }

    /// What happened at `since` or later, as far as it is kept, and what happens from now on.
    pub(super) fn listen(
        &self,
        since: Option<Timestamp>,
    ) -> (Vec<Event>, broadcast::Receiver<Event>) {
        let latest = self.latest();
        let wanted = |event: &&Event| since.is_some_and(|since| event.time >= since);
        (latest.iter().filter(wanted).cloned().collect(), self.sender.subscribe())
    }

    fn latest(&self) -> MutexGuard<'_, VecDeque<Event>> {
        // Nothing panics while it is held.
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells an event for each difference between `before` and `after`.
pub(super) fn tell(
    events: &Events,
    before: &Observed,
    after: &Observed,
    agreed: &Agreed,
    time: Timestamp,
) {
    for event in differences(before, after, agreed, time) {
        events.tell(event);
    }
}

fn differences(
    before: &Observed,
    after: &Observed,
    agreed: &Agreed,
    time: Timestamp,
) -> Vec<Event> {
    let mut found = Vec::new();
    for (attempt, container) in &after.containers {
        let earlier = before.containers.get(attempt).map(|c| &c.phase);
        for (action, attributes) in changes(earlier, &container.phase) {
            found.push(event(agreed, *attempt, container, time, action, attributes));
        }
    }
    for (attempt, container) in &before.containers {
        if !after.containers.contains_key(attempt) {
            found.push(event(agreed, *attempt, container, time, "destroy".to_owned(), vec![]));
        }
    }
    found
}

type Change = (String, Vec<(&'static str, String)>);

/// The steps of one container's life between two looks at it, in the order in which they happened.
fn changes(before: Option<&Phase>, after: &Phase) -> Vec<Change> {
    let mut found: Vec<Change> = Vec::new();
    if before.is_none() {
        found.push(("create".to_owned(), vec![]));
    }
    let ran = matches!(before, Some(Phase::Running { .. } | Phase::Exited(_)));
    if !ran && started(after) {
        found.push(("start".to_owned(), vec![]));
    }
    if let Phase::Running { health, paused, .. } = after {
        let (was, was_paused) = match before {
            Some(Phase::Running { health, paused, .. }) => (*health, *paused),
            _ => (Health::None, false),
        };
        if was != *health && *health != Health::None {
            found.push((format!("health_status: {}", word(*health)), vec![]));
        }
        if was_paused != *paused {
            found.push((if *paused { "pause" } else { "unpause" }.to_owned(), vec![]));
        }
    }
    if let (Phase::Exited(exit), false) = (after, matches!(before, Some(Phase::Exited(_)))) {
        found.extend(exit.oom.then(|| ("oom".to_owned(), vec![])));
        found.push(("die".to_owned(), vec![("exitCode", exit.code.to_string())]));
    }
    found
}

fn started(phase: &Phase) -> bool {
    match phase {
        Phase::Creating => false,
        Phase::Running { .. } => true,
        Phase::Exited(Exit { error, .. }) => error.is_none(),
    }
}

fn word(health: Health) -> &'static str {
    match health {
        Health::None => "none",
        Health::Starting => "starting",
        Health::Healthy => "healthy",
        Health::Unhealthy => "unhealthy",
    }
}

fn event(
    agreed: &Agreed,
    attempt: AttemptId,
    container: &ObservedContainer,
    time: Timestamp,
    action: String,
    attributes: Vec<(&'static str, String)>,
) -> Event {
    let task = agreed.tasks.get(&attempt.task);
    let mut attributes: BTreeMap<String, String> =
        attributes.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    if let Some(task) = task {
        attributes.insert("slot".to_owned(), task.slot.to_string());
        attributes.insert("attempt".to_owned(), attempt.to_string());
    }
    Event {
        time,
        action,
        stack: task.map(|task| task.stack.clone()).unwrap_or_default(),
        service: task.map(|task| task.service.clone()),
        container: Some(container.id.clone()),
        attributes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Boottime;

    fn running(health: Health) -> Phase {
        Phase::Running {
            since: Boottime::default(),
            pid: 1,
            health,
            health_since: Boottime::default(),
            stopping: false,
            paused: false,
        }
    }

    fn check(before: Option<Phase>, after: Phase, expected: &[&str]) {
        let actions: Vec<String> =
            changes(before.as_ref(), &after).into_iter().map(|(action, _)| action).collect();
        assert_eq!(actions, expected);
    }

    #[test]
    fn a_container_that_came_and_went_between_two_looks_is_told_whole() {
        check(
            None,
            Phase::Exited(Exit { code: 3, ..Exit::default() }),
            &["create", "start", "die"],
        );
    }

    #[test]
    fn a_program_that_could_not_be_started_did_not_start() {
        let exit = Exit { code: 127, error: Some("not found".to_owned()), ..Exit::default() };
        check(Some(Phase::Creating), Phase::Exited(exit), &["die"]);
    }

    #[test]
    fn health_is_told_when_it_changes() {
        check(
            Some(running(Health::Starting)),
            running(Health::Healthy),
            &["health_status: healthy"],
        );
        check(Some(running(Health::Healthy)), running(Health::Healthy), &[]);
    }

    #[test]
    fn lack_of_memory_is_told_before_the_end() {
        let exit = Exit { code: 137, oom: true, ..Exit::default() };
        check(Some(running(Health::None)), Phase::Exited(exit), &["oom", "die"]);
    }
}
