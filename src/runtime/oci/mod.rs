//! The OCI command line: containers from bundles, for engines that bring their own parent process
//! (`conmon`, containerd's shim).
//!
//! `config.json` becomes the very plan that the daemon's containers are started from (`compile/`), and
//! the same first process walks through it. What differs is the parent: there is no shim. `create`
//! makes the first process and leaves; the process waits, and whoever is the nearest subreaper above
//! inherits it. All that is known of a container between two commands is in its directory (`state`).
//!
//! Types of the specification's library are used here and nowhere else.

mod bundle;
mod compile;
mod create;
mod delete;
mod error;
mod events;
mod exec;
mod features;
mod kill;
mod list;
mod listener;
mod processes;
mod relay;
mod start;
mod state;
mod streams;
mod suspend;
mod template;
mod update;

#[cfg(test)]
mod tests;

use std::io;

pub use create::{CreateOptions, create, run};
pub use delete::delete;
pub use error::{OciError, Result};
pub use events::{events, stats};
pub use exec::{ExecOptions, exec};
pub use features::features;
pub use kill::{kill, signal};
pub use list::{Listed, list, state};
pub use processes::{Process, processes};
pub use start::start;
pub use state::Store;
pub use suspend::{pause, resume};
pub use template::template;
pub use update::{Limits, update};

/// Where a command tells what it passes over.
pub trait Voice {
    /// Something that its caller should know.
    fn warn(&self, text: &str);
    /// Something for who looks for a fault.
    fn debug(&self, text: &str);
}

/// Makes the calling process one that may enter containers: it runs from a file that no container can
/// change (CVE-2019-5736), and no process of a container may look into it (CVE-2016-9962). It may
/// begin anew for that, so call this first of all.
///
/// # Errors
/// If the kernel refuses.
pub fn seal() -> io::Result<()> {
    super::launcher::seal()?;
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}
