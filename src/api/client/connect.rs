//! Connects to a daemon's socket.

use std::io;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Endpoint, Uri};

use super::{Client, ClientError, Reply};
use crate::model::Instance;

/// How long a daemon may take to accept a connection.
const PATIENCE: Duration = Duration::from_secs(5);

impl Client {
    /// Connects to the daemon of an instance.
    ///
    /// # Errors
    /// [`ClientError::NoDaemon`] if nobody listens, [`ClientError::CannotConnect`] otherwise.
    pub async fn connect(instance: &Instance) -> Reply<Self> {
        let socket = instance.socket();
        let first = UnixStream::connect(&socket).await.map_err(|error| refused(&socket, error))?;
        let first = Mutex::new(Some(first));
        let path = socket.clone();
        let connector = tower::service_fn(move |_: Uri| {
            let ready = first.lock().ok().and_then(|mut first| first.take());
            let path = path.clone();
            async move {
                let stream = match ready {
                    Some(stream) => stream,
                    None => UnixStream::connect(path).await?,
                };
                io::Result::Ok(TokioIo::new(stream))
            }
        });
        // Only the connector uses the address; it must look like one.
        let endpoint = Endpoint::from_static("http://orca").connect_timeout(PATIENCE);
        let connected = endpoint.connect_with_connector(connector).await;
        let channel = connected.map_err(|error| ClientError::CannotConnect {
            socket,
            source: io::Error::other(error),
        })?;
        Ok(Self { channel })
    }
}

fn refused(socket: &std::path::Path, error: io::Error) -> ClientError {
    let socket = PathBuf::from(socket);
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            ClientError::NoDaemon { socket }
        }
        _ => ClientError::CannotConnect { socket, source: error },
    }
}
