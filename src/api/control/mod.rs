//! What the daemon can do, in the words of the model: the seam between the gRPC server and the
//! daemon that answers. The server checks what arrives, finds the containers a caller means in the
//! latest [`View`], and calls; nothing here knows protobuf.

mod chunks;
mod container;
mod copy;
mod error;
mod image;
mod registry;
mod stack;
mod system;
mod volume;

use std::fs::File;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{broadcast, mpsc, watch};

pub use chunks::*;
pub use container::*;
pub use copy::*;
pub use error::*;
pub use image::*;
pub use registry::*;
pub use stack::*;
pub use system::*;
pub use volume::*;

use crate::engine::{Event, View};
use crate::model::{ContainerId, TaskId, Timestamp};

/// What a call gives back.
pub type Answer<T> = Result<T, ControlError>;

/// The daemon, as the server sees it. Every method may be called at any time and from many callers
/// at once. A call is dropped at its next `await` when its caller goes away: what must be finished
/// once begun belongs into a task of its own.
#[async_trait]
pub trait Control: Send + Sync + 'static {
    /// The latest pass of the engine. Status, lists of networks and the selection of containers are
    /// taken from it by the server.
    fn view(&self) -> watch::Receiver<Arc<View>>;

    /// What happened at `since` or later, as far as it is kept, and what happens from now on. A receiver
    /// that is too slow loses the oldest and is told so.
    fn events(&self, since: Option<Timestamp>) -> (Vec<Event>, broadcast::Receiver<Event>);

    /// Makes a stack what the project says: resolves its images and commits it. Returns once it is
    /// agreed, not once it runs. A project equal to the agreed one changes nothing.
    async fn apply(&self, request: Apply) -> Answer<Applied>;

    /// What [`Control::apply`] would lead to, without doing any of it.
    async fn plan(&self, request: Apply) -> Answer<Preview>;

    /// Takes a stack down. Returns once it is agreed; the stack leaves the view when nothing of it
    /// is left. A stack that is not there is [`ErrorKind::NotFound`].
    async fn remove(&self, request: Remove) -> Answer<()>;

    /// Changes how many containers services have, all or nothing.
    async fn scale(&self, request: Scale) -> Answer<()>;

    /// Stops services. The server has checked that the stack and the services exist, and has filled
    /// in all of them when the caller named none.
    async fn stop(&self, request: Services) -> Answer<()>;

    /// Starts stopped services. Checked as in [`Control::stop`].
    async fn start(&self, request: Services) -> Answer<()>;

    /// Replaces the tasks of services. Checked as in [`Control::stop`].
    async fn restart(&self, request: Services) -> Answer<()>;

    /// The output of one task's containers, over all its attempts, oldest first. The stream ends at
    /// the end of the log, or, with `follow`, once the task is gone. The server tags and merges the
    /// streams of several tasks, and asks again for tasks that appear later.
    async fn logs(&self, task: TaskId, options: LogOptions) -> Answer<mpsc::Receiver<LogLine>>;

    /// Runs a program in a running container.
    async fn exec(&self, container: &ContainerId, request: Exec) -> Answer<Session>;

    /// Connects to the container's own standard input and output, from now on.
    async fn attach(&self, container: &ContainerId, request: Attach) -> Answer<Session>;

    /// Makes a stack what `stack` says, which holds a service to run once, and connects to that
    /// service's container from its first byte on. Waits for what it depends on; a caller that goes
    /// away before it has started takes it back.
    async fn run(&self, stack: Apply, request: Run) -> Answer<Session>;

    /// Removes containers that were made to run one program, by the names of their services.
    async fn drop_one_offs(&self, stack: &str, services: Vec<String>) -> Answer<()>;

    /// Sends a signal (`SIGHUP`, `HUP` or `1`) to the container's first process.
    async fn kill(&self, container: &ContainerId, signal: &str) -> Answer<()>;

    /// Freezes a running container.
    async fn pause(&self, container: &ContainerId) -> Answer<()>;

    /// Thaws a frozen container.
    async fn unpause(&self, container: &ContainerId) -> Answer<()>;

    /// What the container uses now. The server repeats the call for a stream.
    async fn usage(&self, container: &ContainerId) -> Answer<Usage>;

    /// The processes of a container.
    async fn processes(&self, container: &ContainerId) -> Answer<Vec<Process>>;

    /// The files at a path of a container as an archive. The container need not run.
    async fn copy_out(
        &self,
        container: &ContainerId,
        request: CopyOut,
    ) -> Answer<(CopyFound, Chunks)>;

    /// Makes the files of an archive in a container. The container need not run.
    async fn copy_in(
        &self,
        container: &ContainerId,
        request: CopyIn,
        archive: Chunks,
    ) -> Answer<()>;

    /// Loads an archive of images (docker-archive or OCI archive, plain, gzip or zstd).
    async fn load_images(&self, archive: Chunks) -> Answer<Vec<LoadedImage>>;

    /// The same of an open file, which is read from where it stands. Ends when the caller goes.
    async fn load_file(&self, archive: File) -> Answer<Vec<LoadedImage>>;

    /// Makes an image of one layer from a tar of a root file system.
    async fn import_image(&self, request: ImportImage, archive: Chunks) -> Answer<LoadedImage>;

    /// Writes images as one archive.
    async fn save_images(&self, request: SaveImages) -> Answer<Chunks>;

    /// Gets images from their registries, several at once.
    async fn pull_images(&self, request: Pull) -> Answer<Transfers>;

    /// Sends images to their registries, several at once.
    async fn push_images(&self, request: Push) -> Answer<Transfers>;

    /// The full names of images with the digests that their registries give for them now.
    async fn resolve_images(&self, request: Resolve) -> Answer<Vec<String>>;

    /// Asks a registry whether somebody may enter.
    async fn check_login(&self, request: CheckLogin) -> Answer<()>;

    /// The images that are kept.
    async fn images(&self) -> Answer<Vec<ImageSummary>>;

    /// One image, by reference, id, or the unique beginning of an id.
    async fn image(&self, reference: &str) -> Answer<ImageDetail>;

    /// Removes a reference, and the image with its last reference. `force` removes all references
    /// of an id. What a stack needs is [`ErrorKind::Conflict`].
    async fn remove_image(&self, reference: &str, force: bool) -> Answer<RemovedImages>;

    /// Gives an image one more reference.
    async fn tag_image(&self, source: &str, target: &str) -> Answer<()>;

    /// Removes images that nothing needs: those without a reference, or with `all` every one that
    /// no stack uses.
    async fn prune_images(&self, request: PruneImages) -> Answer<RemovedImages>;

    /// The named volumes.
    async fn volumes(&self) -> Answer<Vec<VolumeSummary>>;

    /// Removes a volume and what is in it. One that a stack uses is [`ErrorKind::Conflict`].
    async fn remove_volume(&self, name: &str) -> Answer<()>;

    /// Removes volumes that no stack names.
    async fn prune_volumes(&self, request: PruneVolumes) -> Answer<RemovedVolumes>;

    /// Makes a volume. One that is there with the same options is as good.
    async fn create_volume(&self, request: CreateVolume) -> Answer<VolumeSummary>;

    /// The files of a volume as a tar stream.
    async fn export_volume(&self, name: &str) -> Answer<Chunks>;

    /// Puts the files of a tar stream (plain, gzip or zstd) into a volume.
    async fn import_volume(&self, name: &str, archive: Chunks) -> Answer<()>;

    /// What this daemon and its host are.
    async fn info(&self) -> Answer<Info>;

    /// What takes space on disk.
    async fn disk_usage(&self) -> Answer<DiskUsage>;

    /// Ends the daemon. Containers go on, unless `containers`: then they are stopped first, and
    /// start again with the next daemon. Returns before the daemon is gone.
    async fn shut_down(&self, containers: bool) -> Answer<()>;
}
