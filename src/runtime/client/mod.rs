//! The daemon's side: starts containers, hears of them, and asks things of them.
//!
//! The truth is with the shims and in the records; what is held here is the latest that was heard.

mod attach;
mod end;
mod exec;
mod launcher;
mod look;
mod operations;
mod packets;
mod root;
mod start;
mod streams;
mod users;
mod watch;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch as latest;

pub use attach::{Attach, Held};
pub use end::Ending;
pub use exec::{Exec, ExecError, ExecRequest};
pub use look::ProcessInfo;
pub use root::RunningRoot;
pub use start::{NetworkPath, StartRequest};
pub use streams::{Input, Output};

use super::cgroup::{Cgroup, Cgroups};
use super::record::Asked;
use crate::model::{Boottime, Container, ContainerId, Exit, Instance};

/// The containers of one instance. Cheap to clone; all clones are the same.
#[derive(Debug, Clone)]
pub struct Runtime {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    instance: Instance,
    /// orca's own executable, to start the launcher from.
    executable: PathBuf,
    cgroups: Cgroups,
    /// Whether containers can have user namespaces; if not, why.
    user_namespaces: Result<(), String>,
    containers: Mutex<BTreeMap<ContainerId, Entry>>,
    changed: latest::Sender<u64>,
    /// Held while a launcher is looked for or started.
    launcher: Mutex<()>,
}

#[derive(Debug, Clone)]
struct Entry {
    asked: Arc<Asked>,
    phase: ContainerPhase,
    /// How it ended, for those who wait for that: they hear of it however soon the container is
    /// removed.
    ended: Arc<latest::Sender<Option<Exit>>>,
}

/// What is known of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerRecord {
    /// What was asked for; its labels say which attempt it is.
    pub container: Arc<Container>,
    /// Where its log is.
    pub log_dir: PathBuf,
    /// Where it is in its life.
    pub phase: ContainerPhase,
}

/// Where a container is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerPhase {
    /// Its program does not run yet.
    Creating,
    /// Its program runs.
    Running {
        /// The process in the host's view.
        pid: u32,
        /// Since when.
        since: Boottime,
        /// Whether it has been asked to end.
        stopping: bool,
        /// Whether it is frozen.
        paused: bool,
    },
    /// Its program has ended, or could not be run.
    Exited(Exit),
}

