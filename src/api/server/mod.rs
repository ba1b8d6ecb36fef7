//! Lets others ask the daemon over its unix socket.
//!
//! A service of `orca.proto` is a file each. A method checks and translates what arrived, finds the
//! containers that are meant in the engine's latest view, and asks [`Control`]. Every stream ends
//! when the daemon does.

mod containers;
mod events;
mod images;
mod logs;
mod peer;
mod registries;
mod router;
mod select;
mod session;
mod stacks;
mod system;
mod volumes;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::Status;
use tonic::service::InterceptorLayer;
use tonic::transport::Server;

use self::router::Router;
use super::control::Control;
use crate::engine::View;

/// How many messages wait for a slow caller of a stream before the source has to wait.
const STREAM_BUFFER: usize = 256;

/// How long calls in flight may take once the server is asked to end.
const LAST_CALLS: Duration = Duration::from_secs(2);

/// The largest piece of a message on the wire.
const FRAME: u32 = 256 << 10;

/// How much a caller may send before it is read.
const WINDOW: u32 = 2 << 20;

/// Answers callers until `shutdown` is over and the calls in flight are done, or have had two
/// seconds.
///
/// # Errors
/// If the socket fails.
pub async fn serve(
    listener: UnixListener,
    control: Arc<dyn Control>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), tonic::transport::Error> {
    let (ending, ended) = watch::channel(false);
    let service = Service { control, ended: ended.clone() };
    let stop = async move {
        shutdown.await;
        ending.send_replace(true);
    };
    let serving = Server::builder()
        .layer(InterceptorLayer::new(peer::check))
        .max_concurrent_streams(1024)
        // Archives of images come in large pieces.
        .max_frame_size(FRAME)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(2 * WINDOW)
        .serve_with_incoming_shutdown(Router(service), UnixListenerStream::new(listener), stop);
    tokio::select! {
        result = serving => result,
        () = too_long(ended) => Ok(()),
    }
}

/// What every service has.
#[derive(Clone)]
struct Service {
    control: Arc<dyn Control>,
    /// Turns true when the daemon ends.
    ended: watch::Receiver<bool>,
}

/// Messages to a caller.
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Service {
    /// The engine's latest view.
    fn view(&self) -> Arc<View> {
        self.control.view().borrow().clone()
    }

    /// A stream of answers that ends with the daemon.
    fn answers<T: Send + 'static>(
        &self,
        source: impl Stream<Item = Result<T, Status>> + Send + 'static,
    ) -> Answers<T> {
        Box::pin(source.take_until(over(self.ended.clone())))
    }

    /// A stream of answers from a task that writes them into a channel.
    fn answers_of<T: Send + 'static>(
        &self,
        source: mpsc::Receiver<Result<T, Status>>,
    ) -> Answers<T> {
        self.answers(ReceiverStream::new(source))
    }
}

/// Waits until the daemon ends.
async fn over(mut ended: watch::Receiver<bool>) {
    // An error means that the server is gone already.
    let _gone = ended.wait_for(|ended| *ended).await.is_err();
}

/// Waits until calls in flight have had their time.
async fn too_long(ended: watch::Receiver<bool>) {
    over(ended).await;
    tokio::time::sleep(LAST_CALLS).await;
}

#[cfg(test)]
mod tests;
