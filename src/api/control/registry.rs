//! Calls about registries.

use tokio::sync::mpsc;

use super::ControlError;
use crate::model::{Credentials, Logins, Progress, PullPolicy};

/// Images are to be here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pull {
    /// Which.
    pub images: Vec<PullImage>,
    /// Who the caller is at their registries.
    pub logins: Logins,
}

/// An image that is to be here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PullImage {
    /// Its name, as the caller wrote it.
    pub reference: String,
    /// When its registry is asked.
    pub policy: PullPolicy,
    /// `os/architecture[/variant]`; `None` is the host's.
    pub platform: Option<String>,
}

/// Images are to be sent to their registries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Push {
    /// Their names, as the caller wrote them.
    pub references: Vec<String>,
    /// Who the caller is at their registries.
    pub logins: Logins,
}

/// What images stand for is to be found out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolve {
    /// Their names, as the caller wrote them.
    pub references: Vec<String>,
    /// Who the caller is at their registries.
    pub logins: Logins,
}

/// Who somebody says they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckLogin {
    /// At this registry.
    pub registry: String,
    /// With this.
    pub credentials: Credentials,
}

/// News of a transfer. Each image has exactly one that is the last: [`TransferEvent::Transferred`] or
/// [`TransferEvent::Failed`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// Which image of the request, from 0.
    pub image: u32,
    /// What happened.
    pub event: TransferEvent,
}

/// What happens to an image on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransferEvent {
    /// It goes on.
    Progress(Progress),
    /// It is where it is to be.
    Transferred(Transferred),
    /// It is not, and will not be.
    Failed(ControlError),
}

/// An image is where it is to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transferred {
    /// What its registry calls it; empty if it never was in one.
    pub digest: String,
    /// Whether anything of it moved.
    pub moved: bool,
    /// What the user should know, as a sentence.
    pub warning: Option<String>,
}

/// News of transfers, until all have ended. To drop it is to give them up.
pub type Transfers = mpsc::Receiver<Transfer>;
