//! The operations that are under way, and those that failed a moment ago.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::Problem;
use crate::model::{AttemptId, Boottime, ContainerId, TaskId};

/// The wait before a step that failed is begun again; it doubles with each further failure.
const RETRY_FIRST: Duration = Duration::from_millis(250);

/// The longest such wait.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// What an operation works on. Two operations on the same thing never run at once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    /// A container.
    Container(ContainerId),
    /// A task's sandbox.
    Sandbox(TaskId),
    /// A volume.
    Volume(String),
}

/// An operation as the host sees it.
#[derive(Debug, Clone)]
struct UnderWay {
    /// The attempt, if a program is being started.
    starting: Option<AttemptId>,
}

/// A failure that has not been followed by a success.
#[derive(Debug, Clone)]
struct Failure {
    count: u32,
    again_at: Boottime,
    problem: Problem,
}

/// All operations of a host.
#[derive(Debug, Default)]
pub(super) struct Operations {
    under_way: BTreeMap<Subject, UnderWay>,
    failures: BTreeMap<Subject, Failure>,
}

impl Operations {
    /// Whether an operation on `subject` may begin at `now`; if so, it has begun.
    pub(super) fn begin(
        &mut self,
        subject: &Subject,
        starting: Option<AttemptId>,
        now: Boottime,
    ) -> bool {
        let waits = self.failures.get(subject).is_some_and(|failure| failure.again_at > now);
        if waits || self.under_way.contains_key(subject) {
            return false;
        }
        self.under_way.insert(subject.clone(), UnderWay { starting });
        true
    }

    /// The operation on `subject` has ended well.
    pub(super) fn succeeded(&mut self, subject: &Subject) {
        self.under_way.remove(subject);
        self.failures.remove(subject);
    }

    /// The operation on `subject` has failed. Returns how long to wait before it is tried again.
    pub(super) fn failed(
        &mut self,
        subject: &Subject,
        now: Boottime,
        problem: Problem,
    ) -> Duration {
        self.under_way.remove(subject);
        let count = self.failures.get(subject).map_or(0, |failure| failure.count);
        let wait = RETRY_FIRST.saturating_mul(1 << count.min(16)).min(RETRY_MAX);
        let failure = Failure { count: count.saturating_add(1), again_at: now + wait, problem };
        self.failures.insert(subject.clone(), failure);
        wait
    }

    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Whether an operation on this container is under way.
    pub(super) fn busy(&self, id: &ContainerId) -> bool {
        self.under_way.contains_key(&Subject::Container(id.clone()))
    }

    /// The attempts whose programs are being started.
    pub(super) fn starting(&self) -> impl Iterator<Item = AttemptId> {
        self.under_way.values().filter_map(|operation| operation.starting)
    }

    /// What could not be done, and has not been done since.
    pub(super) fn problems(&self) -> Vec<Problem> {
        self.failures.values().map(|failure| failure.problem.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem() -> Problem {
        Problem { stack: String::new(), service: None, message: "no".to_owned() }
    }

    #[test]
    fn the_same_thing_is_worked_on_once_at_a_time() {
        let mut operations = Operations::default();
        let subject = Subject::Volume("data".to_owned());
        assert!(operations.begin(&subject, None, Boottime::default()));
        assert!(!operations.begin(&subject, None, Boottime::default()));
        operations.succeeded(&subject);
        assert!(operations.begin(&subject, None, Boottime::default()));
    }

    #[test]
    fn what_failed_waits_longer_each_time_and_never_for_ever() {
        let mut operations = Operations::default();
        let subject = Subject::Volume("data".to_owned());
        let mut now = Boottime::default();
        let mut last = Duration::ZERO;
        for _ in 0..40 {
            assert!(operations.begin(&subject, None, now));
            let wait = operations.failed(&subject, now, problem());
            assert!(!operations.begin(&subject, None, now), "it waits");
            assert!(wait >= last);
            assert!(wait <= RETRY_MAX);
            last = wait;
            now = now + wait;
        }
        assert_eq!(operations.problems().len(), 1);
    }
}
