//! Removing containers.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::sync::watch as latest;

use super::super::cgroup::Cgroup;
use super::super::record;
use super::start::failed;
use super::{ContainerPhase, Runtime, RuntimeError};
use crate::model::{ContainerId, Exit};

/// How long a killed container may take to end: a process in the kernel's hands can be slow.
const KILL: Duration = Duration::from_secs(30);

/// The end of a container, which may be still to come.
#[derive(Debug)]
pub struct Ending(latest::Receiver<Option<Exit>>);

impl Ending {
    /// Waits for it; `None` if the container was removed and nobody saw how it ended.
    pub async fn wait(mut self) -> Option<Exit> {
        let ended = self.0.wait_for(Option::is_some).await;
        ended.ok().and_then(|exit| exit.clone())
    }
}

impl Runtime {
    /// Kills a container that runs, and waits for its end. Nothing to do is fine.
    ///
    /// # Errors
    /// If it does not end.
    pub async fn end(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let Ok(entry) = self.entry(id) else { return Ok(()) };
        if !matches!(entry.phase, ContainerPhase::Exited(_)) {
            // It may be ending at this moment: waiting tells.
            let asked = self.stop(id, "SIGKILL", Duration::ZERO).await;
            if tokio::time::timeout(KILL, self.wait(id)).await.is_err() {
                asked?;
                return Err(RuntimeError::Refused {
                    id: id.clone(),
                    why: "it does not end, although it was killed".to_owned(),
                });
            }
        }
        Ok(())
    }

    /// Removes a container: its cgroup and its record. Its log stays. One that runs is killed first.
    /// Nothing to do is fine.
    ///
    /// # Errors
    /// If it cannot be ended, or something of it cannot be removed; it is then still there.
    pub async fn remove(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        if self.entry(id).is_err() {
            return Ok(());
        }
        self.end(id).await?;
        let runtime = self.clone();
        let of = id.clone();
        super::blocking(move || {
            let cgroup = runtime.entry(&of)?.asked.cgroup.clone();
            Cgroup::from_parts(cgroup).remove()?;
            remove_record(&runtime.record_dir(&of))
        })
        .await?;
        self.lock().remove(id);
        self.note_change();
        Ok(())
    }

    /// Waits until a container has ended.
    ///
    /// # Errors
    /// If there is no such container (any more).
    pub async fn wait(&self, id: &ContainerId) -> Result<Exit, RuntimeError> {
        let ending = self.ending(id)?;
        ending.wait().await.ok_or_else(|| RuntimeError::Unknown(id.clone()))
    }

    /// The end of a container, to be waited for. It is told also when the container is removed right
    /// after it.
    ///
    /// # Errors
    /// If there is no such container (any more).
    pub fn ending(&self, id: &ContainerId) -> Result<Ending, RuntimeError> {
        Ok(Ending(self.entry(id)?.ended.subscribe()))
    }

    /// Removes what the instance has in the kernel once no container is left: its launcher and its
    /// cgroup.
    ///
    /// # Errors
    /// If a container is left, or something cannot be removed.
    pub async fn close(&self) -> Result<(), RuntimeError> {
        if let Some(id) = self.lock().keys().next() {
            return Err(RuntimeError::Refused {
                id: id.clone(),
                why: "it is still there".to_owned(),
            });
        }
        self.retire_launcher().await?;
        let runtime = self.clone();
        super::blocking(move || {
            let name = runtime.inner.instance.kernel_name();
            Ok(runtime.inner.cgroups.remove_base(&name)?)
        })
        .await
    }
}

/// First it gets another name: a record is there whole or not at all.
fn remove_record(dir: &Path) -> Result<(), RuntimeError> {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let gone = dir.with_file_name(format!("{}{name}", record::GONE));
    match std::fs::rename(dir, &gone) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        renamed => renamed.map_err(|error| failed("remove", dir, error))?,
    }
    std::fs::remove_dir_all(&gone).map_err(|error| failed("remove", &gone, error))
}
