//! Starting a container.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::cdi;
use super::super::compile::{self, Network, Unfit, Wish};
use super::super::init::CANNOT_MAKE;
use super::super::protocol::{self, Reply, Request};
use super::super::record::{self, Asked};
use super::super::wire;
use super::attach::{self, Attach};
use super::packets::{Packets, in_memory};
use super::users::{self, Excuse, Users};
use super::{ContainerPhase, Entry, Runtime, RuntimeError, StartError};
use crate::model::{Container, ContainerId, Exit, HostMount, Namespace, Rootfs};
use crate::sys::{clock, seqpacket};

/// A container to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartRequest {
    /// The container. Namespaces of other containers are those of containers that run here.
    pub container: Container,
    /// Its root file system.
    pub rootfs: Rootfs,
    /// What is mounted in it, in order.
    pub mounts: Vec<HostMount>,
    /// Its network namespace.
    pub network: NetworkPath,
    /// The directory of its log.
    pub log_dir: PathBuf,
}

/// Where a container's network is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkPath {
    /// The host's.
    Host,
    /// A new namespace, with only `lo`, up.
    None,
    /// The namespace at this path.
    Path(PathBuf),
}

/// A request with what only this host can tell.
struct Decided {
    /// The container, with its devices by path and its users as they can be had.
    container: Container,
    /// The mounts that come with its devices.
    guarded: Vec<HostMount>,
    network: Network,
    /// In the plan's order.
    namespaces: Vec<OwnedFd>,
}

impl From<Unfit> for RuntimeError {
    fn from(unfit: Unfit) -> Self {
        Self::Unfit(unfit.0)
    }
}

impl Runtime {
    /// Starts a container, and returns the id of its process once its program runs. If that fails, the
    /// container is there all the same, as one that has exited with the reason.
    ///
    /// It goes on when the caller gives up waiting.
    ///
    /// # Errors
    /// If the program does not run.
    pub async fn start(&self, request: StartRequest) -> Result<u32, StartError> {
        self.start_apart(request, false).await.map(|(pid, _)| pid)
    }

    /// As [`Runtime::start`], with the program's streams from its very first byte.
    ///
    /// # Errors
    /// If the program does not run.
    pub async fn start_attached(&self, request: StartRequest) -> Result<(u32, Attach), StartError> {
        let id = request.container.id.clone();
        let (pid, asked) = self.start_apart(request, true).await?;
        let attached = match (asked, self.ending(&id)) {
            (Some(asked), Ok(ending)) => asked.attached(ending).await,
            (None, _) => Err(io::Error::other("nobody asked to be attached")),
            (_, Err(gone)) => Err(io::Error::other(gone)),
        };
        let attach = attached.map_err(|error| StartError {
            code: CANNOT_MAKE,
            message: format!("the program runs and cannot be attached to: {error}"),
        })?;
        Ok((pid, attach))
    }

    /// In a task of its own, which goes on whatever the caller does.
    async fn start_apart(
        &self,
        request: StartRequest,
        attach: bool,
    ) -> Result<(u32, Option<attach::Asked>), StartError> {
        let runtime = self.clone();
        match tokio::spawn(async move { runtime.start_whole(request, attach).await }).await {
            Ok(started) => started,
            Err(error) => Err(StartError { code: CANNOT_MAKE, message: error.to_string() }),
        }
    }

    async fn start_whole(
        &self,
        request: StartRequest,
        attach: bool,
    ) -> Result<(u32, Option<attach::Asked>), StartError> {
        let id = request.container.id.clone();
        let asked = Asked {
            container: Arc::new(request.container.clone()),
            cgroup: Vec::new(),
            log_dir: request.log_dir.clone(),
            seccomp_profile: None,
        };
        self.claim(&id, asked)?;
        let runtime = self.clone();
        let begun = super::blocking(move || runtime.begin(&request, attach)).await;
        let (connection, asked) = match begun {
            Ok(begun) => begun,
            Err(error) => return Err(self.cannot_start(&id, &chain(&error))),
        };
        let pid = self.await_start(&id, connection).await?;
        Ok((pid, asked))
    }

    /// One start for each id.
    fn claim(&self, id: &ContainerId, asked: Asked) -> Result<(), StartError> {
        let mut containers = self.lock();
        if containers.contains_key(id) {
            let message = format!("there is a container {} already", id.short());
            return Err(StartError { code: CANNOT_MAKE, message });
        }
        containers.insert(id.clone(), Entry::new(asked, ContainerPhase::Creating));
        drop(containers);
        self.note_change();
        Ok(())
    }

