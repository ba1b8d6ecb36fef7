//! Starts the daemon when none runs.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use super::error::{CommandError, Outcome};
use super::output::Output;
use crate::api::{Client, ClientError};
use crate::model::Instance;
use crate::sys::process::spawn_detached;

/// How long a daemon may take until it listens. A small machine that is busy needs many seconds; a
/// daemon that ends is told at once.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked for.
const TICK: Duration = Duration::from_millis(10);

/// How much of the daemon's log is shown when it does not start.
const LOG_TAIL: u64 = 2000;

/// Connects to the daemon of an instance, and starts one first if none runs.
pub(super) async fn client(instance: &Instance, output: Output) -> Outcome<Client> {
    match Client::connect(instance).await {
        Err(ClientError::NoDaemon { .. }) => {}
        other => return Ok(other?),
    }
    if !nix::unistd::geteuid().is_root() {
        return Err(CommandError::unreachable(
            "no orca daemon is running, and starting one needs root",
        )
        .with_hint("call orca as root, for example with sudo"));
    }
    std::fs::create_dir_all(&instance.run)
        .map_err(|error| unusable("create", &instance.run, &error))?;
    // Whoever else starts a daemon just now: one of us does, the other one finds it running.
    let _lock = lock(&instance.run.join("start.lock")).await?;
    match Client::connect(instance).await {
        Err(ClientError::NoDaemon { .. }) => {}
        other => return Ok(other?),
    }
    let mut log = open_log(&instance.run.join("daemon.log"))?;
    let log_start = log.seek(SeekFrom::End(0)).unwrap_or(0);
    let child = spawn(instance, &log)?;
    let pid = child.id();
    let client = listening(instance, child, &instance.run.join("daemon.log"), log_start).await?;
    output.note(format_args!("started orca (pid {pid})"));
    Ok(client)
}

fn spawn(instance: &Instance, log: &File) -> Outcome<Child> {
    let [root, run] = [&instance.root, &instance.run].map(|path| path.as_os_str().to_owned());
    let args = ["daemon".into(), "--root".into(), root, "--run".into(), run];
    let log = log.try_clone().map_err(|error| CommandError::io("cannot open the log", &error))?;
    spawn_detached(Path::new("/proc/self/exe"), args, log)
        .map_err(|error| CommandError::unreachable(format!("cannot start the daemon: {error}")))
}

/// Waits until the daemon listens; gives up when it ends or takes too long.
async fn listening(
    instance: &Instance,
    mut child: Child,
    log: &Path,
    log_start: u64,
) -> Outcome<Client> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match Client::connect(instance).await {
            Err(ClientError::NoDaemon { .. }) => {}
            other => return Ok(other?),
        }
        // Not being able to ask is as good as "it runs": the deadline ends it.
        let ended = child.try_wait().ok().flatten();
        let problem = match ended {
            Some(status) => format!("the daemon did not start: {status}"),
            None if Instant::now() > deadline => {
                format!("the daemon does not listen after {} seconds", PATIENCE.as_secs())
            }
            None => {
                tokio::time::sleep(TICK).await;
                continue;
            }
        };
        let said = tail(log, log_start);
        let problem =
            if said.is_empty() { problem } else { format!("{problem}; it said:\n{said}") };
        return Err(
            CommandError::unreachable(problem).with_hint(format!("its log is {}", log.display()))
        );
    }
}

fn open_log(path: &Path) -> Outcome<File> {
    let log = OpenOptions::new().create(true).append(true).open(path);
    log.map_err(|error| unusable("write", path, &error))
}

/// What was written to the log since `start`, the end of it if it is long.
fn tail(log: &Path, start: u64) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut log = File::open(log)?;
        let start = start.max(log.metadata()?.len().saturating_sub(LOG_TAIL));
        log.seek(SeekFrom::Start(start))?;
        let mut text = Vec::new();
        log.take(LOG_TAIL).read_to_end(&mut text)?;
        Ok(text)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).trim_end().to_owned()
}

/// Takes the lock that lets only one command at a time start a daemon; it ends with the file.
async fn lock(path: &Path) -> Outcome<File> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    let file = file.map_err(|error| unusable("write", path, &error))?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                tokio::time::sleep(TICK).await;
            }
            Err(TryLockError::WouldBlock) => {
                return Err(CommandError::unreachable("another command tries to start the daemon")
                    .with_hint(format!("it holds {}", path.display())));
            }
            Err(TryLockError::Error(error)) => return Err(unusable("lock", path, &error)),
        }
    }
}

fn unusable(what: &str, path: &Path, error: &std::io::Error) -> CommandError {
    CommandError::unreachable(format!("cannot {what} {}: {error}", path.display()))
}