/// Something the runtime cannot do.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// A file or directory of the runtime's own.
    #[error("cannot {what} {}", path.display())]
    File {
        /// What with it.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The launcher does not run and cannot be started.
    #[error("cannot start the launcher {}: {why}", executable.display())]
    Launcher {
        /// The program.
        executable: PathBuf,
        /// Why.
        why: String,
    },
    /// The host's control groups.
    #[error(transparent)]
    Cgroup(#[from] super::cgroup::CgroupError),
    /// There is no such container.
    #[error("there is no container {0}")]
    Unknown(ContainerId),
    /// It has to run for that.
    #[error("container {} is not running", .0.short())]
    NotRunning(ContainerId),
    /// What is asked for makes no sense, or cannot be had here.
    #[error("{0}")]
    Unfit(String),
    /// The shim says no.
    #[error("container {}: {why}", id.short())]
    Refused {
        /// The container.
        id: ContainerId,
        /// Why.
        why: String,
    },
    /// The shim does not answer.
    #[error("the shim of container {} does not answer", id.short())]
    Shim {
        /// The container.
        id: ContainerId,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A program that could not be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StartError {
    /// The exit status that says so: 127 for a program that is not there, 126 for one that cannot be
    /// run, 128 for a container that cannot be made.
    pub code: i32,
    /// What could not be done, and why.
    pub message: String,
}

impl Runtime {
    /// The runtime of `instance`, with every container that is there.
    ///
    /// # Errors
    /// If the run directory cannot be used, there are no control groups, or no launcher can be
    /// started.
    pub async fn open(instance: &Instance) -> Result<Self, RuntimeError> {
        Self::open_with(instance, Path::new("/proc/self/exe")).await
    }

    /// As [`Runtime::open`], with another executable of orca than the calling process's.
    ///
    /// # Errors
    /// As [`Runtime::open`].
    pub async fn open_with(instance: &Instance, executable: &Path) -> Result<Self, RuntimeError> {
        let runtime = Self {
            inner: Arc::new(Inner {
                instance: instance.clone(),
                executable: executable.to_owned(),
                cgroups: Cgroups::detect()?,
                user_namespaces: users::support(&instance.root),
                containers: Mutex::default(),
                changed: latest::Sender::new(0),
                launcher: Mutex::default(),
            }),
        };
        let prepare = runtime.clone();
        blocking(move || {
            prepare.make_dirs()?;
            prepare.inner.cgroups.make_room()?;
            prepare.connect_launcher().map(drop)
        })
        .await?;
        runtime.adopt().await?;
        Ok(runtime)
    }

    /// Whether containers can have user namespaces here.
    ///
    /// # Errors
    /// Why not, as a sentence.
    pub fn user_namespaces(&self) -> Result<(), &str> {
        self.inner.user_namespaces.as_ref().copied().map_err(String::as_str)
    }

    /// The containers, as last heard of.
    pub fn containers(&self) -> BTreeMap<ContainerId, ContainerRecord> {
        let containers = self.lock();
        containers.iter().map(|(id, entry)| (id.clone(), entry.record())).collect()
    }

    /// One container, as last heard of.
    pub fn container(&self, id: &ContainerId) -> Option<ContainerRecord> {
        self.lock().get(id).map(Entry::record)
    }

    /// A number that counts up with each change of [`Runtime::containers`].
    pub fn changed(&self) -> latest::Receiver<u64> {
        self.inner.changed.subscribe()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<ContainerId, Entry>> {
        // Nothing panics while it is held; and each value in it is whole.
        self.inner.containers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_change(&self) {
        self.inner.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn set_phase(&self, id: &ContainerId, phase: ContainerPhase) {
        let changed = self.lock().get_mut(id).is_some_and(|entry| {
            // How it ended is the last word.
            let final_word = matches!(entry.phase, ContainerPhase::Exited(_));
            let changed =
                !final_word && std::mem::replace(&mut entry.phase, phase.clone()) != phase;
            if let (true, ContainerPhase::Exited(exit)) = (changed, &phase) {
                entry.ended.send_replace(Some(exit.clone()));
            }
            changed
        });
        if changed {
            self.note_change();
        }
    }

    fn entry(&self, id: &ContainerId) -> Result<Entry, RuntimeError> {
        self.lock().get(id).cloned().ok_or_else(|| RuntimeError::Unknown(id.clone()))
    }

    /// The cgroup of a container that runs.
    fn running_cgroup(&self, id: &ContainerId) -> Result<Cgroup, RuntimeError> {
        let entry = self.entry(id)?;
        match entry.phase {
            ContainerPhase::Exited(_) => Err(RuntimeError::NotRunning(id.clone())),
            _ => Ok(Cgroup::from_parts(entry.asked.cgroup.clone())),
        }
    }

    /// Where the records of containers are.
    fn records(&self) -> PathBuf {
        self.inner.instance.run.join("c")
    }

    fn record_dir(&self, id: &ContainerId) -> PathBuf {
        self.records().join(id.as_str())
    }

    fn make_dirs(&self) -> Result<(), RuntimeError> {
        use std::os::unix::fs::DirBuilderExt as _;
        let path = self.records();
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(|source| RuntimeError::File { what: "make the directory", path, source })
    }
}

impl Entry {
    fn new(asked: Asked, phase: ContainerPhase) -> Self {
        let exit = match &phase {
            ContainerPhase::Exited(exit) => Some(exit.clone()),
            _ => None,
        };
        Self { asked: Arc::new(asked), phase, ended: Arc::new(latest::Sender::new(exit)) }
    }

    fn record(&self) -> ContainerRecord {
        ContainerRecord {
            container: Arc::clone(&self.asked.container),
            log_dir: self.asked.log_dir.clone(),
            phase: self.phase.clone(),
        }
    }
}

/// Runs short system calls away from the threads that tasks run on.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RuntimeError> + Send + 'static,
) -> Result<T, RuntimeError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(RuntimeError::Unfit(format!("a task of the runtime failed: {error}"))),
    }
}
