//! Starts that somebody waits for, to be connected with the program from its first byte on.

use tokio::sync::oneshot;

use super::LinuxHost;
use crate::model::ContainerId;
use crate::runtime::{Attach, StartError, StartRequest};

/// The container whose program runs, and its streams; or why it does not run.
pub type Started = Result<(ContainerId, Attach), StartError>;

impl LinuxHost {
    /// The next start of a container called `name`, which nobody has begun yet.
    pub fn expect_start(&self, name: &str) -> oneshot::Receiver<Started> {
        let (sender, receiver) = oneshot::channel();
        self.inner().expected.insert(name.to_owned(), sender);
        receiver
    }

    /// Nobody waits for the start of this container any more.
    pub fn forget_start(&self, name: &str) {
        self.inner().expected.remove(name);
    }

    /// Starts a container, and connects whoever waits for that.
    pub(super) async fn run_program(&self, request: StartRequest) -> Result<u32, StartError> {
        let runtime = &self.hands.runtime;
        let waiting = self.inner().expected.remove(&request.container.name);
        let Some(waiting) = waiting else { return runtime.start(request).await };
        let id = request.container.id.clone();
        // Whoever waited may be gone: then the program runs on without them.
        match runtime.start_attached(request).await {
            Ok((pid, attach)) => {
                drop(waiting.send(Ok((id, attach))));
                Ok(pid)
            }
            Err(error) => {
                drop(waiting.send(Err(error.clone())));
                Err(error)
            }
        }
    }

    /// Tells whoever waits for a start that there was none.
    pub(super) fn tell_not_started(&self, name: &str, error: StartError) {
        if let Some(waiting) = self.inner().expected.remove(name) {
            drop(waiting.send(Err(error)));
        }
    }
}
