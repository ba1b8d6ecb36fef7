//! What can go wrong with a cgroup.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

/// A cgroup that cannot be made, limited, held or removed.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// No hierarchy.
    #[error("no cgroup hierarchy is mounted; mount one with: mount -t cgroup2 none /sys/fs/cgroup")]
    NotMounted,
    /// A path that leads elsewhere.
    #[error("{0:?} is not a path of a cgroup: it is empty, too deep, or has `..` in it")]
    Path(String),
    /// Removed meanwhile.
    #[error("the cgroup {0:?} does not exist")]
    Gone(String),
    /// A limit was asked for that the kernel or the host's set-up cannot give.
    #[error("cannot set {file} to {value:?}: {reason}")]
    Missing {
        /// The file of the limit, such as `memory.max`.
        file: String,
        /// What it should say.
        value: String,
        /// What is missing.
        reason: String,
    },
    /// A value that makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// A device of a block limit.
    #[error("cannot limit {path:?}: it is not a block device of this host")]
    Device {
        /// As the user wrote it.
        path: String,
        /// Why it cannot be looked at, if that was it.
        #[source]
        source: Option<io::Error>,
    },
    /// The kernel refuses a value.
    #[error("cannot write {value:?} to {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What was written.
        value: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A directory cannot be made.
    #[error("cannot make the cgroup {}", path.display())]
    Make {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A directory cannot be removed.
    #[error("cannot remove the cgroup {}", path.display())]
    Remove {
        /// The directory.
        path: PathBuf,
        /// Why: `EBUSY` says that a process is in it.
        #[source]
        source: io::Error,
    },
    /// A file does not say what the kernel's documentation says it does.
    #[error("{} says {text:?}, which makes no sense", path.display())]
    Odd {
        /// The file.
        path: PathBuf,
        /// The start of what it says.
        text: String,
    },
    /// Not frozen in time.
    #[error("the processes in {} could not all be frozen in time; they run on", path.display())]
    NotFrozen {
        /// The directory.
        path: PathBuf,
    },
    /// Neither version can freeze here.
    #[error("cannot pause: this host has no freezer cgroup")]
    NoFreezer,
    /// Processes that do not die.
    #[error("cannot kill all processes of {}: some are still there", path.display())]
    NotKilled {
        /// The directory.
        path: PathBuf,
    },
    /// Neither version can filter devices here.
    #[error("cannot restrict devices: this host has no devices cgroup and no cgroup v2")]
    NoDeviceControl,
    /// The kernel refuses the filter.
    #[error("cannot attach a device filter to {}", path.display())]
    DeviceProgram {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Notifications of the memory controller.
    #[error("cannot watch {} for processes killed for lack of memory", path.display())]
    Watch {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl CgroupError {
    /// Whether the kernel's answer was `errno`.
    pub(super) fn is(&self, errno: Errno) -> bool {
        let (Self::Write { source, .. } | Self::Read { source, .. }) = self else { return false };
        source.raw_os_error() == Some(errno.raw_os_error())
    }
}
