//! What the daemon does without being asked: it keeps images within their budget.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;
use tracing::{info, warn};

use super::control::Daemon;
use crate::model::Digest;

/// How often it looks although nothing has come: images grow old.
const ROUND: Duration = Duration::from_secs(3600);

/// Asks for work.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    wake: Notify,
    /// Images that came since the last time.
    came: Mutex<BTreeSet<Digest>>,
}

impl Upkeep {
    /// Images have come, or were used.
    pub(super) fn came(&self, images: impl IntoIterator<Item = Digest>) {
        self.came.lock().unwrap_or_else(PoisonError::into_inner).extend(images);
        self.wake.notify_one();
    }

    fn take(&self) -> BTreeSet<Digest> {
        std::mem::take(&mut *self.came.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Works until it is dropped.
pub(super) async fn run(daemon: Arc<Daemon>) {
    // Ends with the daemon, which drops it. Waits for images that come, or for the next round.
    loop {
        let just_come = daemon.upkeep().take();
        match daemon.keep_within_budget(just_come).await {
            Ok(removed) if removed.deleted.is_empty() => {}
            Ok(removed) => {
                let (count, freed) = (removed.deleted.len(), removed.freed);
                info!(count, freed, names = ?removed.untagged, "removed images that were not used");
            }
            Err(error) => warn!(%error, "cannot keep images within their budget"),
        }
        // Either way there is something to look at.
        let _in_time = timeout(ROUND, daemon.upkeep().wake.notified()).await.is_ok();
    }
}
