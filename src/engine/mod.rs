//! Makes the host match the plan, for as long as the daemon runs.
//!
//! The loop is level-triggered: every pass observes the host, plans from scratch, commits what was
//! decided and only then acts. A pass that is cut short, fails or repeats is therefore harmless.
//! [`Host`] is the one seam between decisions and effects; [`linux::LinuxHost`] is the real one.

mod events;
pub mod linux;
mod looping;
#[cfg(test)]
mod tests;
mod view;

use std::sync::Arc;

use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::model::{Agreed, Command, NetworkTable, Now, Observed, Timestamp};
use crate::plan::Step;
use crate::store::{CommitError, Store};

use events::Events;
pub use looping::run;
pub use view::*;

/// How many requests may wait for the loop.
const REQUESTS_MAX: usize = 256;

/// How many events a slow listener may be behind before it loses the oldest.
const EVENTS_MAX: usize = 4096;

/// Everything the loop can see and do.
pub trait Host: Send + Sync + 'static {
    /// What there is now, with the operations that are under way marked as busy. `agreed` tells
    /// which containers are known.
    fn observe(&self, agreed: &Agreed) -> impl Future<Output = Observed> + Send;
    /// Puts the network in force. Cheap when it is in force already.
    fn put_network(
        &self,
        agreed: &Arc<Agreed>,
        table: &NetworkTable,
    ) -> impl Future<Output = Vec<Problem>> + Send;
    /// Begins a step and returns at once. A step that is under way already is not begun again, and
    /// one that failed a moment ago waits.
    fn begin(self: &Arc<Self>, step: Step);
    /// What steps could not do.
    fn problems(&self) -> Vec<Problem>;
    /// The clocks.
    fn now(&self) -> Now;
    /// Counts up whenever something on the host may have changed.
    fn changed(&self) -> watch::Receiver<u64>;
}

/// A handle on the loop. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    requests: mpsc::Sender<Request>,
    view: watch::Receiver<Arc<View>>,
    events: Events,
}

/// A command on its way to the loop, and where the answer goes.
#[derive(Debug)]
pub struct Request {
    command: Command,
    answer: oneshot::Sender<Result<Arc<View>, CommitError>>,
}

/// What the loop itself holds of the channels whose other ends are in [`Engine`].
#[derive(Debug)]
pub struct Ends {
    requests: mpsc::Receiver<Request>,
    view: watch::Sender<Arc<View>>,
    events: Events,
}

/// The loop has ended: the daemon is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the daemon is stopping")]
pub struct Stopping;

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// It was refused, or could not be written down.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// There is nobody to carry it out.
    #[error(transparent)]
    Stopping(#[from] Stopping),
}

impl Engine {
    /// A handle and the ends that [`run`] takes.
    pub fn new() -> (Self, Ends) {
        let (request_sender, requests) = mpsc::channel(REQUESTS_MAX);
        let (view_sender, view) = watch::channel(Arc::default());
        let events = Events::new(EVENTS_MAX);
        let ends = Ends { requests, view: view_sender, events: events.clone() };
        (Self { requests: request_sender, view, events }, ends)
    }

    /// Commits a command. The answer is the view that first contains it: by then it is on disk.
    ///
    /// # Errors
    /// If the command is refused or cannot be written, or the daemon is stopping.
    pub async fn commit(&self, command: Command) -> Result<Arc<View>, EngineError> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(Request { command, answer }).await.map_err(|_| Stopping)?;
        Ok(answered.await.map_err(|_| Stopping)??)
    }

    /// The latest view, and news of each further one.
    pub fn view(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    /// What happens from now on; before it, what happened at `since` or later, as far as it is kept.
    pub fn events(&self, since: Option<Timestamp>) -> (Vec<Event>, broadcast::Receiver<Event>) {
        self.events.listen(since)
    }

    /// Tells listeners of something that did not come from the loop.
    pub fn tell(&self, event: Event) {
        self.events.tell(event);
    }
}

/// What [`run`] starts from.
#[derive(Debug)]
pub struct Start<H> {
    /// The host to act on.
    pub host: Arc<H>,
    /// Where decisions are written.
    pub store: Store,
}
