//! Work inside a network namespace.

use std::fs::File;
use std::io;
use std::path::Path;
use std::thread;

use nix::sched::{CloneFlags, setns};

/// Runs `work` on a thread of its own that is in the network namespace at `path`. Sockets made there
/// stay in that namespace wherever they are used later. The thread ends with the call, so no other
/// work ever runs in the wrong namespace.
///
/// # Errors
/// If the namespace cannot be opened or entered, or the work fails.
pub fn in_netns<T: Send>(
    path: &Path,
    work: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    let namespace = File::open(path)?;
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("netns".to_owned()).spawn_scoped(scope, || {
            setns(&namespace, CloneFlags::CLONE_NEWNET)?;
            work()
        })?;
        thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the work in the namespace panicked")))
    })
}
