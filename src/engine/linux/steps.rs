//! Carrying out steps: each on a task of its own, each safe to repeat.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tracing::{debug, warn};

use super::network::sentence;
use super::operations::Subject;
use super::trace::Trace;
use super::{LinuxHost, attempt_of, files, remove_quietly};
use crate::engine::Problem;
use crate::model::{
    Container, ContainerId, ContainerMount, ContainerMountSource, Digest, Exit, HostMount,
    HostMountSource, NetworkNamespace, Rootfs, Sandbox, TaskId,
};
use crate::plan::{Start, StartVolume, Step, StopReason};
use crate::runtime::{NetworkPath, StartError, StartRequest};
use crate::sys::clock;

/// Why a step could not be carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    #[error(transparent)]
    Network(#[from] crate::network::NetworkError),
    #[error(transparent)]
    Image(#[from] crate::image::ImageError),
    #[error(transparent)]
    Volume(#[from] crate::volume::VolumeError),
    #[error(transparent)]
    Runtime(#[from] crate::runtime::RuntimeError),
    #[error("cannot write the files of {name}")]
    Files { name: String, source: std::io::Error },
    #[error("cannot make {path}, which is to be mounted")]
    BindSource { path: String, source: std::io::Error },
    #[error("{path} is to be mounted but is not there")]
    NoBindSource { path: String },
    #[error("there is no volume {name}")]
    NoVolume { name: String },
    #[error("the work was cut short")]
    CutShort(#[from] tokio::task::JoinError),
}

impl LinuxHost {
    /// Begins `step` unless the same thing is being worked on or has failed a moment ago.
    pub(super) fn begin_step(self: &Arc<Self>, step: Step) {
        let subject = subject(&step);
        let starting = match &step {
            Step::Start(start) => Some(start.attempt),
            _ => None,
        };
        if !self.inner().operations.begin(&subject, starting, clock::boottime()) {
            return;
        }
        let host = Arc::clone(self);
        tokio::spawn(async move {
            let described = step.to_string();
            let done = host.carry_out(step).await;
            host.finished(&subject, &described, done);
        });
    }

    fn finished(&self, subject: &Subject, described: &str, done: Result<(), StepError>) {
        match done {
            Ok(()) => {
                debug!(step = described, "done");
                self.inner().operations.succeeded(subject);
            }
            Err(error) => {
                let message = format!("cannot {described}: {}", sentence(&error));
                warn!("{message}");
                let problem = Problem { stack: String::new(), service: None, message };
                let now = clock::boottime();
                let wait = self.inner().operations.failed(subject, now, problem);
                self.touch_later(wait);
            }
        }
        self.touch();
    }

    async fn carry_out(self: &Arc<Self>, step: Step) -> Result<(), StepError> {
        match step {
            Step::RemoveVolume { name } => {
                let (volumes, gone) = (self.hands.volumes.clone(), name.clone());
                spawn_blocking(move || volumes.remove(&gone)).await??;
                self.inner().volumes.remove(&name);
                Ok(())
            }
            Step::Start(start) => {
                self.start(*start).await;
                Ok(())
            }
            Step::Stop { attempt, id, signal, grace, reason } => {
                let grace = self.grace(attempt.task).unwrap_or(grace);
                self.stop(&id, &signal, grace, reason).await
            }
            Step::Remove { id, log } => self.remove(&id, log).await,
            Step::RemoveSandbox { task } => self.remove_task(task).await,
        }
    }

    /// Starts a container. A failure is not an error of the step: it is how this attempt ended, and
    /// the planner decides what follows.
    async fn start(self: &Arc<Self>, start: Start) {
        let (attempt, name) = (start.attempt, start.container.name.clone());
        let (id, volumes) = (start.container.id.clone(), start.container.volumes());
        let began = clock::boottime();
        if let Err(error) = self.try_start(start).await {
            // There is no container, so nobody would remove what was made for it so far.
            let removed = self.remove_files(&id, volumes).await;
            if let Err(error) = removed.and(self.remove_task_files(attempt.task).await) {
                warn!(%attempt, error = %sentence(&error), "something of a failed start is left");
            }
            let now = clock::boottime();
            let said = StartError { code: 125, message: sentence(&error) };
            self.tell_not_started(&name, said.clone());
            let exit = Exit {
                code: said.code,
                error: Some(said.message),
                at: now,
                ran: now.since(began),
                ..Exit::default()
            };
            warn!(%attempt, error = %sentence(&error), "cannot start");
            self.inner().failed_starts.insert(attempt, exit);
        }
    }

    async fn try_start(self: &Arc<Self>, start: Start) -> Result<(), StepError> {
        let _using = self.volume_use.read().await;
        let Start { attempt, volumes, mut sandbox, mut container, health, .. } = start;
        if self.hands.runtime.user_namespaces().is_err() {
            // Said once, when the host was taken over.
            container.users = None;
            sandbox = sandbox.map(|sandbox| Sandbox { users: None, ..sandbox });
        }
        let mut trace = Trace::new(attempt);
        // The semaphore is never closed, so there is nothing to do about an error.
        let permit = self.starts.acquire().await;
        trace.lap("turn");
        self.make_volumes(volumes).await?;
        // Both to their end, also if one fails: a sandbox that was made is known.
        let (is_new, prepared) = tokio::join!(
            self.make_sandbox(sandbox.as_ref()),
            self.prepare_files(attempt.task, &container, sandbox.as_ref())
        );
        let (is_new, Prepared { mounts, rootfs }) = (is_new?, prepared?);
        trace.lap("sandbox and files");
        if is_new {
            // Others may have a turn while this one waits for its names.
            drop(permit);
            self.naming.in_force().await;
            trace.lap("names");
        }
        let network = match container.namespaces.network {
            NetworkNamespace::Host => NetworkPath::Host,
            NetworkNamespace::None => NetworkPath::None,
            NetworkNamespace::Sandbox(task) => {
                NetworkPath::Path(self.hands.networks.sandbox_path(task))
            }
        };
        let log_dir = Self::log_directory(&self.instance, attempt.task);
        let id = container.id.clone();
        let request = StartRequest { container, rootfs, mounts, network, log_dir };
        if let Some(check) = health {
            self.expect_health(&id, check);
        }
        let hooks = request.container.post_start.clone();
        self.expect_hooks(&id, &hooks);
        let started = self.run_program(request).await;
        trace.lap("program");
        trace.tell();
        match started {
            Ok(_) => {
                self.begin_probing(&id);
                self.begin_hooks(&id, hooks);
            }
            // The container is there all the same, as one that ended with this reason.
            Err(error) => {
                self.forget_hooks(&id);
                debug!(%attempt, %error, "the program does not run");
            }
        }
        Ok(())
    }

    /// Makes a container's sandbox, if it has one of its own; whether it is new.
    async fn make_sandbox(&self, sandbox: Option<&Sandbox>) -> Result<bool, StepError> {
        let Some(sandbox) = sandbox else { return Ok(false) };
        let path = self.hands.networks.ensure_sandbox(sandbox).await?;
        Ok(self.inner().sandboxes.insert(sandbox.task, path).is_none())
    }

    /// Makes a container's files, its mounts and its root.
    async fn prepare_files(
        &self,
        task: TaskId,
        container: &Container,
        sandbox: Option<&Sandbox>,
    ) -> Result<Prepared, StepError> {
        let directory = self.task_directory(task);
        let mut mounts = files::prepare(&directory, container, sandbox)
            .map_err(|source| StepError::Files { name: container.name.clone(), source })?;
        let hands = self.hands.clone();
        let (mounted, size) = (images_mounted(&container.mounts), container.storage_size);
        let (id, image, wanted) =
            (container.id.clone(), container.image.clone(), container.mounts.clone());
        spawn_blocking(move || {
            for mount in wanted {
                mounts.push(host_mount(&hands, &image, mount)?);
            }
            let rootfs = hands.images.create_root(&id, &image)?;
            let limited = size.map_or(Ok(()), |size| hands.images.limit_root(&id, size));
            let mut mounted = mounted.iter();
            let noted =
                limited.and_then(|()| mounted.try_for_each(|i| hands.images.also_uses(&id, i)));
            noted.inspect_err(|_| drop(hands.images.remove_root(&id)))?;
            Ok(Prepared { mounts, rootfs })
        })
        .await?
    }

    /// Makes the volumes that are not there yet.
    async fn make_volumes(&self, wanted: Vec<StartVolume>) -> Result<(), StepError> {
        if wanted.is_empty() {
            return Ok(());
        }
        let volumes = self.hands.volumes.clone();
        let names: Vec<String> = wanted.iter().map(|volume| volume.name.clone()).collect();
        spawn_blocking(move || {
            wanted.iter().try_for_each(|wanted| {
                volumes.ensure(&wanted.name, &wanted.volume, &wanted.stack).map(drop)
            })
        })
        .await??;
        self.inner().volumes.extend(names);
        Ok(())
    }

    async fn stop(
        &self,
        id: &ContainerId,
        signal: &str,
        grace: Duration,
        reason: StopReason,
    ) -> Result<(), StepError> {
        if reason == StopReason::Unhealthy {
            self.note_stopped_unhealthy(id);
        }
        self.run_pre_stop(id, grace).await;
        Ok(self.hands.runtime.stop(id, signal, grace).await?)
    }

    /// What a user said of how long a task has to end.
    fn grace(&self, task: TaskId) -> Option<Duration> {
        let inner = self.inner();
        let task = inner.agreed.tasks.get(&task)?;
        let of = |service| inner.grace.get(&(task.stack.clone(), service)).copied();
        of(Some(task.service.clone())).or_else(|| of(None))
    }

    /// Removes a container that has ended; with it the log, if its task will not be asked for it any more.
    /// Its record goes last: as long as that is there, a daemon that is killed in the middle leaves work
    /// to do, and nothing that nobody knows of.
    async fn remove(&self, id: &ContainerId, log: bool) -> Result<(), StepError> {
        let record = self.hands.runtime.container(id);
        self.hands.runtime.end(id).await?;
        let volumes = record.as_ref().map(|record| record.container.volumes());
        self.remove_files(id, volumes.unwrap_or_default()).await?;
        let log_dir = record.map(|record| record.log_dir);
        if let Some(log_dir) = log_dir.filter(|_| log) {
            spawn_blocking(move || remove_quietly(&log_dir)).await?;
            if let Some(task) = self.task_of(id) {
                self.remove_task_files(task).await?;
            }
        }
        self.hands.runtime.remove(id).await?;
        let mut inner = self.inner();
        let agreed = Arc::clone(&inner.agreed);
        inner.failed_starts.retain(|attempt, _| agreed.container_id(*attempt) != *id);
        Ok(())
    }

    /// Removes the files of a task that has no sandbox to go with: one with the host's network, or whose
    /// sandbox could not be made.
    async fn remove_task_files(&self, task: TaskId) -> Result<(), StepError> {
        if self.inner().sandboxes.contains_key(&task) {
            return Ok(());
        }
        let directory = self.task_directory(task);
        Ok(spawn_blocking(move || remove_quietly(&directory)).await?)
    }

    /// The task that a container is of.
    fn task_of(&self, id: &ContainerId) -> Option<TaskId> {
        let record = self.hands.runtime.container(id)?;
        attempt_of(&self.inner().agreed, id, &record).map(|attempt| attempt.task)
    }

    /// Removes what was made for a container, or for a start that came to nothing.
    async fn remove_files(
        &self,
        id: &ContainerId,
        volumes: BTreeSet<String>,
    ) -> Result<(), StepError> {
        self.detach_volumes(id, volumes).await?;
        let (images, root) = (self.hands.images.clone(), id.clone());
        spawn_blocking(move || images.remove_root(&root)).await??;
        self.forget_health(id);
        self.forget_hooks(id);
        Ok(())
    }

    /// Unmounts the file systems of those volumes that no other container has.
    async fn detach_volumes(
        &self,
        id: &ContainerId,
        mut volumes: BTreeSet<String>,
    ) -> Result<(), StepError> {
        let hands = self.hands.clone();
        volumes.retain(|volume| hands.volumes.has_file_system(volume));
        if volumes.is_empty() {
            return Ok(());
        }
        let _alone = self.volume_use.write().await;
        let mut others = hands.runtime.containers();
        {
            // Two that are removed at the same time would each leave it to the other.
            let given_back = &mut self.inner().given_back;
            given_back.retain(|other| others.contains_key(other));
            given_back.insert(id.clone());
            others.retain(|other, _| !given_back.contains(other));
        }
        for record in others.values() {
            let used = record.container.volumes();
            volumes.retain(|volume| !used.contains(volume));
        }
        let detach = move || volumes.iter().try_for_each(|volume| hands.volumes.detach(volume));
        Ok(spawn_blocking(detach).await??)
    }

    /// Removes what is left of a task's sandbox, and its files. Its log goes with its last container: a
    /// stopped service can still be asked what it said.
    async fn remove_task(&self, task: TaskId) -> Result<(), StepError> {
        let addresses = self.inner().agreed.tasks.get(&task).map(|task| task.addresses.clone());
        let directory = self.task_directory(task);
        spawn_blocking(move || remove_quietly(&directory)).await?;
        // Names first: the resolver's sockets would hold the namespace.
        self.inner().sandboxes.remove(&task);
        self.naming.in_force().await;
        self.hands.networks.remove_sandbox(task).await?;
        for address in addresses.unwrap_or_default().values() {
            self.hands.networks.forget_connections(address.v4).await?;
        }
        self.inner().failed_starts.retain(|attempt, _| attempt.task != task);
        Ok(())
    }
}

/// The images whose files are mounted.
fn images_mounted(mounts: &[ContainerMount]) -> Vec<Digest> {
    let image = |mount: &ContainerMount| match &mount.source {
        ContainerMountSource::Image { image, .. } => Some(image.clone()),
        _ => None,
    };
    mounts.iter().filter_map(image).collect()
}

/// A container's files as the runtime can use them: volumes are made, new ones are filled from the
/// image, missing directories are created where that is asked for.
struct Prepared {
    mounts: Vec<HostMount>,
    rootfs: Rootfs,
}

/// What a step works on.
fn subject(step: &Step) -> Subject {
    match step {
        Step::RemoveVolume { name } => Subject::Volume(name.clone()),
        Step::Start(start) => Subject::Container(start.container.id.clone()),
        Step::Stop { id, .. } | Step::Remove { id, .. } => Subject::Container(id.clone()),
        Step::RemoveSandbox { task } => Subject::Sandbox(*task),
    }
}

pub(super) fn host_mount(
    hands: &super::Hands,
    image: &Digest,
    mount: ContainerMount,
) -> Result<HostMount, StepError> {
    let ContainerMount { target, read_only, source } = mount;
    let source = match source {
        ContainerMountSource::Bind { path, create, propagation, recursive } => {
            if !path.exists() {
                let shown = path.display().to_string();
                if !create {
                    return Err(StepError::NoBindSource { path: shown });
                }
                std::fs::create_dir_all(&path)
                    .map_err(|source| StepError::BindSource { path: shown, source })?;
            }
            HostMountSource::Bind { path, subpath: None, propagation, recursive }
        }
        ContainerMountSource::Volume { name, subpath, nocopy } => {
            let path =
                hands.volumes.attach(&name)?.ok_or(StepError::NoVolume { name: name.clone() })?;
            if !nocopy && subpath.is_none() && hands.volumes.is_empty(&name)? {
                hands.images.copy_out(image, &target, &path)?;
            }
            HostMountSource::Bind { path, subpath, propagation: None, recursive: true }
        }
        ContainerMountSource::Tmpfs { size, mode, options } => {
            HostMountSource::Tmpfs { size, mode, options }
        }
        ContainerMountSource::File { content, uid, gid, mode } => {
            HostMountSource::File { content, uid, gid, mode }
        }
        ContainerMountSource::Image { image, subpath } => {
            HostMountSource::Layers { lower: hands.images.layers(&image)?, subpath }
        }
    };
    Ok(HostMount { target, read_only, source })
}
