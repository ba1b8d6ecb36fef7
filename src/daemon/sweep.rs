//! Removes what an earlier daemon left half done: root file systems, logs and sandboxes that belong to
//! nothing any more.

use std::collections::BTreeSet;

use tracing::{info, warn};

use super::DaemonError;
use crate::engine::linux::Hands;
use crate::model::{Agreed, Instance, TaskId};

/// Runs before the first pass, while nothing new is being made.
pub(super) async fn sweep(
    instance: &Instance,
    hands: &Hands,
    agreed: &Agreed,
) -> Result<(), DaemonError> {
    sweep_roots(hands)?;
    sweep_logs(instance, agreed);
    for task in hands.networks.sandboxes().await?.into_keys() {
        if !agreed.tasks.contains_key(&task) {
            info!(%task, "removing a sandbox that belongs to nothing");
            hands.networks.remove_sandbox(task).await?;
        }
    }
    Ok(())
}

fn sweep_roots(hands: &Hands) -> Result<(), DaemonError> {
    let known: BTreeSet<_> = hands.runtime.containers().into_keys().collect();
    for root in hands.images.roots()? {
        if !known.contains(&root) {
            info!(container = root.short(), "removing a root file system that belongs to nothing");
            hands.images.remove_root(&root)?;
        }
    }
    Ok(())
}

fn sweep_logs(instance: &Instance, agreed: &Agreed) {
    let directory = instance.root.join("logs");
    let known: BTreeSet<_> = agreed.tasks.keys().map(TaskId::to_string).collect();
    for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
        if known.contains(&*entry.file_name().to_string_lossy()) {
            continue;
        }
        if let Err(error) = std::fs::remove_dir_all(entry.path()) {
            warn!(path = %entry.path().display(), %error, "cannot remove an old log");
        }
    }
}
