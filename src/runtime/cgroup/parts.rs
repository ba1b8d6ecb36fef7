//! A cgroup in a form that can be written down, for a process that holds it without having made it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Cgroup, Dir, Version};

/// A directory of a cgroup in one hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Whether the hierarchy is of version 2.
    pub v2: bool,
    /// The hierarchy's controllers.
    pub controllers: Vec<String>,
    /// The directory.
    pub path: PathBuf,
}

impl Cgroup {
    /// Its directories. Where a container runs does not depend on who asks, unlike a path below the
    /// base of the asking process.
    pub fn parts(&self) -> Vec<Part> {
        let part = |dir: &Dir| Part {
            v2: dir.version == Version::V2,
            controllers: dir.controllers.clone(),
            path: dir.path.clone(),
        };
        self.dirs.iter().map(part).collect()
    }

    /// The cgroup of these directories.
    pub fn from_parts(parts: Vec<Part>) -> Self {
        let dir = |part: Part| Dir {
            version: if part.v2 { Version::V2 } else { Version::V1 },
            controllers: part.controllers,
            path: part.path,
        };
        Self { dirs: parts.into_iter().map(dir).collect() }
    }
}
