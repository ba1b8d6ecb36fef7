//! Takes requests from the daemon, one at a time.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, Semaphore, mpsc};

use super::Paths;
use super::protocol::{Frame, Status, VERSION, Verb};
use super::state::{InForce, save};
use crate::model::NetdState;

/// Connections at a time. The daemon needs one or two.
const MAX_CONNECTIONS: usize = 16;

/// How long to rest after a failure to accept, so that a lasting one does not eat a processor.
const REST: Duration = Duration::from_millis(100);

/// How the helper is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// A successor may go on.
    Keep,
    /// Nothing is left behind.
    Forget,
}

/// What the connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) paths: Paths,
    pub(super) in_force: Mutex<InForce>,
    pub(super) end: mpsc::Sender<End>,
}

/// The socket, for the eyes of its owner alone.
///
/// # Errors
/// If it cannot be made.
pub(super) fn bind(paths: &Paths) -> io::Result<UnixListener> {
    match std::fs::remove_file(&paths.socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&paths.socket)?;
    std::fs::set_permissions(&paths.socket, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers whoever connects, for as long as it is let.
pub(super) async fn serve(listener: UnixListener, shared: Arc<Shared>) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // Never closed, so this cannot fail.
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        if !is_trusted(&stream) {
            tracing::warn!("a stranger was turned away");
            continue;
        }
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            if let Err(error) = converse(stream, &shared).await {
                tracing::debug!(%error, "a connection ended");
            }
            drop(permit);
        });
    }
}

/// Whether it is root or our own user. The socket's mode says the same, but a run directory that
/// somebody opened up must not give the network away.
fn is_trusted(stream: &UnixStream) -> bool {
    let own = nix::unistd::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == 0 || peer.uid() == own)
}

async fn converse(mut stream: UnixStream, shared: &Shared) -> io::Result<()> {
    while let Some(request) = Frame::read(&mut stream).await? {
        answer(request, shared).await.write(&mut stream).await?;
    }
    Ok(())
}

async fn answer(request: Frame, shared: &Shared) -> Frame {
    match (Verb::of(request.code), request.version) {
        (Some(Verb::Stop), _) => end(shared, End::Keep).await,
        (Some(Verb::StopAndForget), _) => end(shared, End::Forget).await,
        (_, version) if version != VERSION => Frame::new(Status::OtherVersion as u16, Vec::new()),
        (Some(Verb::Put), _) => put(&request.body, shared).await,
        (Some(Verb::Get), _) => report(&shared.in_force.lock().await.report()),
        (None, _) => refuse(&format!("there is no verb {}", request.code)),
    }
}

async fn put(body: &[u8], shared: &Shared) -> Frame {
    let state: NetdState = match serde_json::from_slice(body) {
        Ok(state) => state,
        Err(error) => return refuse(&format!("this is no state: {error}")),
    };
    // Held until the state is on disk too, so that the last one in force is the last one there.
    let mut in_force = shared.in_force.lock().await;
    let result = in_force.put(state).await;
    if let Err(error) = save(&shared.paths, body) {
        let path = shared.paths.state.display();
        tracing::warn!(%error, %path, "cannot keep the state for a successor");
    }
    report(&result)
}

async fn end(shared: &Shared, how: End) -> Frame {
    // Closed only when the helper is ending already.
    shared.end.send(how).await.ok();
    report(&shared.in_force.lock().await.report())
}

fn report(report: &crate::model::NetdReport) -> Frame {
    match serde_json::to_vec(report) {
        Ok(body) => Frame::new(Status::Report as u16, body),
        Err(error) => refuse(&format!("cannot write the report: {error}")),
    }
}

fn refuse(why: &str) -> Frame {
    Frame::new(Status::Refused as u16, why.as_bytes().to_vec())
}
