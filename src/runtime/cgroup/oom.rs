//! Learning that the kernel killed a process of the cgroup for lack of memory.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;

use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{Mode, OFlags, inotify};

use super::{Cgroup, CgroupError, Version, files};

impl Cgroup {
    /// How many processes the kernel has killed for lack of memory in this cgroup; 0 without a
    /// memory controller.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub fn oom_kills(&self) -> Result<u64, CgroupError> {
        let Some(dir) = self.dir("memory") else { return Ok(0) };
        let file = match dir.version {
            Version::V1 => "memory.oom_control",
            Version::V2 => "memory.events",
        };
        let text = files::read_if_there(&dir.path.join(file))?;
        Ok(text.map_or(0, |text| files::field(&text, "oom_kill")))
    }

    /// A descriptor that becomes readable when memory runs out; look at [`Cgroup::oom_kills`] then.
    /// On v2 it is an inotify descriptor that tells of other memory events too, on v1 an eventfd.
    /// Both are non-blocking; read them empty before the next wait. `None` without a memory
    /// controller.
    ///
    /// # Errors
    /// If the watch cannot be set up.
    pub fn oom_watch(&self) -> Result<Option<OwnedFd>, CgroupError> {
        let Some(dir) = self.dir("memory") else { return Ok(None) };
        let watch = match dir.version {
            Version::V1 => watch_v1(&dir.path),
            Version::V2 => watch_v2(&dir.path),
        };
        watch.map(Some).map_err(|source| CgroupError::Watch { path: dir.path.clone(), source })
    }
}

fn watch_v1(dir: &Path) -> io::Result<OwnedFd> {
    let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let control = rustix::fs::open(dir.join("memory.oom_control"), flags, Mode::empty())?;
    let line = format!("{} {}", event.as_raw_fd(), control.as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let register = rustix::fs::open(dir.join("cgroup.event_control"), flags, Mode::empty())?;
    rustix::io::write(register, line.as_bytes())?;
    Ok(event)
}

fn watch_v2(dir: &Path) -> io::Result<OwnedFd> {
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
    inotify::add_watch(&watch, dir.join("memory.events"), inotify::WatchFlags::MODIFY)?;
    Ok(watch)
}
