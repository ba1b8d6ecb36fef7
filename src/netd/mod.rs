//! The long-lived network helper, `orca netd`: what must go on while the daemon is down.
//!
//! It holds the resolvers of all sandboxes, the published ports, and a relay for clients that come by
//! IPv6. It decides nothing: it is handed one value, [`crate::model::NetdState`], makes it so, and
//! keeps it on disk so that a successor can go on.

mod client;
mod error;
mod holder;
mod listen;
mod log;
mod main;
mod ports;
mod protocol;
mod relay;
mod state;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use client::Client;
pub use error::{NetdError, Result};
pub use holder::holder;
pub use main::main;

use crate::model::Instance;

/// The files of a helper, all in the run directory.
#[derive(Debug, Clone)]
struct Paths {
    run: PathBuf,
    /// Where it listens.
    socket: PathBuf,
    /// Locked by the one that runs.
    lock: PathBuf,
    /// The state in force.
    state: PathBuf,
    /// The next state, while it is written.
    next_state: PathBuf,
    log: PathBuf,
}

impl Paths {
    fn of(instance: &Instance) -> Self {
        let run = instance.run.clone();
        Self {
            socket: run.join("netd.sock"),
            lock: run.join("netd.lock"),
            state: run.join("netd.json"),
            next_state: run.join("netd.json.new"),
            log: run.join("netd.log"),
            run,
        }
    }
}
