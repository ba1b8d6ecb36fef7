//! What health checks have found, and the tasks that keep asking.
//!
//! A check and its latest result are also kept in a small file in the run directory, so that a new
//! daemon goes on where the old one was killed instead of calling everything `starting` again.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tracing::{debug, warn};

use super::{LinuxHost, remove_quietly};
use crate::model::{Boottime, ContainerId, Health, HealthCheck};
use crate::runtime::ContainerPhase;
use crate::sys::clock;

/// The shortest interval between probes: a check of `0s` would take a core.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

/// How many of the latest results are kept for people.
const RESULTS_MAX: usize = 5;

/// How much of a probe's output is kept.
pub(super) const OUTPUT_MAX: usize = 4096;

/// What is known of one container's health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    check: HealthCheck,
    health: Health,
    since: Boottime,
    was_healthy: bool,
    /// Whether it was stopped because it was unhealthy.
    #[serde(default)]
    stopped: bool,
    /// Failures in a row that count.
    streak: u32,
    results: Vec<ProbeResult>,
}

/// What one probe found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ProbeResult {
    /// Whether the container is well.
    pub(super) healthy: bool,
    /// What it said.
    pub(super) output: String,
}

impl Record {
    fn new(check: HealthCheck, now: Boottime) -> Self {
        Self {
            check,
            health: Health::Starting,
            since: now,
            was_healthy: false,
            stopped: false,
            streak: 0,
            results: Vec::new(),
        }
    }

    /// Takes in a result of a probe that ended `age` after the container's start. Returns whether the
    /// health changed.
    fn take(&mut self, result: ProbeResult, age: Duration, now: Boottime) -> bool {
        let before = self.health;
        let start_period = self.check.start_period.unwrap_or_default();
        if result.healthy {
            self.streak = 0;
            self.was_healthy = true;
            self.health = Health::Healthy;
        } else if self.health != Health::Starting || age > start_period {
            self.streak = self.streak.saturating_add(1);
            if self.streak >= self.check.retries.unwrap_or(HealthCheck::RETRIES).max(1) {
                self.health = Health::Unhealthy;
            }
        }
        self.results.push(result);
        if self.results.len() > RESULTS_MAX {
            self.results.remove(0);
        }
        if self.health != before {
            self.since = now;
        }
        self.health != before
    }

    /// The wait before the next probe of a container of this age.
    fn wait(&self, age: Duration) -> Duration {
        let starting = self.health == Health::Starting
            && self.check.start_period.is_some_and(|period| age < period);
        let interval = if starting {
            self.check.start_interval.unwrap_or(HealthCheck::START_INTERVAL)
        } else {
            self.check.interval.unwrap_or(HealthCheck::INTERVAL)
        };
        interval.max(INTERVAL_MIN)
    }
}

/// The health of all containers that have a check.
#[derive(Debug, Default)]
pub(super) struct HealthRecords {
    records: BTreeMap<ContainerId, Record>,
    probing: BTreeMap<ContainerId, JoinHandle<()>>,
}

impl HealthRecords {
    /// A container's health and since when; `None` if it has no check.
    pub(super) fn of(&self, id: &ContainerId) -> Option<(Health, Boottime)> {
        self.records.get(id).map(|record| (record.health, record.since))
    }

    /// Whether it was ever healthy.
    pub(super) fn was_healthy(&self, id: &ContainerId) -> bool {
        self.records.get(id).is_some_and(|record| record.was_healthy)
    }

    /// Whether it was stopped because it was unhealthy.
    pub(super) fn was_stopped(&self, id: &ContainerId) -> bool {
        self.records.get(id).is_some_and(|record| record.stopped)
    }
}

impl LinuxHost {
    /// Expects a container that will have to be asked how it is: from its first moment on it is
    /// `starting`, never without a check.
    pub(super) fn expect_health(&self, id: &ContainerId, check: HealthCheck) {
        let record = Record::new(check, clock::boottime());
        self.write_health(id, &record);
        self.inner().health.records.insert(id.clone(), record);
    }

    /// Begins to ask a container that is expected.
    pub(super) fn begin_probing(self: &Arc<Self>, id: &ContainerId) {
        if self.health_record(id).is_none() {
            return;
        }
        let task = tokio::spawn(Arc::clone(self).keep_probing(id.clone()));
        if let Some(earlier) = self.inner().health.probing.insert(id.clone(), task) {
            earlier.abort();
        }
    }

    /// Takes in what an earlier daemon knew of a container's health.
    pub(super) fn recall_health(&self, id: &ContainerId) {
        let Ok(text) = std::fs::read(self.health_file(id)) else { return };
        match serde_json::from_slice(&text) {
            Ok(record) => drop(self.inner().health.records.insert(id.clone(), record)),
            Err(error) => warn!(%id, %error, "the health record is damaged; the check is off"),
        }
    }

    /// Notes that a container is stopped because it is unhealthy.
    pub(super) fn note_stopped_unhealthy(&self, id: &ContainerId) {
        let mut inner = self.inner();
        let Some(record) = inner.health.records.get_mut(id) else { return };
        record.stopped = true;
        let record = record.clone();
        drop(inner);
        self.write_health(id, &record);
    }

