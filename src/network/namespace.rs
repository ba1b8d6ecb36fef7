//! Network namespaces with a name: a file that the namespace is mounted on.
//!
//! The directory of these files is not a mount of its own. A container's mount namespace gets copies
//! of these mounts with all others, and removing the file detaches every copy wherever it is: no copy
//! keeps a namespace alive.

use std::fs::File;
use std::path::Path;
use std::{fs, io, thread};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::statfs::{NSFS_MAGIC, statfs};

use super::NetworkError;
use crate::model::IdMaps;
use crate::sys::users;

const OF_THIS_THREAD: &str = "/proc/thread-self/ns/net";

/// Whether a namespace is mounted at `path`.
pub(super) fn is_there(path: &Path) -> bool {
    statfs(path).is_ok_and(|found| found.filesystem_type() == NSFS_MAGIC)
}

/// Makes a namespace that belongs to a user namespace with these users (to the host's without), runs `furnish` in it and mounts it at `path`. The mount comes last: if the
/// process dies before, the kernel drops the namespace and everything in it.
pub(super) fn make<T: Send>(
    path: &Path,
    users: Option<&IdMaps>,
    furnish: impl FnOnce(&File) -> Result<T, NetworkError> + Send,
) -> Result<T, NetworkError> {
    let failed = NetworkError::file("make a network namespace at", path);
    on_a_thread(|| {
        let namespace = enter_new(users).map_err(failed)?;
        let made = furnish(&namespace)?;
        pin(path).map_err(NetworkError::file("mount a network namespace at", path))?;
        Ok(made)
    })
}

/// Runs `work` in the namespace at `path`.
pub(super) fn enter<T: Send>(
    path: &Path,
    work: impl FnOnce(&File) -> Result<T, NetworkError> + Send,
) -> Result<T, NetworkError> {
    let failed = NetworkError::file("enter the network namespace at", path);
    on_a_thread(|| {
        let namespace = File::open(path)
            .and_then(|namespace| {
                setns(&namespace, CloneFlags::CLONE_NEWNET)?;
                Ok(namespace)
            })
            .map_err(failed)?;
        work(&namespace)
    })
}

/// Removes the mount and the file at `path`, if they are there. The namespace goes when nothing uses
/// it any more.
pub(super) fn remove(path: &Path) -> Result<(), NetworkError> {
    // A file that is no mount (EINVAL) is what a process that died between making and mounting left.
    // More than one mount can lie on it if two processes made it at the same time.
    loop {
        match umount2(path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
            Ok(()) => {}
            Err(Errno::EINVAL | Errno::ENOENT) => break,
            Err(error) => {
                let failed = NetworkError::file("unmount the network namespace at", path);
                return Err(failed(error.into()));
            }
        }
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(NetworkError::file("remove the network namespace at", path)(error))
        }
        _ => Ok(()),
    }
}

/// Makes one that the calling thread is in: of the host, or of a user namespace of its own. That lasts
/// as long as what belongs to it.
fn enter_new(of: Option<&IdMaps>) -> io::Result<File> {
    let Some(maps) = of else {
        unshare(CloneFlags::CLONE_NEWNET)?;
        return File::open(OF_THIS_THREAD);
    };
    let made = users::make(maps, true)?.network.ok_or(io::ErrorKind::NotFound)?;
    setns(&made, CloneFlags::CLONE_NEWNET)?;
    Ok(File::from(made))
}

fn pin(path: &Path) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    File::create(path)?;
    mount(Some(OF_THIS_THREAD), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
    Ok(())
}

/// Namespaces are entered on threads that end with the work, so that nothing else ever runs in one.
fn on_a_thread<T: Send>(
    work: impl FnOnce() -> Result<T, NetworkError> + Send,
) -> Result<T, NetworkError> {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("netns".to_owned())
            .stack_size(256 * 1024)
            .spawn_scoped(scope, work)
            .map_err(NetworkError::kernel("start a thread for a network namespace"))?;
        thread.join().unwrap_or(Err(NetworkError::CutOff))
    })
}
