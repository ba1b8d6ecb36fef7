//! HTTP/1.1 requests from a thread that may wait.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{self, Read};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{
    AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, LOCATION, PROXY_AUTHORIZATION,
    USER_AGENT,
};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::connect::connect;
use super::proxy::Proxy;
use super::settings::{Registries, Timeouts, Watcher};
use super::tls;
use super::url::{Scheme, Url};

/// Sends requests, one after another, and keeps connections open between them.
pub(super) struct Client<'a> {
    /// There until it is dropped.
    runtime: Option<Runtime>,
    registries: &'a Registries,
    timeouts: Timeouts,
    watcher: &'a dyn Watcher,
    idle: RefCell<HashMap<(Scheme, String), Connection>>,
}

type Connection = SendRequest<Either<Full<Bytes>, Upload>>;

/// What to send.
#[derive(Default)]
pub(super) struct Asked<'a> {
    pub(super) method: Method,
    pub(super) headers: Vec<(HeaderName, String)>,
    /// Sent as it is; a stream is read to its end, which must come at the length given.
    pub(super) body: Sent<'a>,
    /// Told, now and then, how many bytes of the body have gone.
    pub(super) report: Option<&'a dyn Fn(u64)>,
}

/// The body of a request.
#[derive(Default)]
pub(super) enum Sent<'a> {
    #[default]
    Nothing,
    Bytes(&'a [u8]),
    Stream(Box<dyn Read + Send>, u64),
}

/// What came back.
pub(super) struct Answer<'a> {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// What was asked for.
    pub(super) asked: Url,
    /// Where it came from, after all redirections.
    pub(super) url: Url,
    pub(super) body: Received<'a>,
}

/// The body of an answer, as it comes.
pub(super) struct Received<'a> {
    client: &'a Client<'a>,
    incoming: Incoming,
    rest: Bytes,
    /// How long it was waited for how many bytes, lately.
    lately: (Duration, u64),
    /// Given back to the client at the end of the body.
    connection: Option<((Scheme, String), Connection)>,
}

impl Asked<'_> {
    /// The same once more; `None` if its body can be sent only once.
    pub(super) fn again(&self) -> Option<Self> {
        let body = match self.body {
            Sent::Nothing => Sent::Nothing,
            Sent::Bytes(bytes) => Sent::Bytes(bytes),
            Sent::Stream(..) => return None,
        };
        let Self { method, headers, report, .. } = self;
        Some(Self { method: method.clone(), headers: headers.clone(), body, report: *report })
    }
}

const REDIRECTIONS: usize = 5;
/// How many bytes must come in the time that one may wait for the next.
const DRIP: u64 = 16 << 10;
/// How often the progress of an upload is told, and looked whether anybody still waits.
const TICK: Duration = Duration::from_millis(200);

