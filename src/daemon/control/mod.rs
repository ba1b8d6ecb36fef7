//! The daemon's answers to its callers.

mod caller;
mod chunks;
mod containers;
mod copy;
mod images;
mod registries;
mod run;
mod stacks;
mod system;
mod volumes;

use std::collections::BTreeSet;
use std::fs::File;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{Mutex, broadcast, mpsc, watch};

use crate::api::control::{
    Answer, Applied, Apply, Attach, CheckLogin, Chunks, Control, ControlError, CopyFound, CopyIn,
    CopyOut, CreateVolume, DiskUsage, ErrorKind, Exec, ImageDetail, ImageSummary, ImportImage,
    Info, LoadedImage, LogLine, LogOptions, Preview, Process, PruneImages, PruneVolumes, Pull,
    Push, Remove, RemovedImages, RemovedVolumes, Resolve, Run, SaveImages, Scale, Services,
    Session, Transfers, Usage, VolumeSummary,
};
use crate::daemon::settings::Settings;
use crate::daemon::upkeep::Upkeep;
use crate::engine::linux::{Hands, LinuxHost};
use crate::engine::{Engine, EngineError, Event, View};
use crate::image::registry::{Configuration, Memory};
use crate::model::{Agreed, Command, ContainerId, Digest, Instance, TaskId, Timestamp};
use crate::store::CommitError;
use crate::sys::clock;

/// The daemon, as the server sees it.
#[derive(Debug)]
pub(super) struct Daemon {
    instance: Instance,
    engine: Engine,
    host: Arc<LinuxHost>,
    started: Timestamp,
    /// What the administrator says of registries.
    configuration: Configuration,
    /// What was learnt of registries.
    memory: Arc<Memory>,
    /// Told when the daemon is to end.
    stop: watch::Sender<bool>,
    /// Held while a stack is being applied: what is read from the view must still hold at the commit.
    applying: Mutex<()>,
    settings: Settings,
    upkeep: Arc<Upkeep>,
}

impl Daemon {
    pub(super) fn new(
        instance: Instance,
        engine: Engine,
        host: Arc<LinuxHost>,
        configuration: Configuration,
        stop: watch::Sender<bool>,
        settings: Settings,
    ) -> Self {
        let (started, applying, upkeep) = (clock::wall(), Mutex::new(()), Arc::default());
        let memory = Arc::default();
        Self {
            instance,
            engine,
            host,
            started,
            configuration,
            memory,
            stop,
            applying,
            settings,
            upkeep,
        }
    }

    /// What asks for the work that the daemon does by itself.
    pub(super) fn upkeep(&self) -> &Upkeep {
        &self.upkeep
    }

    fn hands(&self) -> &Hands {
        self.host.hands()
    }

    fn agreed(&self) -> Arc<Agreed> {
        Arc::clone(&self.engine.view().borrow().agreed)
    }

    async fn commit(&self, command: Command) -> Answer<Arc<View>> {
        self.engine.commit(command).await.map_err(refused)
    }
}

/// The images that stacks need. What containers run from is known to the images themselves.
fn images_in_use(agreed: &Agreed) -> BTreeSet<Digest> {
    let pinned = agreed.stacks.values().flat_map(|stack| stack.images.values());
    pinned.map(|image| image.id.clone()).collect()
}

fn refused(error: EngineError) -> ControlError {
    let kind = match &error {
        EngineError::Commit(CommitError::Refused(_)) => ErrorKind::Conflict,
        EngineError::Commit(_) => ErrorKind::Internal,
        EngineError::Stopping(_) => ErrorKind::Unavailable,
    };
    ControlError::caused_by(kind, &error)
}

/// An error of the kernel, the disk or orca itself.
fn internal(error: impl std::error::Error) -> ControlError {
    ControlError::caused_by(ErrorKind::Internal, &error)
}

/// Runs work that waits for the disk on a thread of its own.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Answer<T> + Send + 'static,
) -> Answer<T> {
    tokio::task::spawn_blocking(work).await.map_err(internal)?
}

#[async_trait]
impl Control for Daemon {
    fn view(&self) -> watch::Receiver<Arc<View>> {
        self.engine.view()
    }

    fn events(&self, since: Option<Timestamp>) -> (Vec<Event>, broadcast::Receiver<Event>) {
        self.engine.events(since)
    }

    async fn apply(&self, request: Apply) -> Answer<Applied> {
        self.apply_stack(request).await
    }

    async fn plan(&self, request: Apply) -> Answer<Preview> {
        self.preview_stack(request).await
    }

    async fn remove(&self, request: Remove) -> Answer<()> {
        self.remove_stack(request).await
    }

    async fn scale(&self, request: Scale) -> Answer<()> {
        self.scale_services(request).await
    }

    async fn stop(&self, request: Services) -> Answer<()> {
        self.stop_services(request).await
    }