    /// Makes what a shim needs, and hands it over.
    fn begin(
        &self,
        request: &StartRequest,
        attach: bool,
    ) -> Result<(OwnedFd, Option<attach::Asked>), RuntimeError> {
        let dir = self.record_dir(&request.container.id);
        let Decided { container, guarded, network, namespaces } = self.decide(request)?;
        let container = &container;
        let devices = compile::allowed_devices(container)?;
        let seccomp_profile = compile::seccomp_profile(container)?;
        make_record_dir(&dir)?;
        for warning in self.inner.cgroups.warnings(&container.resources) {
            tracing::warn!("{}: {warning}", container.name);
        }
        let path = self.cgroup_path(container);
        if container.cgroup_parent.is_some() {
            // Whoever finds the record unfinished would not know where to look.
            record::write_place(&dir, &path)
                .map_err(|source| failed("write a record in", &dir, source))?;
        }
        let cgroup = self.inner.cgroups.create(&path, &container.resources, &devices)?.parts();
        let asked = Asked {
            container: Arc::new(container.clone()),
            cgroup: cgroup.clone(),
            log_dir: request.log_dir.clone(),
            seccomp_profile,
        };
        // From here on whoever removes the container knows of its cgroup, whatever fails next.
        let asked = Arc::new(asked);
        if let Some(entry) = self.lock().get_mut(&container.id) {
            entry.asked = Arc::clone(&asked);
        }
        record::write_asked(&dir, &asked)
            .map_err(|source| failed("write a record in", &dir, source))?;
        users::give(container, &request.mounts)
            .map_err(|error| RuntimeError::Unfit(format!("cannot give files away: {error}")))?;
        let plan = compile::start(Wish {
            container,
            rootfs: &request.rootfs,
            mounts: &request.mounts,
            guarded: &guarded,
            network,
            log_dir: &request.log_dir,
            state_dir: &dir,
            cgroup,
        })?;
        let listener = seqpacket::listen(&dir, record::SOCKET)
            .map_err(|source| failed("listen in", &dir, source))?;
        let asked = attach
            .then(|| attach::ask(&dir))
            .transpose()
            .map_err(|source| failed("attach to", &dir, source))?;
        let connection = self.hand_over(&dir, &wire::encode(&plan), listener, &namespaces)?;
        Ok((connection, asked))
    }

    /// What only this host can tell.
    fn decide(&self, request: &StartRequest) -> Result<Decided, RuntimeError> {
        let mut container = request.container.clone();
        let guarded =
            cdi::apply(&mut container).map_err(|error| RuntimeError::Unfit(error.to_string()))?;
        let (mut network, mut namespaces) = network(&request.network)?;
        let mut users = None;
        if let Some(maps) = &container.users {
            let its_network = (network, namespaces.first());
            match self.users(&container, maps, its_network, &[&request.mounts, &guarded])? {
                Ok(made) => users = Some(made),
                Err(Excuse(why)) => {
                    let name = &container.name;
                    tracing::info!("{name} runs without a user namespace: {why}");
                    container.users = None;
                }
            }
        }
        if let Some(new) = users.as_mut().and_then(|users| users.network.take()) {
            network = Network::Bare;
            namespaces.push(new);
        }
        namespaces.extend(self.joined(&container)?);
        if let Some(Users { namespace, .. }) = users {
            let seen_through = namespace.try_clone().map_err(|error| {
                RuntimeError::Unfit(format!("cannot use the user namespace: {error}"))
            })?;
            namespaces.extend([namespace, seen_through]);
        }
        Ok(Decided { container, guarded, network, namespaces })
    }

    fn hand_over(
        &self,
        dir: &Path,
        plan: &[u8],
        listener: OwnedFd,
        namespaces: &[OwnedFd],
    ) -> Result<OwnedFd, RuntimeError> {
        if plan.len() > super::super::plan::MAX_BYTES {
            return Err(RuntimeError::Unfit(
                "the container's files in memory are too large".into(),
            ));
        }
        let memory = in_memory(plan).map_err(|source| failed("write the plan of", dir, source))?;
        let lock = take_lock(dir).map_err(|source| failed("lock", dir, source))?;
        let mut fds = vec![memory.as_fd(), lock.as_fd(), listener.as_fd()];
        fds.extend(namespaces.iter().map(OwnedFd::as_fd));
        let length = u64::try_from(plan.len()).unwrap_or(u64::MAX);
        let packet = protocol::packet(&Request::Start { length });
        self.tell_launcher(&packet, &fds, dir)
    }

