//! Small things that the store does with files: locks, and writes that are whole or not at all.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{FlockOperation, IFlags};

use super::error::{Doing as _, Result};

/// Opens (or makes) a lock file, and waits for its lock.
pub(super) fn hold(path: &Path, operation: FlockOperation) -> Result<File> {
    let file = lock_file(path)?;
    loop {
        match rustix::fs::flock(&file, operation) {
            Err(rustix::io::Errno::INTR) => {}
            done => {
                done.doing("lock", path)?;
                return Ok(file);
            }
        }
    }
}

/// The same without waiting; `None` if somebody else has it.
pub(super) fn try_hold(path: &Path, operation: FlockOperation) -> Result<Option<File>> {
    let file = lock_file(path)?;
    match rustix::fs::flock(&file, operation) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error).doing("lock", path),
    }
}

fn lock_file(path: &Path) -> Result<File> {
    File::options().create(true).truncate(false).write(true).open(path).doing("open", path)
}

/// Writes a small file so that it is there whole or not at all, also after a power cut.
pub(super) fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = dir.join(format!(".{name}.{}", unique()));
    let write = || -> io::Result<()> {
        let mut file = File::create_new(&draft)?;
        io::Write::write_all(&mut file, bytes)?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        sync_dir(dir)
    };
    write().doing("write", path).inspect_err(|_| drop(fs::remove_file(&draft)))
}

/// Makes renames in a directory last.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// A text that no other thread or process uses at this time.
pub(super) fn unique() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let (pid, next) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    format!("{pid}-{next}-{}", crate::sys::clock::boottime().0.as_nanos())
}

/// Keeps the host's users out of a directory.
pub(super) fn set_private(dir: &Path) -> Result<()> {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(dir, mode).doing("set the mode of", dir)
}

/// Has each directory in `dir` begin at another place of the disk. Ext4 puts the files of all that it
/// takes for one tree close together, and does not use the inodes of files that were removed in the
/// last minutes again: to make thousands of files where as many have just been removed, it looks at all
/// of those for each. Other file systems do not know this, and need not.
pub(super) fn spread(dir: &Path) {
    let set = || -> io::Result<()> {
        let dir = File::open(dir)?;
        let flags = rustix::fs::ioctl_getflags(&dir)?;
        if !flags.contains(IFlags::TOPDIR) {
            rustix::fs::ioctl_setflags(&dir, flags | IFlags::TOPDIR)?;
        }
        Ok(())
    };
    // It is for speed alone.
    drop(set());
}

/// The value, also if a thread panicked while it had it: all values here are whole at any time.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
