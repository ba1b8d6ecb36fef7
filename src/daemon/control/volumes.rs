//! Named volumes.

use std::io;
use std::path::PathBuf;

use super::chunks::Arriving;
use super::{Daemon, blocking};
use crate::api::control::{
    Answer, ChunkWriter, Chunks, ControlError, CreateVolume, ErrorKind, PruneVolumes,
    RemovedVolumes, VolumeSummary,
};
use crate::image;
use crate::model::{Agreed, MountSource, Volume};
use crate::volume::{VolumeError, VolumeRecord};

impl Daemon {
    pub(super) async fn list_volumes(&self) -> Answer<Vec<VolumeSummary>> {
        let volumes = self.hands().volumes.clone();
        let agreed = self.agreed();
        let found = blocking(move || volumes.list().map_err(refused)).await?;
        Ok(found.into_iter().map(|volume| summary(volume, &agreed)).collect())
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

    pub(super) async fn delete_unused_volumes(
        &self,
        request: PruneVolumes,
    ) -> Answer<RemovedVolumes> {
        let _applying = self.applying.lock().await;
        let agreed = self.agreed();
        let volumes = self.hands().volumes.clone();
        let PruneVolumes { all, filter } = request;
        blocking(move || {
            let mut removed = RemovedVolumes::default();
            for volume in volumes.list().map_err(refused)? {
                let may_go = (all || volume.is_anonymous())
                    && filter.fits(Some(volume.created), &volume.labels);
                if may_go
                    && stacks_that_name(&agreed, &volume.name).is_empty()
                    && users(&agreed, &volume.name).is_empty()
                {
                    // What a bind volume shows is not ours, and stays.
                    removed.freed += volumes.own_usage(&volume.name).map_err(refused)?;
                    volumes.remove(&volume.name).map_err(refused)?;
                    removed.names.push(volume.name);
                }
            }
            Ok(removed)
        })
        .await
    }

    pub(super) async fn make_volume(&self, request: CreateVolume) -> Answer<VolumeSummary> {
        let _applying = self.applying.lock().await;
        let volumes = self.hands().volumes.clone();
        let CreateVolume { name, driver_opts, mut labels } = request;
        let record = blocking(move || {
            let name = if name.is_empty() {
                labels.insert(crate::volume::ANONYMOUS.to_owned(), String::new());
                volumes.new_name().map_err(refused)?
            } else {
                name
            };
            let volume = Volume { name: name.clone(), driver_opts, labels, external: false };
            volumes.ensure(&name, &volume, "").map_err(refused)?;
            let made = volumes.inspect(&name).map_err(refused)?;
            made.ok_or_else(|| refused(VolumeError::NotFound(name)))
        })
        .await?;
        Ok(summary(record, &self.agreed()))
    }

    pub(super) async fn pack_volume(&self, name: &str) -> Answer<Chunks> {
        let path = self.volume_path(name).await?;
        let (mut writer, chunks) = ChunkWriter::new();
        tokio::task::spawn_blocking(move || {
            let packed = image::pack(&path, &mut writer);
            writer.finish(packed.map_err(io::Error::other));
        });
        Ok(chunks)
    }

    pub(super) async fn unpack_volume(&self, name: &str, archive: Chunks) -> Answer<()> {
        let path = self.volume_path(name).await?;
        blocking(move || {
            image::unpack_into(Arriving::new(archive), &path)
                .map_err(|error| ControlError::caused_by(ErrorKind::InvalidInput, &error))
        })
        .await
    }

    async fn volume_path(&self, name: &str) -> Answer<PathBuf> {
        let volumes = self.hands().volumes.clone();
        let name = name.to_owned();
        blocking(move || volumes.files(&name).map_err(refused)).await
    }
}

fn summary(volume: VolumeRecord, agreed: &Agreed) -> VolumeSummary {
    VolumeSummary {
        used_by: users(agreed, &volume.name),
        name: volume.name,
        stack: volume.stack,
        path: volume.path,
        created: Some(volume.created),
        driver_opts: volume.driver_opts,
        labels: volume.labels,
        size: None,
    }
}

pub(super) fn stacks_that_name(agreed: &Agreed, name: &str) -> Vec<String> {
    let names = |stack: &crate::model::Stack| {
        stack.project.volumes.values().any(|volume| volume.name == name)
    };
    let stacks = agreed.stacks.iter().filter(|(_, stack)| names(stack));
    stacks.map(|(name, _)| name.clone()).collect()
}

/// The tasks that have a volume mounted, as container names.
pub(super) fn users(agreed: &Agreed, name: &str) -> Vec<String> {
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
    let kind = match &error {
        VolumeError::NotFound(_) => ErrorKind::NotFound,
        VolumeError::OtherOptions(_) => ErrorKind::Conflict,
        VolumeError::Io { .. } | VolumeError::Damaged { .. } => ErrorKind::Internal,
        _ => ErrorKind::InvalidInput,
    };
    ControlError::caused_by(kind, &error)
}
