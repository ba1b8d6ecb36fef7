//! A server of HTTP/1.1 that shows where it runs, and who it can reach.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use clap::Args;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::http::{self, BadRequest};
use super::names::Names;
use super::pages::{Counter, Pages};
use super::url::Url;
use super::{Outcome, say, watch_for_stop};

/// Connections at a time; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 512;

/// How long a client may take to send a request or to take in an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long requests that are under way may take once we are told to stop.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How long to rest after a failure to accept, so that a lasting one does not eat a processor.
const REST: Duration = Duration::from_millis(100);

/// What to serve, and where.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The address and port to listen on.
    #[arg(long, default_value = "0.0.0.0:8080")]
    pub(super) listen: SocketAddr,
    /// What to say on the front page.
    #[arg(long, default_value = "Hello from orca")]
    pub(super) message: String,
    /// A page of another server to show on the front page, such as `http://api:8080/`.
    #[arg(long, value_name = "URL")]
    pub(super) upstream: Option<Url>,
    /// A file that keeps the number of visits to `/counter`.
    #[arg(long, value_name = "FILE")]
    pub(super) data: Option<PathBuf>,
    /// Say on `/health` that all is well so many times, and then no more.
    #[arg(long, value_name = "TIMES")]
    pub(super) unhealthy_after: Option<u64>,
}

pub(super) async fn run(options: Options) -> Outcome<()> {
    let listener = TcpListener::bind(options.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", options.listen))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let pages = pages(options, Names::default())?;
    let told = watch_for_stop()?;
    let (stop, stopped) = watch::channel(false);
    say(format_args!("listening on http://{address}"));
    let stopping = async {
        told.await;
        say("told to stop");
        stop.send_replace(true);
    };
    tokio::join!(stopping, serve(listener, Arc::new(pages), stopped));
    Ok(())
}

/// The pages for these options, with names looked up by `names`.
///
/// # Errors
/// A sentence that says what is wrong with the file of the counter.
pub(super) fn pages(options: Options, names: Names) -> Outcome<Pages> {
    Ok(Pages {
        message: options.message,
        upstream: options.upstream,
        names,
        unhealthy_after: options.unhealthy_after,
        counter: Counter::open(options.data)?,
        probes: AtomicU64::new(0),
    })
}

/// Serves until told to stop, and then until the requests under way are answered.
pub(super) async fn serve(
    listener: TcpListener,
    pages: Arc<Pages>,
    mut stopped: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            accepted = accept(&listener, &room) => accepted,
            _ = stopped.wait_for(|stop| *stop) => break,
        };
        let Some((stream, permit)) = accepted else { continue };
        let (pages, stopped) = (Arc::clone(&pages), stopped.clone());
        connections.spawn(async move {
            // A client that breaks off is its own affair.
            converse(stream, &pages, stopped).await.ok();
            drop(permit);
        });
    }
    drop(listener);
    timeout(LAST_WORDS, async { while connections.join_next().await.is_some() {} }).await.ok();
}

/// The next connection, when there is room for one.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, permit)),
        Err(error) => {
            say(format_args!("cannot accept a connection: {error}"));
            tokio::time::sleep(REST).await;
            None
        }
    }
}

/// Answers the requests of one connection.
async fn converse(
    mut stream: TcpStream,
    pages: &Pages,
    mut stopped: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        let read = tokio::select! {
            biased;
            read = timeout(PATIENCE, http::request(&mut stream, &mut buffer)) => read?,
            // Between requests, or before one is whole.
            _ = stopped.wait_for(|stop| *stop) => return Ok(()),
        };
        let request = match read {
            Ok(Some(request)) => request,
            Ok(None) | Err(BadRequest::Broken) => return Ok(()),
            Err(BadRequest::Answered(status)) => {
                let bytes = http::answer(status, "this request cannot be read\n", false, false);
                return timeout(PATIENCE, stream.write_all(&bytes)).await?;
            }
        };
        let (status, body) = match request.method.as_str() {
            "GET" | "HEAD" => pages.show(&request.path).await,
            _ => (405, "only GET and HEAD are known here\n".to_owned()),
        };
        say(format_args!("{} {} {status}", request.method, request.path.escape_debug()));
        let keep_alive = request.keep_alive && !*stopped.borrow();
        let bytes = http::answer(status, &body, keep_alive, request.method == "HEAD");
        timeout(PATIENCE, stream.write_all(&bytes)).await??;
        if !keep_alive {
            return stream.shutdown().await;
        }
    }
}
