//! The agreed state on disk: commands in, state out.
//!
//! `apply` is pure and deterministic; the log and its snapshots survive a kill at any instruction.
//! What is behind [`Store`] may become a replicated log: its users only see commands go in, and the
//! state that they led to come out.

#![warn(clippy::disallowed_types)]

mod apply;
mod check;
mod disk;
mod error;
mod log;
mod record;
mod snapshot;
#[cfg(test)]
mod tests;

use std::path::Path;

use crate::model::{Agreed, Command, Decision};

pub use apply::{Refused, apply};
pub use error::{CommitError, StoreError};

/// The agreed state and its log.
#[derive(Debug)]
pub struct Store {
    log: log::Log,
    agreed: Agreed,
    /// Whether `agreed` has decisions that are not in the log.
    volatile: bool,
}

impl Store {
    /// Opens the store under `root`, or makes it. Returns it with what was agreed so far.
    ///
    /// A record that was cut off by a crash at the end of the log was never acknowledged, and is
    /// dropped. Damage anywhere else is an error that names the file and the place, and nothing is
    /// changed.
    pub fn open(root: &Path) -> Result<(Self, Agreed), StoreError> {
        let (log, agreed) = log::Log::open(root)?;
        Ok((Self { log, agreed: agreed.clone(), volatile: false }, agreed))
    }

    /// What is agreed.
    pub fn agreed(&self) -> &Agreed {
        &self.agreed
    }

    /// Applies a command, and returns once it is on disk; decisions about attempts need only survive the
    /// daemon. On any error what is agreed is as before.
    ///
    /// While earlier decisions could not be written ([`Store::apply_volatile`]), the whole state is
    /// written first: the command may rest on them.
    pub fn commit(&mut self, command: &Command) -> Result<&Agreed, CommitError> {
        let mut next = self.agreed.clone();
        check::command(&next, command)?;
        apply::perform(&mut next, command)?;
        if self.volatile {
            self.log.replace(&self.agreed)?;
            self.volatile = false;
        }
        self.log.mend(&self.agreed)?;
        self.log.append(command, is_lasting(command))?;
        self.agreed = next;
        if self.log.wants_snapshot() {
            // The command is safe already: a snapshot that fails (no space) is tried again later.
            if let Err(error) = self.log.snapshot(&self.agreed) {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot shorten the log");
            }
        }
        Ok(&self.agreed)
    }

    /// Applies what the planner decided in memory only, when [`Store::commit`] could not write it: with
    /// a full disk containers are still restarted. The next commit that succeeds writes it too; if the
    /// daemon dies before, the planner decides again from what runs.
    pub fn apply_volatile(&mut self, command: &Command) -> Result<&Agreed, Refused> {
        apply(&mut self.agreed, command)?;
        self.volatile = true;
        Ok(&self.agreed)
    }

    /// Whether what is agreed is on disk as it is in memory.
    pub fn is_durable(&self) -> bool {
        !self.volatile
    }
}

/// Whether a command must be safe from a loss of power when it has been committed. What was decided of
/// attempts means nothing in the next boot, in which their containers are gone: that it survives the
/// daemon is enough, and a restart does not wait for the disk. It is on the disk with the next command
/// that must be there.
fn is_lasting(command: &Command) -> bool {
    let passing = |decision: &Decision| {
        matches!(decision, Decision::NextAttempt { .. } | Decision::ResetFails { .. })
    };
    !matches!(command, Command::Decide(group) if group.iter().all(passing))
}
