//! The process: one thread, from start to stop.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, mpsc};

use super::listen::{End, Shared, bind, serve};
use super::state::{InForce, restore};
use super::{NetdError, Paths, Result, log};
use crate::model::{Instance, NetdState};

/// The host's list of name servers.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Threads for short work that waits, such as entering a namespace.
const MAX_BLOCKING: usize = 4;

/// Runs the helper of `instance` until it is told to stop: by a request, SIGTERM or SIGINT. Ends at
/// once, and well, if one runs already. What it has to say goes to `<run>/netd.log`.
pub fn main(instance: &Instance) -> ExitCode {
    match run(&Paths::of(instance)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::error!(cause = cause.unwrap_or_default(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(paths: &Paths) -> Result<()> {
    let file = |path: &Path| {
        let path = path.to_owned();
        move |source| NetdError::File { path, source }
    };
    fs::create_dir_all(&paths.run).map_err(file(&paths.run))?;
    log::start(log::open(&paths.log).map_err(file(&paths.log))?);
    let Some(lock) = take(&paths.lock).map_err(file(&paths.lock))? else {
        tracing::info!("another network helper runs already");
        return Ok(());
    };
    allow_many_files();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(MAX_BLOCKING)
        .enable_all()
        .build()
        .map_err(NetdError::Talk)?;
    let end = runtime.block_on(work(paths)).map_err(file(&paths.socket))?;
    leave(paths, end);
    tracing::info!(?end, "the network helper ends");
    // The lock goes with the process.
    drop(lock);
    Ok(())
}

/// The lock of the one that runs; `None` if another has it.
fn take(path: &Path) -> io::Result<Option<File>> {
    loop {
        let lock = File::create(path)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Its last owner may have removed it just before it ended: then a lock on it says nothing,
        // and the next round makes a new file.
        let there = fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
        let ours = lock.metadata()?;
        if there == Some((ours.dev(), ours.ino())) {
            return Ok(Some(lock));
        }
    }
}

async fn work(paths: &Paths) -> io::Result<End> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (end, mut ended) = mpsc::channel(1);
    let mut in_force = InForce::new(Path::new(RESOLV_CONF));
    let report = in_force.put(restore(paths)).await;
    tracing::info!(pid = std::process::id(), ?report, "the network helper starts");
    let shared = Arc::new(Shared { paths: paths.clone(), in_force: Mutex::new(in_force), end });
    let mut serving = pin!(serve(bind(paths)?, Arc::clone(&shared)));
    let how = tokio::select! {
        () = &mut serving => End::Keep,
        how = ended.recv() => how.unwrap_or(End::Keep),
        _ = terminate.recv() => End::Keep,
        _ = interrupt.recv() => End::Keep,
    };
    // Whoever waits for our end sees the line break after this, and then all is free.
    shared.in_force.lock().await.put(NetdState::default()).await;
    Ok(how)
}

/// Every sandbox has two sockets, every question under way one.
fn allow_many_files() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}

/// Removes what must not be there without us. We still have the lock.
fn leave(paths: &Paths, end: End) {
    let mut files = vec![&paths.socket];
    if end == End::Forget {
        files.extend([&paths.state, &paths.next_state, &paths.log, &paths.lock]);
    }
    for path in files {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, path = %path.display(), "cannot remove a file");
            }
            _ => {}
        }
    }
}
