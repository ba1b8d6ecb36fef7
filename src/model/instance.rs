//! Which orca this is: where it keeps its files, and what it calls its things in the kernel.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::hex;

/// One orca on a host. Two instances with other roots never touch each other: every name that the
/// kernel shares between them (links, tables, cgroups) carries the instance's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// What is kept: images, volumes, state, logs. `--root`, `ORCA_ROOT`.
    pub root: PathBuf,
    /// What a boot ends: sockets, container records, network namespaces. `--run`, `ORCA_RUN`.
    pub run: PathBuf,
}

impl Instance {
    /// Where an instance keeps its files unless told otherwise.
    pub const DEFAULT_ROOT: &str = "/var/lib/orca";
    /// Where an instance keeps its sockets unless told otherwise.
    pub const DEFAULT_RUN: &str = "/run/orca";

    /// Eight hexadecimal digits that tell this instance from others on the host.
    pub fn id(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.root.as_os_str().as_encoded_bytes());
        hash.update([0]);
        hash.update(self.run.as_os_str().as_encoded_bytes());
        hex(&hash.finalize()[..4])
    }

    /// Whether this is the host's own instance, at the default places.
    pub fn is_default(&self) -> bool {
        self.root == Path::new(Self::DEFAULT_ROOT) && self.run == Path::new(Self::DEFAULT_RUN)
    }

    /// A name for a thing the kernel shares between instances: `orca`, or `orca-<id>`.
    pub fn kernel_name(&self) -> String {
        if self.is_default() { "orca".to_owned() } else { format!("orca-{}", self.id()) }
    }

    /// The daemon's socket.
    pub fn socket(&self) -> PathBuf {
        self.run.join("orca.sock")
    }
}