    async fn start(&self, request: Services) -> Answer<()> {
        self.start_services(request).await
    }

    async fn restart(&self, request: Services) -> Answer<()> {
        self.restart_services(request).await
    }

    async fn logs(&self, task: TaskId, options: LogOptions) -> Answer<mpsc::Receiver<LogLine>> {
        self.read_log(task, options).await
    }

    async fn exec(&self, container: &ContainerId, request: Exec) -> Answer<Session> {
        self.run_inside(container, request).await
    }

    async fn attach(&self, container: &ContainerId, request: Attach) -> Answer<Session> {
        self.attach_to(container, request).await
    }

    async fn run(&self, stack: Apply, request: Run) -> Answer<Session> {
        self.run_one_off(stack, request).await
    }

    async fn drop_one_offs(&self, stack: &str, services: Vec<String>) -> Answer<()> {
        let stack = stack.to_owned();
        self.commit(Command::DropOneOffs { stack, services }).await?;
        Ok(())
    }

    async fn kill(&self, container: &ContainerId, signal: &str) -> Answer<()> {
        Ok(self.hands().runtime.kill(container, signal).await.map_err(containers::refused)?)
    }

    async fn pause(&self, container: &ContainerId) -> Answer<()> {
        Ok(self.hands().runtime.pause(container).await.map_err(containers::refused)?)
    }

    async fn unpause(&self, container: &ContainerId) -> Answer<()> {
        Ok(self.hands().runtime.unpause(container).await.map_err(containers::refused)?)
    }

    async fn usage(&self, container: &ContainerId) -> Answer<Usage> {
        self.read_usage(container).await
    }

    async fn processes(&self, container: &ContainerId) -> Answer<Vec<Process>> {
        self.list_processes(container).await
    }

    async fn copy_out(
        &self,
        container: &ContainerId,
        request: CopyOut,
    ) -> Answer<(CopyFound, Chunks)> {
        self.read_files(container, request).await
    }

    async fn copy_in(
        &self,
        container: &ContainerId,
        request: CopyIn,
        archive: Chunks,
    ) -> Answer<()> {
        self.write_files(container, request, archive).await
    }

    async fn load_images(&self, archive: Chunks) -> Answer<Vec<LoadedImage>> {
        self.load(archive).await
    }

    async fn load_file(&self, archive: File) -> Answer<Vec<LoadedImage>> {
        self.load_opened(archive).await
    }

    async fn import_image(&self, request: ImportImage, archive: Chunks) -> Answer<LoadedImage> {
        self.import(request, archive).await
    }

    async fn save_images(&self, request: SaveImages) -> Answer<Chunks> {
        self.save(request).await
    }

    async fn pull_images(&self, request: Pull) -> Answer<Transfers> {
        self.pull(request).await
    }

    async fn push_images(&self, request: Push) -> Answer<Transfers> {
        self.push(request).await
    }

    async fn resolve_images(&self, request: Resolve) -> Answer<Vec<String>> {
        self.digests(request).await
    }

    async fn check_login(&self, request: CheckLogin) -> Answer<()> {
        self.log_in(request).await
    }

    async fn images(&self) -> Answer<Vec<ImageSummary>> {
        self.list_images().await
    }

    async fn image(&self, reference: &str) -> Answer<ImageDetail> {
        self.inspect_image(reference).await
    }

    async fn remove_image(&self, reference: &str, force: bool) -> Answer<RemovedImages> {
        self.delete_image(reference, force).await
    }

    async fn tag_image(&self, source: &str, target: &str) -> Answer<()> {
        self.add_tag(source, target).await
    }

    async fn prune_images(&self, request: PruneImages) -> Answer<RemovedImages> {
        self.delete_unused_images(request).await
    }

    async fn volumes(&self) -> Answer<Vec<VolumeSummary>> {
        self.list_volumes().await
    }

    async fn remove_volume(&self, name: &str) -> Answer<()> {
        self.delete_volume(name).await
    }

    async fn prune_volumes(&self, request: PruneVolumes) -> Answer<RemovedVolumes> {
        self.delete_unused_volumes(request).await
    }

    async fn create_volume(&self, request: CreateVolume) -> Answer<VolumeSummary> {
        self.make_volume(request).await
    }

    async fn export_volume(&self, name: &str) -> Answer<Chunks> {
        self.pack_volume(name).await
    }

    async fn import_volume(&self, name: &str, archive: Chunks) -> Answer<()> {
        self.unpack_volume(name, archive).await
    }

    async fn info(&self) -> Answer<Info> {
        self.describe().await
    }

    async fn disk_usage(&self) -> Answer<DiskUsage> {
        self.measure_disk().await
    }

    async fn shut_down(&self, containers: bool) -> Answer<()> {
        self.end(containers).await
    }
}
