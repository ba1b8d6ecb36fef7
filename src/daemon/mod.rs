//! Wires the rooms together; owns start and stop.
//!
//! The daemon is crash-only: a restart, an upgrade and a kill at any instruction are one path.
//! Containers, names and published ports live in other processes and in the kernel, and go on.

mod control;
mod preview;
mod readiness;
mod settings;
mod sweep;
mod upkeep;
mod users;

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tracing::{debug, error, info, warn};

use self::control::Daemon;
pub use self::settings::Settings;
use crate::engine::linux::{Hands, LinuxHost};
use crate::engine::{self, Engine};
use crate::image;
use crate::image::registry::Configuration;
use crate::model::{Command, Instance};
use crate::netd;
use crate::network::Networks;
use crate::runtime::Runtime;
use crate::runtime::log::compress_full;
use crate::store::Store;
use crate::sys::{clock, heap};
use crate::volume::Volumes;

/// Worker threads of the daemon: it waits far more than it computes.
const WORKERS: usize = 2;

/// Where the kernel shows this very program, wherever its file has gone since.
pub const SELF: &str = "/proc/self/exe";

/// Why the daemon could not start.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Not root.
    #[error("the daemon must run as root: it makes namespaces, networks and mounts (try sudo)")]
    NotRoot,
    /// There is one already.
    #[error("another daemon already runs for {}", .0.display())]
    Running(PathBuf),
    /// A directory or file of the instance.
    #[error("cannot prepare {}", path.display())]
    Prepare {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The agreed state.
    #[error("cannot open the state")]
    Store(#[from] crate::store::StoreError),
    /// Images.
    #[error("cannot open the images")]
    Image(#[from] image::ImageError),
    /// Volumes.
    #[error("cannot open the volumes")]
    Volume(#[from] crate::volume::VolumeError),
    /// Containers.
    #[error("cannot manage containers")]
    Runtime(#[from] crate::runtime::RuntimeError),
    /// Networks.
    #[error("cannot manage networks")]
    Network(#[from] crate::network::NetworkError),
    /// What is there already.
    #[error("cannot read what is there")]
    Open(#[from] crate::engine::linux::OpenError),
    /// Names and ports.
    #[error("cannot start the network helper")]
    Netd(#[from] crate::netd::NetdError),
    /// What was agreed could not be taken up again.
    #[error("cannot go on with what was agreed")]
    Engine(#[from] engine::EngineError),
    /// Users for containers.
    #[error("cannot choose users for containers: {0}")]
    Users(String),
    /// The socket was closed, or signals cannot be received.
    #[error("cannot serve")]
    Serve(#[source] io::Error),
}

/// Runs the daemon of `instance` until it is told to stop. What the administrator says is in the files
/// of the directory `configuration`.
pub fn main(instance: Instance, settings: Settings, configuration: &Path) -> ExitCode {
    heap::few_arenas();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_name("orca")
        .enable_all()
        .build();
    let ran = match runtime {
        Ok(runtime) => runtime.block_on(run(instance, settings, Configuration::new(configuration))),
        Err(error) => Err(DaemonError::Serve(error)),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(error = &error as &dyn std::error::Error, "the daemon cannot go on");
            ExitCode::FAILURE
        }
    }
}

async fn run(
    instance: Instance,
    settings: Settings,
    configuration: Configuration,
) -> Result<(), DaemonError> {
    if !nix::unistd::geteuid().is_root() {
        return Err(DaemonError::NotRoot);
    }
    prepare(&instance)?;
    let _lock = lock(&instance.run.join("daemon.lock"))?;
    let users = users::free()?;
    let (store, agreed) = Store::open(&instance.root)?;
    let hands = hands(&instance).await?;
    sweep::sweep(&instance, &hands, &agreed).await?;
    let host = LinuxHost::open(instance.clone(), hands).await?;

    let (engine, ends) = Engine::new();
    let (stop_engine, stopped) = oneshot::channel();
    let start = engine::Start { host: Arc::clone(&host), store };
    let suspended = start.store.agreed().suspended;
    let given = start.store.agreed().users.clone();
    let boot = clock::now().boot;
    let is_new_boot = start.store.agreed().boot != boot;
    let mut view = engine.view();
    let looping = tokio::spawn(engine::run(start, ends, stopped));
    if is_new_boot {
        engine.commit(Command::Boot(boot)).await?;
    }
    if suspended {
        engine.commit(Command::Suspend(false)).await?;
    }
    if users != given {
        engine.commit(Command::GiveUsers(users)).await?;
    }
    tokio::spawn(keep_small(engine.view()));
    tokio::spawn(compress_logs(instance.root.join("logs")));

    // Callers see what is there from the first moment, not an empty host. An error means that the loop has
    // ended; the server then says so.
    drop(view.changed().await);

    let (stop, stopping) = watch::channel(false);
    let daemon =
        Daemon::new(instance.clone(), engine, Arc::clone(&host), configuration, stop, settings);
    let daemon = Arc::new(daemon);
    let listener = listen(&instance.socket())?;
    info!(root = %instance.root.display(), "ready");
    readiness::ready();
    let served = tokio::select! {
        served = crate::api::server::serve(listener, daemon.clone(), told(stopping)) => {
            served.map_err(io::Error::other)
        }
        () = upkeep::run(daemon) => Ok(()),
        signal = terminated() => signal,
    };
    info!("stopping");
    drop(std::fs::remove_file(instance.socket()));
    // The loop ends between passes, so that nothing is half decided.
    if stop_engine.send(()).is_err() {
        warn!("the loop had ended before");
    }
    drop(looping.await);
    if host.hands().runtime.containers().is_empty() {
        host.let_netd_end();
        tidy(&instance, host.hands()).await;
    }
    served.map_err(DaemonError::Serve)
}

/// How often full log files are looked for.
const LOGS: Duration = Duration::from_secs(15);

/// Compresses what containers have written, file by file, when the machine has nothing better to do:
/// their own shims only write.
async fn compress_logs(directory: PathBuf) {
    loop {
        tokio::time::sleep(LOGS).await;
        let directory = directory.clone();
        let worked = tokio::task::spawn_blocking(move || {
            let logs = std::fs::read_dir(&directory).into_iter().flatten().flatten();
            for log in logs {
                if let Err(error) = compress_full(&log.path()) {
                    debug!(error = &error as &dyn std::error::Error, "a log stays as it is");
                }
            }
        });
        if worked.await.is_err() {
            return;
        }
    }
}

/// How long after the last change unused memory is given back.
const QUIET: Duration = Duration::from_secs(2);

/// Gives back to the kernel what a burst of work has left, once it is over. Nothing happens on a host
/// on which nothing changes.
async fn keep_small(mut view: watch::Receiver<Arc<engine::View>>) {
    while view.changed().await.is_ok() {
        while tokio::time::timeout(QUIET, view.changed()).await.is_ok_and(|there| there.is_ok()) {}
        heap::trim();
    }
}

/// Leaves nothing in the kernel and nothing running when there is nothing to keep. What cannot be
/// removed is found again by the next daemon.
async fn tidy(instance: &Instance, hands: &Hands) {
    info!("no containers: leaving nothing behind");
    if let Err(error) = netd::Client::stop(instance).await {
        warn!(error = &error as &dyn std::error::Error, "the network helper does not end");
    }
    if let Err(error) = hands.volumes.detach_all() {
        warn!(error = &error as &dyn std::error::Error, "cannot unmount the volumes");
    }
    if let Err(error) = hands.networks.remove_all().await {
        warn!(error = &error as &dyn std::error::Error, "cannot remove the networks");
    }
    if let Err(error) = hands.runtime.close().await {
        warn!(error = &error as &dyn std::error::Error, "cannot close the runtime");
    }
}

/// Makes the instance's directories. Only root may look into them: volumes and layers hold other
/// users' files, with other users' set-user-ID programs (CVE-2021-41091 of moby).
fn prepare(instance: &Instance) -> Result<(), DaemonError> {
    for path in [&instance.root, &instance.run] {
        let prepared = std::fs::create_dir_all(path)
            .and_then(|()| std::fs::set_permissions(path, Permissions::from_mode(0o700)));
        prepared.map_err(|source| DaemonError::Prepare { path: path.clone(), source })?;
    }
    Ok(())
}

async fn hands(instance: &Instance) -> Result<Hands, DaemonError> {
    Ok(Hands {
        images: image::Store::open(&instance.root)?,
        volumes: Volumes::open(&instance.root)?,
        networks: Networks::open(instance).await?,
        runtime: Runtime::open(instance).await?,
        netd: Arc::new(netd::Client::connect_or_start(instance, Path::new(SELF)).await?),
    })
}

/// Holds the instance for as long as the file is open. The kernel lets go of it however the daemon
/// ends.
fn lock(path: &Path) -> Result<nix::fcntl::Flock<File>, DaemonError> {
    let prepare = |source| DaemonError::Prepare { path: path.to_owned(), source };
    let file =
        File::options().create(true).truncate(false).write(true).open(path).map_err(prepare)?;
    nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusiveNonblock)
        .map_err(|(_, _)| DaemonError::Running(path.parent().unwrap_or(path).to_owned()))
}

/// A socket that only root can connect to. The lock says that no other daemon uses the old one.
fn listen(path: &Path) -> Result<UnixListener, DaemonError> {
    let prepare = |source| DaemonError::Prepare { path: path.to_owned(), source };
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(prepare(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(prepare)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(prepare)?;
    Ok(listener)
}

async fn told(mut stopping: watch::Receiver<bool>) {
    // The sender is the daemon itself, which is served until this ends.
    drop(stopping.wait_for(|stop| *stop).await);
}

async fn terminated() -> io::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