    /// Stops asking and forgets what was found.
    pub(super) fn forget_health(&self, id: &ContainerId) {
        let mut inner = self.inner();
        inner.health.records.remove(id);
        if let Some(task) = inner.health.probing.remove(id) {
            task.abort();
        }
        drop(inner);
        remove_quietly(&self.health_file(id));
    }

    async fn keep_probing(self: Arc<Self>, id: ContainerId) {
        let mut first = true;
        loop {
            let Some(age) = self.age(&id) else { return };
            let Some(record) = self.health_record(&id) else { return };
            let wait = record.wait(age);
            // Checks that were begun together do not stay together.
            sleep(if first { spread(&id, wait) } else { wait }).await;
            first = false;
            if self.age(&id).is_none() {
                return;
            }
            let result = self.probe(&id, &record.check).await;
            let Some(age) = self.age(&id) else { return };
            self.take_result(&id, result, age);
        }
    }

    fn take_result(&self, id: &ContainerId, result: ProbeResult, age: Duration) {
        debug!(%id, healthy = result.healthy, output = result.output, "probed");
        let mut inner = self.inner();
        let Some(record) = inner.health.records.get_mut(id) else { return };
        let changed = record.take(result, age, clock::boottime());
        let record = record.clone();
        drop(inner);
        if changed {
            self.write_health(id, &record);
            self.touch();
        }
    }

    /// How long a container has run; `None` if it does not.
    fn age(&self, id: &ContainerId) -> Option<Duration> {
        match self.hands.runtime.containers().get(id)?.phase {
            ContainerPhase::Running { since, .. } => Some(clock::boottime().since(since)),
            _ => None,
        }
    }

    fn health_record(&self, id: &ContainerId) -> Option<Record> {
        self.inner().health.records.get(id).cloned()
    }

    /// What the latest probes of a container said, the oldest first.
    pub fn health_log(&self, id: &ContainerId) -> Vec<(bool, String)> {
        let results = self.health_record(id).map(|record| record.results).unwrap_or_default();
        results.into_iter().map(|result| (result.healthy, result.output)).collect()
    }

    fn health_file(&self, id: &ContainerId) -> PathBuf {
        self.instance.run.join("health").join(id.as_str())
    }

    /// A record that cannot be written costs a new daemon one round of probes, nothing else.
    fn write_health(&self, id: &ContainerId, record: &Record) {
        let path = self.health_file(id);
        let write = || -> std::io::Result<()> {
            if let Some(directory) = path.parent() {
                std::fs::create_dir_all(directory)?;
            }
            let new = path.with_extension("new");
            std::fs::write(&new, serde_json::to_vec(record)?)?;
            std::fs::rename(&new, &path)
        };
        if let Err(error) = write() {
            warn!(%id, %error, "cannot keep the health record");
        }
    }
}

/// A wait between nine tenths of `wait` and `wait`, always the same for one container. The first probe
/// of a quick check still comes quickly.
fn spread(id: &ContainerId, wait: Duration) -> Duration {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    wait - wait / 1000 * u32::try_from(hasher.finish() % 100).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn record(retries: u32, start_period: Duration) -> Record {
        let check = HealthCheck {
            retries: Some(retries),
            start_period: Some(start_period),
            ..HealthCheck::default()
        };
        Record::new(check, Boottime::default())
    }

    fn after(record: &mut Record, results: &[(bool, u32)]) -> Health {
        for (healthy, age) in results {
            let result = ProbeResult { healthy: *healthy, output: String::new() };
            record.take(result, SECOND * *age, Boottime(SECOND * *age));
        }
        record.health
    }

    #[test]
    fn failures_in_a_row_make_a_container_unhealthy() {
        assert_eq!(after(&mut record(2, Duration::ZERO), &[(false, 1)]), Health::Starting);
        assert_eq!(
            after(&mut record(2, Duration::ZERO), &[(false, 1), (false, 2)]),
            Health::Unhealthy
        );
    }

    #[test]
    fn a_success_ends_the_row() {
        let results = [(true, 1), (false, 2), (true, 3), (false, 4)];
        assert_eq!(after(&mut record(2, Duration::ZERO), &results), Health::Healthy);
    }

    #[test]
    fn failures_in_the_start_period_do_not_count() {
        let results = [(false, 1), (false, 2), (false, 3)];
        assert_eq!(after(&mut record(1, SECOND * 5), &results), Health::Starting);
    }

    #[test]
    fn after_the_first_success_the_start_period_is_over() {
        assert_eq!(after(&mut record(1, SECOND * 5), &[(true, 1), (false, 2)]), Health::Unhealthy);
    }

    #[test]
    fn an_unhealthy_container_can_become_healthy_again() {
        assert_eq!(
            after(&mut record(1, Duration::ZERO), &[(false, 1), (true, 2)]),
            Health::Healthy
        );
    }

    #[test]
    fn the_start_interval_holds_only_while_starting() {
        let mut record = record(1, SECOND * 60);
        assert_eq!(record.wait(SECOND), HealthCheck::START_INTERVAL);
        after(&mut record, &[(true, 1)]);
        assert_eq!(record.wait(SECOND), HealthCheck::INTERVAL);
    }
}
