//! Carries TCP connections that the kernel cannot redirect: from IPv6 clients to IPv4 backends.
//!
//! The backend sees the host's address and not the client's. It is the one path where this is so.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::sys;

/// Connections through one port at a time; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 1024;

/// How many backends are tried for a connection before it is refused.
const MAX_TRIES: usize = 3;

/// How long a backend may take to answer. It is on this very host.
const PATIENCE: Duration = Duration::from_secs(3);

/// After so many seconds of silence the kernel asks whether the other side is still there.
const KEEP_ALIVE: u32 = 60;

/// How long to rest after a failure to accept, so that a lasting one does not eat a processor.
const REST: Duration = Duration::from_millis(100);

/// Who answers at a port.
pub(super) type Backends = Vec<SocketAddr>;

/// A relay that runs. No new connections come after it was stopped or dropped; those that are open
/// go on to their own end.
#[derive(Debug)]
pub(super) struct Relay {
    backends: Arc<RwLock<Arc<Backends>>>,
    task: JoinHandle<()>,
}

impl Relay {
    /// Starts to accept from `listener`.
    pub(super) fn start(listener: TcpListener, backends: Backends) -> Self {
        let backends = Arc::new(RwLock::new(Arc::new(backends)));
        let task = tokio::spawn(accept(listener, Arc::clone(&backends)));
        Self { backends, task }
    }

    /// Sends new connections to others from now on.
    pub(super) fn swap(&self, backends: Backends) {
        let mut current = self.backends.write().unwrap_or_else(PoisonError::into_inner);
        if **current != backends {
            *current = Arc::new(backends);
        }
    }

    /// Ends it. The port is free when this returns.
    pub(super) async fn stop(mut self) {
        self.task.abort();
        // All it can say is that it was stopped.
        (&mut self.task).await.ok();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, backends: Arc<RwLock<Arc<Backends>>>) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // Never closed, so this cannot fail.
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let client = match listener.accept().await {
            Ok((client, _)) => client,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection to a published port");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        let backends = Arc::clone(&backends.read().unwrap_or_else(PoisonError::into_inner));
        tokio::spawn(async move {
            if let Err(error) = relay(client, &backends).await {
                tracing::debug!(%error, "a relayed connection broke");
            }
            drop(permit);
        });
    }
}

/// Carries one connection. Each direction ends by itself, as it does on a wire.
async fn relay(mut client: TcpStream, backends: &Backends) -> io::Result<()> {
    let Some(mut backend) = connect(backends).await else {
        // As if nobody listened.
        return sys::port::reset_on_close(client.as_fd());
    };
    for stream in [&client, &backend] {
        stream.set_nodelay(true)?;
        sys::port::keep_alive(stream.as_fd(), KEEP_ALIVE)?;
    }
    let carried = copy_bidirectional(&mut client, &mut backend).await;
    if carried.is_err() {
        // One side broke off: the other must not take what came so far for the whole.
        for stream in [&client, &backend] {
            sys::port::reset_on_close(stream.as_fd())?;
        }
    }
    carried.map(|_| ())
}

/// A connection to one of `backends`, beginning with any of them.
async fn connect(backends: &Backends) -> Option<TcpStream> {
    let start = sys::random::below(backends.len());
    for backend in backends.iter().cycle().skip(start).take(backends.len().min(MAX_TRIES)) {
        match timeout(PATIENCE, TcpStream::connect(backend)).await {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err(error)) => tracing::debug!(%backend, %error, "a backend does not answer"),
            Err(_) => tracing::debug!(%backend, "a backend does not answer in time"),
        }
    }
    None
}
