//! `start`.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::super::hooks::{self, Status};
use super::super::init::{Failure, Report};
use super::error::{Context as _, OciError, Result};
use super::state::{Container, GO, RESULT, Store};
use super::{Voice, compile};

/// Starts a container that was created, and returns once its program runs.
///
/// # Errors
/// If it is not there, or was started before, or its program cannot be run.
pub fn start(store: &Store, id: &str, voice: &dyn Voice) -> Result<()> {
    let container = store.container(id)?;
    match container.status() {
        Status::Created | Status::Creating => {}
        Status::Stopped => {
            return Err(OciError::new(format!(
                "cannot start a container that has stopped: {id:?}"
            )));
        }
        Status::Running | Status::Paused => {
            return Err(OciError::new(format!("container {id:?} is started already")));
        }
    }
    let failure = open_gate(&container)?;
    voice.debug(&format!("container {id:?} has been told to start"));
    // Also where a hook in the container failed, as with other runtimes: what they undo later they
    // must have been able to do.
    let state = container.record.state.with(Status::Running, container.record.state.pid);
    let hooks = if container.record.has_hooks {
        compile::hooks(&container.spec()?)?.poststart
    } else {
        Vec::new()
    };
    let poststart = hooks::run(&hooks, &state, None);
    match failure {
        Some(failure) => Err(failure.into()),
        None => poststart.map_err(|why| {
            // The specification wants the container stopped then, and taken away.
            drop(super::delete(store, id, true, voice));
            OciError::new(why)
        }),
    }
}

/// Lets the first process go on, and hears how that went.
fn open_gate(container: &Container) -> Result<Option<Failure>> {
    let id = container.id();
    let result = open(&container.dir.join(RESULT), OFlags::RDONLY, id)?;
    let go = open(&container.dir.join(GO), OFlags::WRONLY, id)?;
    // Whoever removes it is the one who starts the container.
    match fs::remove_file(container.dir.join(GO)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(OciError::new(format!("container {id:?} is started already")));
        }
        removed => removed.cannot(|| "start the container")?,
    }
    rustix::io::write(&go, &[0]).cannot(|| "start the container")?;
    let failure = hear(&result)?;
    drop(fs::remove_file(container.dir.join(RESULT)));
    Ok(failure)
}

/// Without waiting: nobody has it open any more if the first process is gone.
fn open(path: &Path, flags: OFlags, id: &str) -> Result<OwnedFd> {
    let flags = flags | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Err(Errno::NOENT) => Err(OciError::new(format!("container {id:?} is started already"))),
        Err(Errno::NXIO) => {
            Err(OciError::new(format!("cannot start a container that has stopped: {id:?}")))
        }
        opened => opened.cannot(|| format!("open {}", path.display())),
    }
}

/// A failure, or the end of the pipe: then the program runs.
fn hear(result: &OwnedFd) -> Result<Option<Failure>> {
    let mut buffer = [0; 8192];
    loop {
        match poll(&mut [PollFd::new(result, PollFlags::IN)], None) {
            Err(Errno::INTR) => continue,
            polled => polled.cannot(|| "wait for the program")?,
        };
        match rustix::io::read(result, &mut buffer) {
            Ok(0) => return Ok(None),
            Ok(length) => return Ok(Report::failure(&buffer[..length])),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(error).cannot(|| "wait for the program"),
        }
    }
}
