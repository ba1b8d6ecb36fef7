//! The files of containers, for those who copy them in and out.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::LinuxHost;
use super::steps::{StepError, host_mount};
use crate::copy::{CopyError, Ids, Place};
use crate::model::{ContainerId, HostMount, HostMountSource};
use crate::runtime::{ContainerPhase, RunningRoot, RuntimeError};
use crate::sys::process;

/// Why the files of a container cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The container.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// What it is made of.
    #[error("its files cannot be put together: {0}")]
    Made(String),
    /// The files themselves.
    #[error(transparent)]
    Copy(#[from] CopyError),
}

impl LinuxHost {
    /// Runs `work` with the files of a container, whether its program runs or has ended.
    ///
    /// # Errors
    /// If there is no such container, its files cannot be put together, or the work fails.
    pub async fn with_files<T: Send + 'static>(
        self: &Arc<Self>,
        id: &ContainerId,
        work: impl FnOnce(&Place) -> Result<T, CopyError> + Send + 'static,
    ) -> Result<T, FilesError> {
        let (host, id) = (Arc::clone(self), id.clone());
        let worked = spawn_blocking(move || host.files(&id, work)).await;
        worked.map_err(|error| FilesError::Made(error.to_string()))?
    }

    fn files<T: Send>(
        &self,
        id: &ContainerId,
        work: impl FnOnce(&Place) -> Result<T, CopyError> + Send,
    ) -> Result<T, FilesError> {
        let runtime = &self.hands.runtime;
        let record = runtime.container(id).ok_or_else(|| RuntimeError::Unknown(id.clone()))?;
        if !matches!(record.phase, ContainerPhase::Exited(_)) {
            let RunningRoot { root, users, groups } = runtime.running_root(id)?;
            let ranges = |text: &str| Ids::ranges(text).map_err(CopyError::from);
            let ids = Ids { users: ranges(&users)?, groups: ranges(&groups)? };
            let owner = ids.root();
            let worked = process::with_files_of(owner, || work(&Place::container(root, ids)));
            return Ok(worked.map_err(CopyError::from)??);
        }
        let made =
            |error: &dyn std::error::Error| FilesError::Made(super::network::sentence(error));
        let container = &record.container;
        let images = &self.hands.images;
        let rootfs = images.create_root(id, &container.image).map_err(|error| made(&error))?;
        let mount = |mount: &crate::model::ContainerMount| {
            host_mount(&self.hands, &container.image, mount.clone())
        };
        let mounts: Result<Vec<HostMount>, StepError> =
            container.mounts.iter().map(mount).collect();
        let mut mounts = mounts.map_err(|error| made(&error))?;
        // What was in memory went with the container.
        mounts.retain(|mount| !matches!(mount.source, HostMountSource::Tmpfs { .. }));
        let worked = runtime.with_ended_root(id, &rootfs, &mounts, |root| {
            work(&Place::container(root, Ids::default()))
        })?;
        Ok(worked?)
    }
}
