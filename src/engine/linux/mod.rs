//! The real host: the hands, brought together.
//!
//! Operations that are under way and what they failed with are kept here, in memory only: after a
//! restart of the daemon everything is read back from the kernel and the containers' shims.

mod copying;
mod expected;
mod files;
mod health;
mod hooks;
mod naming;
mod network;
mod operations;
mod probe;
mod steps;
mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{RwLock, Semaphore, watch};
use tracing::warn;

pub use self::copying::FilesError;
pub use self::expected::Started;
use self::health::HealthRecords;
use self::naming::Naming;
use self::operations::Operations;
use super::{Host, Problem};
use crate::image;
use crate::model::{
    Agreed, AttemptId, Boottime, ContainerId, Exit, Health, Instance, NetworkTable, Now, Observed,
    ObservedContainer, Phase, TaskId, labels,
};
use crate::network::Networks;
use crate::plan::Step;
use crate::runtime::{ContainerPhase, ContainerRecord, Runtime};
use crate::sys::clock;
use crate::volume::Volumes;

/// How many programs may be starting at once. More would only wait for the same two or four cores,
/// and all would be late instead of some early.
const STARTS_MAX: usize = 8;

/// The hands that a host is made of.
#[derive(Debug, Clone)]
pub struct Hands {
    /// Containers.
    pub runtime: Runtime,
    /// Networks.
    pub networks: Networks,
    /// Images.
    pub images: image::Store,
    /// Volumes.
    pub volumes: Volumes,
    /// Names and held ports.
    pub netd: Arc<crate::netd::Client>,
}