    /// Waits until the program runs, then leaves the connection to a watcher.
    async fn await_start(&self, id: &ContainerId, connection: OwnedFd) -> Result<u32, StartError> {
        let packets = match Packets::new(connection) {
            Ok(packets) => packets,
            Err(error) => return Err(self.cannot_start(id, &error.to_string())),
        };
        match packets.receive().await {
            Ok(Some((Reply::Status(status), _))) if !status.ended => {
                self.heard(id, status);
                self.watch(id.clone(), packets);
                Ok(status.pid.unsigned_abs())
            }
            Ok(Some((Reply::Failed(why), _))) => Err(self.cannot_start(id, &why)),
            // It ended; or its shim died, which is found out in the same way.
            _ => {
                let exit = self.settle(id).await;
                let message = exit.error.unwrap_or_else(|| "the shim was killed".to_owned());
                Err(StartError { code: exit.code, message })
            }
        }
    }

    /// Writes down that nothing was started, and why.
    fn cannot_start(&self, id: &ContainerId, why: &str) -> StartError {
        let error = StartError { code: CANNOT_MAKE, message: why.to_owned() };
        let exit = Exit {
            code: error.code,
            error: Some(why.to_owned()),
            at: clock::boottime(),
            ..Exit::default()
        };
        let dir = self.record_dir(id);
        if dir.is_dir()
            && let Err(error) = record::write_exit(&dir, &exit)
        {
            tracing::warn!("cannot write how container {id} ended: {error}");
        }
        self.set_phase(id, ContainerPhase::Exited(exit));
        error
    }

    /// The namespaces of other containers that this one uses, in the plan's order.
    fn joined(&self, container: &Container) -> Result<Vec<OwnedFd>, RuntimeError> {
        let names: BTreeMap<i32, &str> = BTreeMap::from([
            (libc::CLONE_NEWPID, "pid"),
            (libc::CLONE_NEWIPC, "ipc"),
            (libc::CLONE_NEWUTS, "uts"),
            (libc::CLONE_NEWCGROUP, "cgroup"),
        ]);
        let mut opened = Vec::new();
        for (namespace, kind) in compile::kinds(container) {
            if let Namespace::Container(other) = namespace {
                let name = names.get(&kind).copied().unwrap_or_default();
                opened.push(self.namespace_of(other, name)?);
                if kind == libc::CLONE_NEWIPC {
                    opened.push(self.namespace_of(other, "mnt")?);
                }
            }
        }
        Ok(opened)
    }

    fn namespace_of(&self, id: &ContainerId, name: &str) -> Result<OwnedFd, RuntimeError> {
        let ContainerPhase::Running { pid, .. } = self.entry(id)?.phase else {
            return Err(RuntimeError::NotRunning(id.clone()));
        };
        let path = PathBuf::from(format!("/proc/{pid}/ns/{name}"));
        let opened = File::open(&path).map_err(|source| failed("open", &path, source))?;
        // The process may have ended and its number be another's: its record tells.
        let same = record::read_started(&self.record_dir(id)).is_some_and(|started| {
            record::start_time(started.pid).is_none_or(|time| time == started.start_time)
        });
        if same { Ok(opened.into()) } else { Err(RuntimeError::NotRunning(id.clone())) }
    }

    fn cgroup_path(&self, container: &Container) -> String {
        let id = container.id.as_str();
        match container.cgroup_parent.as_deref().map(|parent| parent.trim_end_matches('/')) {
            Some(parent) if !parent.is_empty() => format!("{parent}/{id}"),
            _ => format!("{}/{id}", self.inner.instance.kernel_name()),
        }
    }
}

fn network(path: &NetworkPath) -> Result<(Network, Vec<OwnedFd>), RuntimeError> {
    Ok(match path {
        NetworkPath::Host => (Network::Host, Vec::new()),
        NetworkPath::None => (Network::New, Vec::new()),
        NetworkPath::Path(path) => {
            let file =
                File::open(path).map_err(|source| failed("open the network", path, source))?;
            (Network::Given, vec![file.into()])
        }
    })
}

fn make_record_dir(dir: &Path) -> Result<(), RuntimeError> {
    let make = |path: &Path| std::fs::DirBuilder::new().mode(0o700).create(path);
    make(dir)
        .and_then(|()| make(&dir.join(record::STAGE)))
        .map_err(|source| failed("make the directory", dir, source))
}

/// The lock that the shim will hold: whoever finds it free knows that there is no shim.
fn take_lock(dir: &Path) -> io::Result<OwnedFd> {
    let file =
        File::options().write(true).create(true).truncate(false).open(dir.join(record::LOCK))?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
    Ok(file.into())
}

pub(super) fn failed(what: &'static str, path: &Path, source: io::Error) -> RuntimeError {
    RuntimeError::File { what, path: path.to_owned(), source }
}

/// An error and its causes, as one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