impl<'c> Client<'c> {
    pub(super) fn new(registries: &'c Registries, watcher: &'c dyn Watcher) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let timeouts = registries.timeouts;
        let runtime = Some(runtime);
        Ok(Self { runtime, registries, timeouts, watcher, idle: RefCell::default() })
    }

    /// Sends a request. A redirection is followed, if the request may be repeated; who we are is told
    /// to the first host only.
    pub(super) fn send(&self, url: &Url, mut asked: Asked<'_>) -> io::Result<Answer<'_>> {
        let follow = matches!(asked.method, Method::GET | Method::HEAD);
        let first = url;
        let mut url = url.clone();
        for _ in 0..REDIRECTIONS {
            let answer = Answer { asked: first.clone(), ..self.once(&url, &mut asked)? };
            if !(follow && answer.status.is_redirection() && answer.headers.contains_key(LOCATION))
            {
                return Ok(answer);
            }
            let location = answer.headers.get(LOCATION).and_then(|text| text.to_str().ok());
            let next = location.and_then(|location| url.join(location));
            let next =
                next.ok_or_else(|| io::Error::other(format!("{url} redirects to nowhere")))?;
            if url.scheme == Scheme::Https && next.scheme == Scheme::Http {
                return Err(io::Error::other(format!(
                    "{url} redirects to {next}, without encryption"
                )));
            }
            if (next.scheme, &next.host) != (url.scheme, &url.host) {
                asked.headers.retain(|(name, _)| *name != AUTHORIZATION);
            }
            url = next;
        }
        Err(io::Error::other(format!("{url} redirects more than {REDIRECTIONS} times")))
    }

    fn once(&self, url: &Url, asked: &mut Asked<'_>) -> io::Result<Answer<'_>> {
        let key = (url.scheme, url.host.clone());
        let known = self.idle.borrow_mut().remove(&key).filter(|known| !known.is_closed());
        let repeatable = !matches!(asked.body, Sent::Stream(..));
        if let Some(known) = known.filter(|_| repeatable) {
            // The peer may have closed it since; that is no failure yet.
            if let Ok(answer) = self.exchange(known, url, asked) {
                return Ok(answer);
            }
        }
        self.exchange(self.connect(url)?, url, asked)
    }

    fn exchange(
        &self,
        mut connection: Connection,
        url: &Url,
        asked: &mut Asked<'_>,
    ) -> io::Result<Answer<'_>> {
        let moved = Arc::new(AtomicU64::new(0));
        let proxy = match url.scheme {
            Scheme::Http => self.registries.proxies.of(url)?,
            // It was opened through one; nothing more is to be said to it.
            Scheme::Https => None,
        };
        let request = request(url, asked, &moved, proxy.as_ref())?;
        let exchange = async {
            connection.ready().await.map_err(io::Error::other)?;
            let mut sending = pin!(connection.send_request(request));
            let (mut last, mut since) = (0, Instant::now());
            // As long as the body goes on, so does the wait.
            loop {
                if let Ok(answer) = timeout(TICK.min(self.timeouts.idle), &mut sending).await {
                    return answer.map_err(|error| tls::found_in(&error, &url.host));
                }
                let now = moved.load(Ordering::Relaxed);
                if now > last {
                    (last, since) = (now, Instant::now());
                }
                if since.elapsed() > self.timeouts.idle {
                    return Err(late(self.timeouts.idle));
                }
                if let Some(report) = asked.report {
                    report(now);
                }
                self.wanted()?;
            }
        };
        let (head, incoming) = self.block_on(exchange)?.into_parts();
        let connection = Some(((url.scheme, url.host.clone()), connection));
        let (rest, lately) = (Bytes::new(), (Duration::ZERO, 0));
        let body = Received { client: self, incoming, rest, lately, connection };
        let (asked, url) = (url.clone(), url.clone());
        Ok(Answer { status: head.status, headers: head.headers, asked, url, body })
    }

    fn connect(&self, url: &Url) -> io::Result<Connection> {
        self.wait(self.timeouts.connect, async {
            let link = connect(self.registries, url).await?;
            let (sender, connection) =
                http1::handshake(TokioIo::new(link)).await.map_err(io::Error::other)?;
            // Runs while this thread waits for an answer; ends with the sender or the peer.
            drop(tokio::spawn(connection));
            Ok(sender)
        })
    }

    /// Waits for `work`, as long as it may take and somebody wants it.
    fn wait<T>(&self, most: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let until = Instant::now() + most;
        self.block_on(async {
            let mut work = pin!(work);
            loop {
                let left = until.saturating_duration_since(Instant::now());
                if let Ok(done) = timeout(TICK.min(left), &mut work).await {
                    return done;
                }
                if left <= TICK {
                    return Err(late(most));
                }
                self.wanted()?;
            }
        })
    }

    fn block_on<T>(&self, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        self.runtime.as_ref().ok_or(io::ErrorKind::NotConnected)?.block_on(work)
    }

    /// Fails once nobody wants the answer any more.
    fn wanted(&self) -> io::Result<()> {
        match self.watcher.cancelled() {
            true => Err(io::Error::new(io::ErrorKind::Interrupted, "it was cancelled")),
            false => Ok(()),
        }
    }
}

