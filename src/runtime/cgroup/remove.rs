//! Taking a cgroup away.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::{Cgroup, CgroupError, MAX_DEPTH, files};

/// How long the kernel has to let go of processes that have been killed.
const WAIT: Duration = Duration::from_secs(2);

impl Cgroup {
    /// Removes the cgroup, and those below it, from every hierarchy. It is safe to repeat. Killed
    /// processes leave a cgroup a little after their end is known, so a busy one is tried again
    /// for two seconds.
    ///
    /// # Errors
    /// If a process is still in it; the other hierarchies are removed all the same.
    pub fn remove(&self) -> Result<(), CgroupError> {
        let deadline = Instant::now() + WAIT;
        let mut result = Ok(());
        for dir in &self.dirs {
            result = result.and(remove(&dir.path, MAX_DEPTH, deadline));
        }
        result
    }
}

fn remove(dir: &Path, depth: usize, deadline: Instant) -> Result<(), CgroupError> {
    let mut pause = Duration::from_micros(200);
    loop {
        let Err(source) = fs::remove_dir(dir) else { return Ok(()) };
        match Errno::from_io_error(&source) {
            Some(Errno::NOENT) => return Ok(()),
            Some(Errno::BUSY) if depth > 0 && Instant::now() < deadline => {
                for child in files::children(dir)? {
                    remove(&child, depth - 1, deadline)?;
                }
                sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(20));
            }
            _ => return Err(CgroupError::Remove { path: dir.to_owned(), source }),
        }
    }
}
