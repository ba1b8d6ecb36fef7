//! The files of a container, as a program in it sees them.

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};

use super::super::compile::{self, Network, Wish};
use super::super::{init, record};
use super::start::failed;
use super::{ContainerPhase, Runtime, RuntimeError};
use crate::model::{Container, ContainerId, HostMount, Rootfs};
use crate::sys::mounts;

/// The root directory of a container that runs.
#[derive(Debug)]
pub struct RunningRoot {
    /// A handle on it; everything mounted in the container is there.
    pub root: OwnedFd,
    /// `/proc/<pid>/uid_map` of its first process.
    pub users: String,
    /// `/proc/<pid>/gid_map`.
    pub groups: String,
}

impl Runtime {
    /// The root of a container that runs.
    ///
    /// # Errors
    /// If it does not run.
    pub fn running_root(&self, id: &ContainerId) -> Result<RunningRoot, RuntimeError> {
        let ContainerPhase::Running { pid, .. } = self.entry(id)?.phase else {
            return Err(RuntimeError::NotRunning(id.clone()));
        };
        let path = std::path::PathBuf::from(format!("/proc/{pid}/root"));
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(&path, flags, Mode::empty())
            .map_err(|source| failed("open", &path, source.into()))?;
        let map = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}"));
        let read = |name| map(name).map_err(|source| failed("read", &path, source));
        let found = RunningRoot { root, users: read("uid_map")?, groups: read("gid_map")? };
        // The process may have ended and its number be another's: its record tells.
        let same = record::read_started(&self.record_dir(id))
            .is_some_and(|started| record::start_time(started.pid) == Some(started.start_time));
        if same { Ok(found) } else { Err(RuntimeError::NotRunning(id.clone())) }
    }

    /// Runs `work` with the root of a container that has ended, made once more as it was, but for what
    /// was in memory. Nobody else sees the mounts, and nothing is left of them. For threads that may
    /// block.
    ///
    /// # Errors
    /// If it runs, or its root cannot be made.
    pub fn with_ended_root<T: Send>(
        &self,
        id: &ContainerId,
        rootfs: &Rootfs,
        mounts: &[HostMount],
        work: impl FnOnce(OwnedFd) -> T + Send,
    ) -> Result<T, RuntimeError> {
        let entry = self.entry(id)?;
        if !matches!(entry.phase, ContainerPhase::Exited(_)) {
            return Err(RuntimeError::Refused { id: id.clone(), why: "it runs".to_owned() });
        }
        let dir = self.record_dir(id);
        // Files are counted as the container counted them: nobody is in it whose numbers would differ.
        let container = Container { users: None, ..(*entry.asked.container).clone() };
        let plan = compile::start(Wish {
            container: &container,
            rootfs,
            mounts,
            guarded: &[],
            network: Network::New,
            log_dir: &entry.asked.log_dir,
            state_dir: &dir,
            cgroup: entry.asked.cgroup.clone(),
        })?;
        let made = mounts::in_private_namespace(|| {
            let root = init::make_files(&plan)
                .map_err(|failure| std::io::Error::other(failure.message))?;
            Ok(work(root))
        });
        made.map_err(|source| failed("mount the files in", &dir, source))
    }
}