impl Drop for Client<'_> {
    fn drop(&mut self) {
        // A name that is still looked up holds nobody up.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn late(most: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer in {most:?}"))
}

fn request(
    url: &Url,
    asked: &mut Asked<'_>,
    moved: &Arc<AtomicU64>,
    proxy: Option<&Proxy>,
) -> io::Result<Request<Either<Full<Bytes>, Upload>>> {
    // A proxy must be told which host is meant.
    let target = match proxy {
        Some(_) => format!("http://{}{}", url.host, url.path),
        None => url.path.clone(),
    };
    let mut request = Request::builder()
        .method(asked.method.clone())
        .uri(target)
        .header(HOST, &url.host)
        .header(USER_AGENT, concat!("orca/", env!("CARGO_PKG_VERSION")));
    for (name, value) in &asked.headers {
        request = request.header(name, value);
    }
    if let Some(authorization) = proxy.and_then(|proxy| proxy.authorization.as_ref()) {
        request = request.header(PROXY_AUTHORIZATION, authorization);
    }
    let body = match &mut asked.body {
        Sent::Nothing => {
            if matches!(asked.method, Method::POST | Method::PUT) {
                request = request.header(CONTENT_LENGTH, 0);
            }
            Either::Left(Full::new(Bytes::new()))
        }
        Sent::Bytes(bytes) => Either::Left(Full::new(Bytes::copy_from_slice(bytes))),
        Sent::Stream(input, left) => {
            let input = std::mem::replace(input, Box::new(io::empty()));
            Either::Right(Upload { input, left: *left, moved: moved.clone() })
        }
    };
    request.body(body).map_err(io::Error::other)
}

/// A body that is read from a file. Reading blocks, which harms nobody: the thread has only this to
/// do.
pub(super) struct Upload {
    input: Box<dyn Read + Send>,
    left: u64,
    moved: Arc<AtomicU64>,
}

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(128 << 10);
        let mut piece = vec![0; most];
        let read = self.input.read(&mut piece).and_then(|got| match got {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            got => Ok(got),
        });
        Poll::Ready(Some(read.map(|got| {
            piece.truncate(got);
            self.left -= got as u64;
            self.moved.fetch_add(got as u64, Ordering::Relaxed);
            Frame::data(Bytes::from(piece))
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

impl Answer<'_> {
    /// A header as text.
    pub(super) fn header(&self, name: impl hyper::header::AsHeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The whole body, which must not be longer than `limit`.
    pub(super) fn bytes(self, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut body = self.body;
        body.by_ref().take(limit + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            let reason = format!("the answer is longer than {limit} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        Ok(bytes)
    }
}

impl Received<'_> {
    /// Fails if what comes only drips: that would hold us for days.
    fn check_pace(&mut self, idle: Duration) -> io::Result<()> {
        let (waited, came) = self.lately;
        if waited < idle {
            return Ok(());
        }
        self.lately = (Duration::ZERO, 0);
        if came < DRIP {
            let reason = format!("only {came} bytes came in {waited:.0?}");
            return Err(io::Error::new(io::ErrorKind::TimedOut, reason));
        }
        Ok(())
    }
}

impl Read for Received<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            let (idle, began) = (self.client.timeouts.idle, Instant::now());
            let next = async { Ok(self.incoming.frame().await) };
            match self.client.wait(idle, next)? {
                Some(frame) => {
                    let frame = frame.map_err(io::Error::other)?;
                    self.rest = frame.into_data().unwrap_or_default();
                    self.lately.0 += began.elapsed();
                    self.lately.1 += self.rest.len() as u64;
                    self.check_pace(idle)?;
                }
                None => {
                    if let Some((key, connection)) = self.connection.take() {
                        drop(self.client.idle.borrow_mut().insert(key, connection));
                    }
                    return Ok(0);
                }
            }
        }
        let most = self.rest.len().min(buffer.len());
        self.rest.split_to(most).copy_to_slice(&mut buffer[..most]);
        Ok(most)
    }
}
