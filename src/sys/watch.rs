//! Waiting for a directory to change, without looking again and again.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

/// A watch over the files of one directory (`inotify(7)`).
#[derive(Debug)]
pub struct DirWatch(AsyncFd<OwnedFd>);

impl DirWatch {
    /// Watches a directory for files that are made, written or removed, and for its
    /// own end (which comes only when no file of it is open any more). Needs a tokio
    /// runtime with I/O.
    ///
    /// # Errors
    /// If there is no such directory, or no watch is left: the kernel gives each user 128 instances
    /// unless told otherwise (`fs.inotify.max_user_instances`).
    pub fn new(dir: &Path) -> io::Result<Self> {
        let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let events = WatchFlags::MODIFY
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF
            | WatchFlags::ONLYDIR;
        inotify::add_watch(&watch, dir, events)?;
        // SAFETY: an OwnedFd gives the same descriptor at each call and closes it only when it is
        // dropped, after the registration.
        let watch = unsafe { AsyncFd::register(watch) };
        Ok(Self(watch.map_err(|error| error.into_parts().1)?))
    }

    /// Waits until something has changed since the last call, or since the start.
    ///
    /// # Errors
    /// If the runtime is going away.
    pub async fn changed(&self) -> io::Result<()> {
        let mut ready = self.0.readable().await?;
        // What has changed does not matter; room for a few dozen events at once.
        let mut events = [0; 4096];
        while let Ok(1..) | Err(Errno::INTR) = rustix::io::read(self.0.get_ref(), &mut events) {}
        ready.clear_ready();
        Ok(())
    }
}
