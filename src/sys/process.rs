//! Starting orca's own long-lived processes.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Starts `program` (always orca itself) in a session of its own, away from the caller's terminal
/// and process group, so that it outlives the caller. Its output goes to `log`.
///
/// # Errors
/// If the process cannot be made.
pub fn spawn_detached(
    program: &Path,
    args: impl IntoIterator<Item = impl AsRef<OsStr>>,
    log: File,
) -> io::Result<Child> {
    #[expect(clippy::disallowed_methods, reason = "it starts orca itself")]
    let mut command = Command::new(program);
    command.args(args).current_dir("/").stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    // SAFETY: setsid is async-signal-safe and touches no memory of the parent.
    unsafe {
        command.pre_exec(|| {
            nix::unistd::setsid()?;
            Ok(())
        });
    }
    command.spawn()
}

/// Runs `work` on a thread of its own whose new files belong to a user and a group, and which may do all
/// that the caller may. (What is mounted with other numbers of users takes no file of a user that it has
/// no number for.)
///
/// # Errors
/// If the thread cannot be made, or cannot keep its rights.
pub fn with_files_of<T: Send>(
    (user, group): (u32, u32),
    work: impl FnOnce() -> T + Send,
) -> io::Result<T> {
    use nix::unistd::{Gid, Uid, setfsgid, setfsuid};
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("files".to_owned());
        let thread = thread.spawn_scoped(scope, || {
            let rights = rustix::thread::capabilities(None)?;
            setfsgid(Gid::from_raw(group));
            setfsuid(Uid::from_raw(user));
            // Those about files went with the user.
            rustix::thread::set_capabilities(None, rights)?;
            Ok(work())
        })?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the work on files panicked")))
    })
}
