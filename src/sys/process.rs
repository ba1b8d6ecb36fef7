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
