//! `pause` and `resume`.

use super::super::hooks::Status;
use super::error::{OciError, Result};
use super::state::Store;

/// Freezes all processes of a container.
///
/// # Errors
/// If it does not run, or the kernel cannot freeze it.
pub fn pause(store: &Store, id: &str) -> Result<()> {
    let container = store.container(id)?;
    match container.status() {
        Status::Running | Status::Created => Ok(container.cgroup().freeze()?),
        _ => Err(OciError::new(format!("container {id:?} is not running"))),
    }
}

/// Lets them run again.
///
/// # Errors
/// If it is not paused.
pub fn resume(store: &Store, id: &str) -> Result<()> {
    let container = store.container(id)?;
    let cgroup = container.cgroup();
    if container.status() == Status::Stopped || !cgroup.frozen()? {
        return Err(OciError::new(format!("container {id:?} is not paused")));
    }
    Ok(cgroup.thaw()?)
}
