//! Removes what an earlier daemon left half done: root file systems, logs, sandboxes, mounted volumes
//! and small files that belong to nothing any more.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

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
    sweep_tasks(&instance.root.join("logs"), agreed);
    sweep_tasks(&instance.run.join("tasks"), agreed);
    sweep_records(&instance.run, hands);
    sweep_volumes(hands)?;
    hands.networks.sweep_sandboxes().await?;
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
    // Nobody else makes any: this daemon is alone, and has not begun.
    hands.images.sweep_roots(Duration::ZERO)?;
    for root in hands.images.roots()? {
        if !known.contains(&root) {
            info!(container = root.short(), "removing a root file system that belongs to nothing");
            hands.images.remove_root(&root)?;
        }
    }
    Ok(())
}

/// What each task has an entry of its own for.
fn sweep_tasks(directory: &Path, agreed: &Agreed) {
    let known: BTreeSet<_> = agreed.tasks.keys().map(TaskId::to_string).collect();
    sweep_directory(directory, |name| known.contains(name));
}

/// What was noted of containers' health and hooks.
fn sweep_records(run: &Path, hands: &Hands) {
    let known = hands.runtime.containers();
    let is_known = |name: &str| name.parse().is_ok_and(|id| known.contains_key(&id));
    sweep_directory(&run.join("health"), is_known);
    sweep_directory(&run.join("hooks"), is_known);
}

fn sweep_directory(directory: &Path, is_known: impl Fn(&str) -> bool) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        if is_known(&entry.file_name().to_string_lossy()) {
            continue;
        }
        let path = entry.path();
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let removed = if is_directory { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        if let Err(error) = removed {
            warn!(path = %path.display(), %error, "cannot remove what belongs to nothing");
        }
    }
}

/// The file systems of volumes that no container has.
fn sweep_volumes(hands: &Hands) -> Result<(), DaemonError> {
    let mut used = BTreeSet::new();
    for record in hands.runtime.containers().into_values() {
        used.extend(record.container.volumes());
    }
    for volume in hands.volumes.list()? {
        if used.contains(&volume.name) {
            continue;
        }
        if let Err(error) = hands.volumes.detach(&volume.name) {
            warn!(
                volume = volume.name,
                error = &error as &dyn std::error::Error,
                "it stays mounted"
            );
        }
    }
    Ok(())
}
