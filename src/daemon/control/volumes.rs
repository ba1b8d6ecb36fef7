//! Named volumes.

use super::system::size;
use super::{Daemon, blocking};
use crate::api::control::{Answer, ControlError, ErrorKind, RemovedVolumes, VolumeSummary};
use crate::model::{Agreed, MountSource};
use crate::volume::VolumeError;

impl Daemon {
    pub(super) async fn list_volumes(&self) -> Answer<Vec<VolumeSummary>> {
        let volumes = self.hands().volumes.clone();
        let agreed = self.agreed();
        let found = blocking(move || volumes.list().map_err(refused)).await?;
        let summary = |volume: crate::volume::VolumeRecord| VolumeSummary {
            used_by: users(&agreed, &volume.name),
            name: volume.name,
            stack: volume.stack,
            path: volume.path,
            created: Some(volume.created),
            driver_opts: volume.driver_opts,
            labels: volume.labels,
            size: None,
        };
        Ok(found.into_iter().map(summary).collect())
    }

    pub(super) async fn delete_volume(&self, name: &str) -> Answer<()> {
        let _applying = self.applying.lock().await;
        let stacks = stacks_that_name(&self.agreed(), name);
        if !stacks.is_empty() {
            let message = format!("volume {name} is needed by stack {}", stacks.join(", "));
            return Err(ControlError::conflict(message)
                .with_hint("take the stack down first, or use `orca down -v`"));
        }
        let volumes = self.hands().volumes.clone();
        let name = name.to_owned();
        blocking(move || volumes.remove(&name).map_err(refused)).await
    }

    pub(super) async fn delete_unused_volumes(&self) -> Answer<RemovedVolumes> {
        let _applying = self.applying.lock().await;
        let agreed = self.agreed();
        let volumes = self.hands().volumes.clone();
        blocking(move || {
            let mut removed = RemovedVolumes::default();
            for volume in volumes.list().map_err(refused)? {
                if stacks_that_name(&agreed, &volume.name).is_empty()
                    && users(&agreed, &volume.name).is_empty()
                {
                    removed.freed += size(&volume.path);
                    volumes.remove(&volume.name).map_err(refused)?;
                    removed.names.push(volume.name);
                }
            }
            Ok(removed)
        })
        .await
    }
}

fn stacks_that_name(agreed: &Agreed, name: &str) -> Vec<String> {
    let names = |stack: &crate::model::Stack| {
        stack.project.volumes.values().any(|volume| volume.name == name)
    };
    let stacks = agreed.stacks.iter().filter(|(_, stack)| names(stack));
    stacks.map(|(name, _)| name.clone()).collect()
}

/// The tasks that have a volume mounted, as container names.
fn users(agreed: &Agreed, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (id, task) in &agreed.tasks {
        let Some(stack) = agreed.stacks.get(&task.stack) else { continue };
        let Some(service) = stack.project.services.get(&task.service) else { continue };
        let named = service.mounts.iter().any(|mount| match &mount.source {
            MountSource::Volume { volume, .. } => {
                stack.project.volumes.get(volume).is_some_and(|volume| volume.name == name)
            }
            _ => false,
        });
        if named || name.starts_with(&format!("anonymous.{id}.")) {
            found.push(format!("{}-{}-{}", task.stack, task.service, task.slot));
        }
    }
    found
}

fn refused(error: VolumeError) -> ControlError {
    ControlError::caused_by(ErrorKind::InvalidInput, &error)
}
