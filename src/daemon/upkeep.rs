//! What the daemon does without being asked: it keeps images within their budget.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::timeout;
use tracing::{info, warn};

use super::control::Daemon;
use crate::model::Digest;

/// How often it looks although nothing has come: images grow old.
const ROUND: Duration = Duration::from_secs(3600);

/// How long an image that was pulled waits for the stack that it was pulled for: the others of the
/// stack may take a while.
pub(super) const PULLED: Duration = Duration::from_secs(120);

/// Asks for work.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    wake: Notify,
    /// Images that came, and until when they are to stay.
    came: Mutex<BTreeMap<Digest, Instant>>,
}

impl Upkeep {
    /// Images have come, which are about to be used: they stay for `time`, and in any case the next
    /// time that others go.
    pub(super) fn came(&self, images: impl IntoIterator<Item = Digest>, time: Duration) {
        let until = Instant::now() + time;
        let mut came = self.came.lock().unwrap_or_else(PoisonError::into_inner);
        for image in images {
            let known = came.entry(image).or_insert(until);
            *known = until.max(*known);
        }
        drop(came);
        self.wake.notify_one();
    }

    /// The images that are to stay, and how long to wait before looking again.
    fn take(&self) -> (BTreeSet<Digest>, Duration) {
        let now = Instant::now();
        let mut came = self.came.lock().unwrap_or_else(PoisonError::into_inner);
        let stay = came.keys().cloned().collect();
        came.retain(|_, until| *until > now);
        let first = came.values().min().map(|until| until.duration_since(now));
        (stay, first.map_or(ROUND, |first| first.min(ROUND)))
    }
}

/// Works until it is dropped.
pub(super) async fn run(daemon: Arc<Daemon>) {
    // Ends with the daemon, which drops it. Waits for images that come, or for the next round.
    loop {
        let (stay, wait) = daemon.upkeep().take();
        match daemon.keep_within_budget(stay).await {
            Ok(removed) if removed.deleted.is_empty() => {}
            Ok(removed) => {
                let (count, freed) = (removed.deleted.len(), removed.freed);
                info!(count, freed, names = ?removed.untagged, "removed images that were not used");
            }
            Err(error) => warn!(%error, "cannot keep images within their budget"),
        }
        // Either way there is something to look at.
        let _in_time = timeout(wait, daemon.upkeep().wake.notified()).await.is_ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_stays_once_or_for_its_time() {
        let digest = |digit: &str| Digest::sha256(&digit.repeat(64)).unwrap();
        let (loaded, pulled) = (digest("a"), digest("b"));
        let upkeep = Upkeep::default();
        assert_eq!(upkeep.take(), (BTreeSet::new(), ROUND));
        upkeep.came([loaded.clone()], Duration::ZERO);
        upkeep.came([pulled.clone()], PULLED);
        upkeep.came([pulled.clone()], Duration::ZERO);
        let (stay, wait) = upkeep.take();
        assert_eq!(stay, BTreeSet::from([loaded, pulled.clone()]));
        assert!(wait <= PULLED);
        assert_eq!(upkeep.take().0, BTreeSet::from([pulled]));
    }
}