/// Why a host cannot be taken over.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The networks.
    #[error(transparent)]
    Network(#[from] crate::network::NetworkError),
    /// The volumes.
    #[error(transparent)]
    Volume(#[from] crate::volume::VolumeError),
}

/// This machine.
#[derive(Debug)]
pub struct LinuxHost {
    instance: Instance,
    hands: Hands,
    naming: Naming,
    starts: Semaphore,
    /// Held by starts, and alone by whoever unmounts the file systems of volumes.
    volume_use: RwLock<()>,
    changed: watch::Sender<u64>,
    inner: Mutex<Inner>,
}

/// What the host remembers between passes.
#[derive(Debug, Default)]
struct Inner {
    agreed: Arc<Agreed>,
    operations: Operations,
    /// Attempts that ended before their container was made.
    failed_starts: BTreeMap<AttemptId, Exit>,
    /// The sandboxes that are there, and where.
    sandboxes: BTreeMap<TaskId, PathBuf>,
    /// The volumes that are there.
    volumes: BTreeSet<String>,
    /// Containers that are being removed and have given their volumes back.
    given_back: BTreeSet<ContainerId>,
    health: HealthRecords,
    /// Containers whose hooks after the start have not all ended, and those that one failed in.
    hooks: hooks::Hooks,
    on_link: Vec<ipnet::IpNet>,
    /// Who waits for the start of a container, by its name.
    expected: BTreeMap<String, tokio::sync::oneshot::Sender<Started>>,
    /// How long programs have to end because a user said so with a command, by stack and service.
    grace: BTreeMap<(String, Option<String>), Duration>,
    /// Whether nothing is left in the kernel, because there is nothing to run.
    resting: bool,
    /// The network that is in force.
    network: NetworkTable,
    /// The network that should be: with the ports that others have.
    wanted_network: NetworkTable,
}

impl LinuxHost {
    /// Finds what an earlier daemon left running, and begins to watch it.
    ///
    /// # Errors
    /// If the networks or the volumes cannot be read.
    pub async fn open(instance: Instance, hands: Hands) -> Result<Arc<Self>, OpenError> {
        let sandboxes = hands.networks.sandboxes().await?;
        let on_link = hands.networks.on_link().await?;
        let volumes = hands.volumes.list()?.into_iter().map(|volume| volume.name).collect();
        let inner = Inner { sandboxes, on_link, volumes, ..Inner::default() };
        let host = Arc::new(Self {
            naming: Naming::new(),
            starts: Semaphore::new(STARTS_MAX),
            volume_use: RwLock::new(()),
            changed: watch::Sender::new(0),
            inner: Mutex::new(inner),
            instance,
            hands,
        });
        if let Err(why) = host.hands.runtime.user_namespaces() {
            warn!("containers have the users of the host: {why}");
        }
        host.watch();
        host.adopt();
        Ok(host)
    }

    /// The hands, for what is not a step: images, logs, programs run inside containers.
    pub fn hands(&self) -> &Hands {
        &self.hands
    }

    /// The directory of a task's log, which all its containers share.
    pub fn log_directory(instance: &Instance, task: TaskId) -> PathBuf {
        instance.root.join("logs").join(task.to_string())
    }

    /// For the stops that follow, programs of the stack (or one service of it) have this long to end
    /// instead of what their services say. `None` takes an earlier word back.
    pub fn override_grace(&self, stack: &str, service: Option<&str>, grace: Option<Duration>) {
        let key = (stack.to_owned(), service.map(str::to_owned));
        match grace {
            Some(grace) => self.inner().grace.insert(key, grace),
            None => self.inner().grace.remove(&key),
        };
    }

    /// Lets the network helper end: the daemon is about to end it.
    pub fn let_netd_end(&self) {
        self.hands.netd.close();
    }

    /// Passes on the news of the hands, for as long as the host is there.
    fn watch(self: &Arc<Self>) {
        let sources = [self.hands.runtime.changed(), self.hands.networks.changes()];
        for mut source in sources {
            let host = Arc::downgrade(self);
            tokio::spawn(async move {
                while source.changed().await.is_ok() {
                    let Some(host) = host.upgrade() else { return };
                    host.touch();
                }
            });
        }
        self.naming.spawn(self);
    }

    /// Goes on with the health checks and the hooks of the containers that an earlier daemon started,
    /// or was killed while it started them.
    fn adopt(self: &Arc<Self>) {
        for (id, record) in self.hands.runtime.containers() {
            self.recall_health(&id);
            let hooks = self.recall_hooks(&id);
            if matches!(record.phase, ContainerPhase::Exited(_)) {
                continue;
            }
            let host = Arc::clone(self);
            tokio::spawn(async move {
                // One that does not come to run is not asked for anything.
                if host.hands.runtime.running(&id).await.is_ok() {
                    host.begin_probing(&id);
                    host.begin_hooks(&id, hooks);
                    host.kill_after_failed_hook(&id).await;
                }
            });
        }
    }

    fn touch(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A panic in another thread leaves maps that are whole: each change is one insert or remove.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn task_directory(&self, task: TaskId) -> PathBuf {
        self.instance.run.join("tasks").join(task.to_string())
    }
}

impl Host for LinuxHost {
    async fn observe(&self, agreed: &Agreed) -> Observed {
        let records = self.hands.runtime.containers();
        let refused = self.naming.refused();
        let inner = self.inner();
        let mut observed = Observed {
            sandboxes: inner.sandboxes.keys().copied().collect(),
            volumes: inner.volumes.clone(),
            on_link: inner.on_link.clone(),
            taken_ports: refused,
            ..Observed::default()
        };
        for (id, record) in &records {
            match attempt_of(agreed, id, record) {
                Some(attempt) => {
                    let container = inner.observed(id, record);
                    observed.containers.insert(attempt, container);
                }
                None => {
                    observed.strays.insert(id.clone());
                }
            }
        }
        for (attempt, exit) in &inner.failed_starts {
            observed.containers.entry(*attempt).or_insert_with(|| ObservedContainer {
                id: agreed.container_id(*attempt),
                phase: Phase::Exited(exit.clone()),
                busy: false,
            });
        }
        for attempt in inner.operations.starting() {
            let busy = |mut container: ObservedContainer| {
                container.busy = true;
                container
            };
            let seen = observed.containers.remove(&attempt).unwrap_or_else(|| ObservedContainer {
                id: agreed.container_id(attempt),
                phase: Phase::Creating,
                busy: true,
            });
            observed.containers.insert(attempt, busy(seen));
        }
        observed
    }

    async fn put_network(&self, agreed: &Arc<Agreed>, table: &NetworkTable) -> Vec<Problem> {
        self.inner().agreed = Arc::clone(agreed);
        self.put_network_table(table).await
    }

    fn begin(self: &Arc<Self>, step: Step) {
        self.begin_step(step);
    }

    fn problems(&self) -> Vec<Problem> {
        self.inner().operations.problems()
    }

    fn now(&self) -> Now {
        clock::now()
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

impl Inner {
    /// A container's health, and since when. It is starting until its hooks have ended.
    fn health_of(&self, id: &ContainerId, since: Boottime) -> (Health, Boottime) {
        if self.hooks.pending(id) {
            return (Health::Starting, since);
        }
        self.health.of(id).unwrap_or((Health::None, since))
    }

    fn observed(&self, id: &ContainerId, record: &ContainerRecord) -> ObservedContainer {
        let phase = match &record.phase {
            ContainerPhase::Creating => Phase::Creating,
            ContainerPhase::Running { pid, since, stopping, paused } => {
                let (health, health_since) = self.health_of(id, *since);
                Phase::Running {
                    since: *since,
                    pid: *pid,
                    health,
                    health_since,
                    stopping: *stopping,
                    paused: *paused,
                }
            }
            ContainerPhase::Exited(exit) => Phase::Exited(self.hooks.judge(
                id,
                Exit {
                    unhealthy: self.health.was_stopped(id),
                    was_healthy: self.health.was_healthy(id),
                    ..exit.clone()
                },
            )),
        };
        ObservedContainer { id: id.clone(), phase, busy: self.operations.busy(id) }
    }
}

/// The attempt that a container is, if this store made it.
fn attempt_of(agreed: &Agreed, id: &ContainerId, record: &ContainerRecord) -> Option<AttemptId> {
    let attempt: AttemptId = record.container.labels.get(labels::ATTEMPT)?.parse().ok()?;
    (agreed.container_id(attempt) == *id).then_some(attempt)
}

/// Removes a file or directory if it is there; what cannot be removed is logged and left.
fn remove_quietly(path: &Path) {
    let removed = match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(_) => return,
    };
    if let Err(error) = removed {
        warn!(path = %path.display(), %error, "cannot remove");
    }
}
