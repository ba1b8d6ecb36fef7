//! Bridges, sandboxes, addresses, published ports: by netlink, in whole values.
//!
//! [`Networks`] makes the host's network match a [`NetworkTable`] and gives each task its sandbox. It
//! knows nothing of services and containers beyond the ids it is handed, and never serves a packet:
//! the kernel goes on without it.

mod address;
mod bridge;
mod connections;
mod error;
mod forwarding;
mod kernel;
mod link;
mod names;
mod namespace;
mod neighbours;
mod netlink;
mod resolver;
mod route;
mod rules;
mod sandbox;
mod state;
mod surroundings;
mod sysctl;
mod watch;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::IpNet;
use tokio::sync::watch as latest;
use tokio::task::{JoinHandle, spawn_blocking};

pub use error::NetworkError;

use crate::model::{Instance, NetworkTable, Sandbox, TaskId};
use connections::Which;
use names::Names;
use state::State;
use surroundings::Surroundings;
use watch::Watched;

/// The network of one instance. Clones share it. All work runs on blocking threads of tokio, in the
/// network namespace that [`Networks::open`] was called in.
#[derive(Debug, Clone)]
pub struct Networks {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    names: Names,
    sandboxes: PathBuf,
    state: Mutex<State>,
    watched: Arc<Watched>,
    watcher: JoinHandle<()>,
    surroundings: Surroundings,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

impl Networks {
    /// Opens the ways to the kernel and checks that it has what is needed. Changes nothing.
    ///
    /// # Errors
    /// If the process lacks the right to change the network, or the kernel lacks bridges, veth pairs
    /// or nf_tables with address translation.
    pub async fn open(instance: &Instance) -> Result<Self, NetworkError> {
        let names = Names::of(instance);
        let (run, sandboxes) = (instance.run.clone(), instance.run.join("netns"));
        let own_names = names.clone();
        let state = blocking(move || State::open(own_names, run)).await?;
        let watched = Arc::clone(state.watched());
        let watcher = watch::start(&watched)?;
        let surroundings = Surroundings::open().map_err(NetworkError::kernel("ask for routes"))?;
        let state = Mutex::new(state);
        let shared = Shared { names, sandboxes, state, watched, watcher, surroundings };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Puts `table` in force as a whole: makes, corrects and removes bridges, and changes the rules in
    /// one transaction. Connections to a published port stay with their backend; new ones go to the
    /// new backends. Costs nothing when the table is in force and nobody touched it.
    ///
    /// # Errors
    /// If the kernel refuses a part. What was put in force before that part stays, and the next call
    /// goes on from there.
    pub async fn apply(&self, table: &NetworkTable) -> Result<(), NetworkError> {
        let table = table.clone();
        self.with_state(move |state| state.apply(&table)).await
    }

    /// Makes the sandbox, or corrects the one that is there, and returns its file. Its networks must
    /// have been applied.
    ///
    /// # Errors
    /// If a network is not there, an address is not in its network, or the kernel refuses a part; a
    /// new sandbox is not there then.
    pub async fn ensure_sandbox(&self, sandbox: &Sandbox) -> Result<PathBuf, NetworkError> {
        let (shared, sandbox) = (Arc::clone(&self.shared), sandbox.clone());
        let path = self.sandbox_path(sandbox.task);
        blocking(move || {
            // Only what it needs to know is taken from the state: sandboxes are made side by side.
            let (networks, nonce) = shared.with(State::networks_for_a_sandbox);
            let plan = sandbox::Plan::new(&shared.names, &networks, &sandbox, nonce)?;
            sandbox::ensure(&path, &plan)?;
            Ok(path)
        })
        .await
    }

    /// Removes a sandbox, if it is there. Whoever still has it open finds it cut off from all networks.
    ///
    /// # Errors
    /// If its file cannot be unmounted or removed.
    pub async fn remove_sandbox(&self, task: TaskId) -> Result<(), NetworkError> {
        let path = self.sandbox_path(task);
        blocking(move || sandbox::remove(&path)).await
    }

    /// The file on which the network namespace of a task is mounted, if it has one.
    pub fn sandbox_path(&self, task: TaskId) -> PathBuf {
        self.shared.sandboxes.join(task.to_string())
    }

    /// The sandboxes that are there.
    ///
    /// # Errors
    /// If the directory of sandboxes cannot be read.
    pub async fn sandboxes(&self) -> Result<BTreeMap<TaskId, PathBuf>, NetworkError> {
        let directory = self.shared.sandboxes.clone();
        blocking(move || {
            let mut files = files_of_sandboxes(&directory)?;
            files.retain(|_, path| namespace::is_there(path));
            Ok(files)
        })
        .await
    }

    /// Removes the files of sandboxes that an earlier daemon was killed in the middle of: no namespace is
    /// mounted on them.
    ///
    /// # Errors
    /// If the directory of sandboxes cannot be read, or a file cannot be removed.
    pub async fn sweep_sandboxes(&self) -> Result<(), NetworkError> {
        let directory = self.shared.sandboxes.clone();
        blocking(move || {
            let mut files = files_of_sandboxes(&directory)?;
            files.retain(|_, path| !namespace::is_there(path));
            files.values().try_for_each(|path| namespace::remove(path))
        })
        .await
    }

    /// The subnets that the host is directly connected to by links that are not this instance's, and
    /// its name servers: no new network should overlap one of them.
    ///
    /// # Errors
    /// If the kernel does not tell its links or routes.
    pub async fn on_link(&self) -> Result<Vec<IpNet>, NetworkError> {
        self.shared.surroundings.on_link(&self.shared.names).await
    }

    /// Makes the kernel forget the connections that lead to `address`, TCP, UDP and others: a backend
    /// that is gone. The next packet of such a connection is treated as the first of a new one.
    ///
    /// # Errors
    /// If the kernel does not list or remove connections.
    pub async fn forget_connections(&self, address: Ipv4Addr) -> Result<(), NetworkError> {
        self.with_state(move |state| state.forget_connections(&[Which::AnsweredBy(address)])).await
    }

    /// Removes everything of this instance from the kernel: sandboxes, links, rules, and the rules in
    /// the filters of other programs. Forwarding stays switched on, since others may rely on it.
    ///
    /// # Errors
    /// If the kernel refuses a part.
    pub async fn remove_all(&self) -> Result<(), NetworkError> {
        let directory = self.shared.sandboxes.clone();
        self.with_state(move |state| {
            for path in files_of_sandboxes(&directory)?.values() {
                sandbox::remove(path)?;
            }
            state.remove_all()?;
            // Something else in it is not ours to remove.
            std::fs::remove_dir(&directory).unwrap_or_default();
            Ok(())
        })
        .await
    }

    /// Counts up when somebody else changed what is ours: a table that was flushed, a bridge that was
    /// removed, a filter that began to drop. [`Networks::apply`] puts it right.
    pub fn changes(&self) -> latest::Receiver<u64> {
        self.shared.watched.changes()
    }

    async fn with_state<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut State) -> Result<T, NetworkError> + Send + 'static,
    ) -> Result<T, NetworkError> {
        let shared = Arc::clone(&self.shared);
        blocking(move || shared.with(work)).await
    }
}

impl Shared {
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        // The state only says what is known of the kernel; work that panicked left less to know.
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The files in the directory of sandboxes, also those without a namespace that a killed process left.
fn files_of_sandboxes(directory: &Path) -> Result<BTreeMap<TaskId, PathBuf>, NetworkError> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(NetworkError::file("list the sandboxes in", directory)(error)),
    };
    let mut files = BTreeMap::new();
    for entry in entries {
        let entry = entry.map_err(NetworkError::file("list the sandboxes in", directory))?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix('t')?.parse().ok());
        if let Some(number) = number {
            files.insert(TaskId(number), entry.path());
        }
    }
    Ok(files)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, NetworkError> + Send + 'static,
) -> Result<T, NetworkError> {
    spawn_blocking(work).await.unwrap_or(Err(NetworkError::CutOff))
}
