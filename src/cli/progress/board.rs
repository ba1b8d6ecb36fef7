//! What there is to show: one row for each task, with its latest word.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::model::{Health, StackStatus, TaskId, TaskState, TaskStatus};

/// One row for each task that is there or was there when the waiting began.
#[derive(Debug, Default)]
pub(super) struct Board {
    rows: BTreeMap<TaskId, Row>,
    stack: String,
}

/// How a task is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// Such as `web-1`.
    pub(super) name: String,
    /// Such as `started`.
    pub(super) word: String,
    /// Whether this is how it is to be.
    pub(super) mood: Mood,
    /// How often it was restarted.
    restarts: u32,
    /// Since when things happen to it; `None` if nothing has happened yet.
    since: Option<Instant>,
    /// How long it took until it was as it is to be.
    took: Option<Duration>,
}

/// Good, bad, or not yet either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Good,
    Bad,
    Busy,
}

impl Board {
    /// Begins with what was there before.
    pub(super) fn new(before: Option<&StackStatus>) -> Self {
        let mut board = Self::default();
        if let Some(status) = before {
            board.stack.clone_from(&status.name);
            for task in &status.tasks {
                board.rows.insert(task.task, Row::of(task, &status.name));
            }
        }
        board
    }

    /// Takes in how the stack is now; the lines that tell what is new.
    pub(super) fn update(&mut self, status: Option<&StackStatus>, now: Instant) -> Vec<String> {
        let mut news = Vec::new();
        let tasks = status.map(|status| status.tasks.as_slice()).unwrap_or_default();
        let name = status.map(|status| status.name.as_str()).unwrap_or_default();
        for task in tasks {
            let row = Row::of(task, name);
            news.extend(self.put(task.task, row, now));
        }
        for (task, row) in &mut self.rows {
            let gone = tasks.iter().all(|there| there.task != *task);
            if gone && row.word != REMOVED {
                let removed = Row { word: REMOVED.to_owned(), mood: Mood::Good, ..row.clone() };
                *row = removed.after(Some(row), now);
                // One that was replaced lives on in the one that has its name now.
                if tasks.iter().all(|there| short(&there.name, name) != row.name) {
                    news.push(row.line());
                }
            }
        }
        news
    }

    /// Rows by name; of several tasks with one name the latest that is there.
    pub(super) fn rows(&self) -> Vec<&Row> {
        let mut latest: BTreeMap<(&str, u32), &Row> = BTreeMap::new();
        for row in self.rows.values() {
            let place = latest.entry(natural(&row.name)).or_insert(row);
            if row.word != REMOVED || place.word == REMOVED {
                *place = row;
            }
        }
        latest.into_values().collect()
    }

    fn put(&mut self, task: TaskId, row: Row, now: Instant) -> Option<String> {
        let before = self.rows.get(&task);
        let same = before
            .is_some_and(|before| (&before.word, before.restarts) == (&row.word, row.restarts));
        if same {
            return None;
        }
        let row = row.after(before, now);
        let line = row.line();
        self.rows.insert(task, row);
        Some(line)
    }
}

/// The word for a task that is gone.
const REMOVED: &str = "removed";

impl Row {
    fn of(task: &TaskStatus, stack: &str) -> Self {
        let (word, mood) = word(task);
        Self {
            name: short(&task.name, stack).to_owned(),
            word,
            mood,
            restarts: task.restarts,
            since: None,
            took: None,
        }
    }

    /// With the times that follow from how it was before.
    fn after(self, before: Option<&Self>, now: Instant) -> Self {
        let since = before.and_then(|before| before.since).unwrap_or(now);
        let settled = self.mood != Mood::Busy;
        let took = settled.then(|| now.saturating_duration_since(since));
        Self { since: Some(since), took, ..self }
    }

    /// `web-1  started`.
    fn line(&self) -> String {
        format!("{}  {}", self.name, self.word)
    }

    /// How long it has taken; `None` if nothing has happened to it.
    pub(super) fn elapsed(&self, now: Instant) -> Option<Duration> {
        self.took.or_else(|| Some(now.saturating_duration_since(self.since?)))
    }
}

/// A task's latest word.
fn word(task: &TaskStatus) -> (String, Mood) {
    let because = |word: &str| match &task.reason {
        Some(reason) if reason.starts_with(word) => reason.clone(),
        Some(reason) => format!("{word}: {reason}"),
        None => word.to_owned(),
    };
    match (task.state, task.health) {
        (TaskState::Pending, _) => {
            (task.reason.clone().unwrap_or("waiting".to_owned()), Mood::Busy)
        }
        (TaskState::Starting, _) => ("starting".to_owned(), Mood::Busy),
        (TaskState::Running, Health::None) => ("started".to_owned(), Mood::Good),
        (TaskState::Running, Health::Starting) => ("started".to_owned(), Mood::Busy),
        (TaskState::Running, Health::Healthy) => ("healthy".to_owned(), Mood::Good),
        (TaskState::Running, Health::Unhealthy) => (because("unhealthy"), Mood::Bad),
        (TaskState::Paused, _) => ("paused".to_owned(), Mood::Good),
        (TaskState::Restarting, _) => (because("restarting"), Mood::Bad),
        (TaskState::Stopping, _) => ("stopping".to_owned(), Mood::Busy),
        (TaskState::Completed | TaskState::Failed, _) if !task.wanted => {
            ("stopped".to_owned(), Mood::Good)
        }
        (TaskState::Completed, _) => ("completed".to_owned(), Mood::Good),
        (TaskState::Failed, _) => (because("failed"), Mood::Bad),
    }
}

/// `shop-web-1` of stack `shop` is `web-1`.
fn short<'a>(name: &'a str, stack: &str) -> &'a str {
    name.strip_prefix(stack).and_then(|rest| rest.strip_prefix('-')).unwrap_or(name)
}

/// Sorts `web-10` behind `web-9`.
fn natural(name: &str) -> (&str, u32) {
    let number = |text: &str| text.parse().ok();
    name.rsplit_once('-')
        .and_then(|(service, slot)| Some((service, number(slot)?)))
        .unwrap_or((name, 0))
}

#[cfg(test)]
mod tests;
