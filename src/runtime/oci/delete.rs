//! `delete`.

use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::mount::UnmountFlags;

use super::super::hooks::{self, Status};
use super::error::{OciError, Result};
use super::state::{Container, Store};
use super::{Voice, compile};
use crate::sys::signals;

/// How long the first process has to end after SIGKILL.
const PATIENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// Takes away a container that has stopped, or was never started. With `force`, one that runs is
/// killed, and one that is not there is as good.
///
/// # Errors
/// If it runs, is not there, or cannot be taken away.
pub fn delete(store: &Store, id: &str, force: bool, voice: &dyn Voice) -> Result<()> {
    let container = match store.container(id) {
        Ok(container) => container,
        Err(error) if force => return forget(store, id, error),
        Err(error) => return Err(error),
    };
    match container.status() {
        Status::Stopped => {}
        // As with runc: what was never started can be given up.
        Status::Created | Status::Creating => kill(&container)?,
        Status::Running | Status::Paused if force => kill(&container)?,
        Status::Running | Status::Paused => {
            return Err(OciError::new(format!(
                "cannot delete container {id:?} that is not stopped: kill it first, or use --force"
            )));
        }
    }
    remove(&container, voice)
}

/// A container without a record: its making was cut off.
fn forget(store: &Store, id: &str, error: OciError) -> Result<()> {
    let dir = store.dir(id)?;
    match fs::remove_dir_all(&dir) {
        Ok(()) => Ok(()),
        Err(gone) if gone.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(_) => Err(error),
    }
}

fn kill(container: &Container) -> Result<()> {
    let Ok(first) = container.first() else { return Ok(()) };
    let _gone = signals::kill_pidfd(first.as_fd(), libc::SIGKILL);
    let cgroup = container.cgroup();
    if cgroup.frozen().unwrap_or(false) {
        cgroup.thaw()?;
    }
    wait(&first, container)
}

fn wait(first: &OwnedFd, container: &Container) -> Result<()> {
    loop {
        match poll(&mut [PollFd::new(first, PollFlags::IN)], Some(&PATIENCE)) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(1..) => return Ok(()),
            _ => {
                let text = format!("container {:?} does not end after SIGKILL", container.id());
                return Err(OciError::new(text));
            }
        }
    }
}

/// Takes away all that is left of a container whose first process has ended.
pub(super) fn remove(container: &Container, voice: &dyn Voice) -> Result<()> {
    let cgroup = container.cgroup();
    // Without a pid namespace of its own, its other processes are still there.
    if cgroup.pids().is_ok_and(|pids| !pids.is_empty()) {
        cgroup.kill()?;
    }
    cgroup.remove()?;
    unmount(container);
    let hooks = if container.record.has_hooks {
        compile::hooks(&container.spec()?)?.poststop
    } else {
        Vec::new()
    };
    fs::remove_dir_all(&container.dir).map_err(|error| {
        OciError::new(format!("cannot remove {}: {error}", container.dir.display()))
    })?;
    // The specification wants their failures told of, and the rest done all the same.
    let state = container.record.state.with(Status::Stopped, 0);
    for hook in hooks {
        if let Err(why) = hooks::run(&[hook], &state, None) {
            voice.warn(&why);
        }
    }
    Ok(())
}

/// Takes the container's files off the host's own mount namespace, if they are there.
pub(super) fn unmount(container: &Container) {
    if container.record.mounted_on_host {
        let _gone = rustix::mount::unmount(&container.record.rootfs, UnmountFlags::DETACH);
    }
}
