//! The daemon's end of the line.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use super::protocol::{Frame, Status, VERSION, Verb};
use super::{NetdError, Paths, Result, log};
use crate::model::{Instance, NetdReport, NetdState};
use crate::sys::process::spawn_detached;

/// How long a helper may take to start and listen.
const START: Duration = Duration::from_secs(10);

/// How long it may take to answer. Thousands of ports and sandboxes take a second.
const ANSWER: Duration = Duration::from_secs(60);

/// How often a start is tried. It also fails when two daemons start a helper at the same moment.
const MAX_STARTS: usize = 3;

/// How often a helper that starts or ends is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// A line to the network helper of an instance, which is started when it does not run.
#[derive(Debug)]
pub struct Client {
    instance: Instance,
    exe: PathBuf,
    stream: Mutex<Option<UnixStream>>,
    /// Whether the helper is being ended on purpose.
    closed: AtomicBool,
}

impl Client {
    /// Finds the helper of `instance`, or starts it from the program `exe`, which is orca. A helper
    /// of another version is replaced; its successor goes on with what it held.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn connect_or_start(instance: &Instance, exe: &Path) -> Result<Self> {
        let client = Self {
            instance: instance.clone(),
            exe: exe.to_owned(),
            stream: Mutex::new(None),
            closed: AtomicBool::new(false),
        };
        client.get().await?;
        Ok(client)
    }

    /// Makes `state` so. Starts the helper again if it died.
    ///
    /// # Errors
    /// If it cannot be started, or does not take the state. What it cannot hold is no error, but in
    /// the report.
    pub async fn put(&self, state: &NetdState) -> Result<NetdReport> {
        let body = serde_json::to_vec(state).map_err(|e| NetdError::Nonsense(e.to_string()))?;
        self.call(&Frame::new(Verb::Put as u16, body)).await
    }

    /// What came of the last state. Starts the helper if it does not run.
    ///
    /// # Errors
    /// If it cannot be started, or does not answer.
    pub async fn get(&self) -> Result<NetdReport> {
        self.call(&Frame::new(Verb::Get as u16, Vec::new())).await
    }

    /// Waits until the helper ends, for whatever reason; not at all if it does not run. To be
    /// followed by [`Client::put`], which starts it again.
    pub async fn gone(&self) {
        if let Ok(mut stream) = UnixStream::connect(Paths::of(&self.instance).socket).await {
            // It never speaks first: any end of this wait is its end.
            stream.read_u8().await.ok();
        }
    }

    /// Starts no helper any more: it is about to be ended. Somebody who talks to it just then would
    /// otherwise bring it back.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Whether [`Client::close`] was called.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Ends the helper of `instance` and removes what it kept: names are no longer answered, ports
    /// no longer held. Nothing happens if it does not run.
    ///
    /// # Errors
    /// If it does not end.
    pub async fn stop(instance: &Instance) -> Result<()> {
        let paths = Paths::of(instance);
        end(&paths, Verb::StopAndForget).await?;
        // One that was killed could not tidy up.
        for path in [paths.socket, paths.state, paths.next_state, paths.lock, paths.log] {
            match std::fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(NetdError::File { path, source });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Sends a request and waits for its report; once more on a new line if the old one broke. Every
    /// request may safely be done twice.
    async fn call(&self, request: &Frame) -> Result<NetdReport> {
        let mut line = self.stream.lock().await;
        if let Some(mut stream) = line.take() {
            match exchange(&mut stream, request).await {
                Ok(report) => {
                    *line = Some(stream);
                    return Ok(report);
                }
                Err(NetdError::Talk(_) | NetdError::OtherVersion { .. }) => {}
                Err(error) => {
                    *line = Some(stream);
                    return Err(error);
                }
            }
        }
        let mut stream = self.connect().await?;
        let report = exchange(&mut stream, request).await?;
        *line = Some(stream);
        Ok(report)
    }

    /// A new line to a helper of our version.
    async fn connect(&self) -> Result<UnixStream> {
        let paths = Paths::of(&self.instance);
        if let Ok(mut stream) = UnixStream::connect(&paths.socket).await {
            match exchange(&mut stream, &Frame::new(Verb::Get as u16, Vec::new())).await {
                Ok(_) => return Ok(stream),
                Err(NetdError::OtherVersion { .. }) => {
                    drop(stream);
                    end(&paths, Verb::Stop).await?;
                }
                // It is ending just now.
                Err(NetdError::Talk(_)) => {}
                Err(error) => return Err(error),
            }
        }
        self.start(&paths).await
    }

    async fn start(&self, paths: &Paths) -> Result<UnixStream> {
        if self.is_closed() {
            return Err(NetdError::Closed);
        }
        let deadline = Instant::now() + START;
        for _ in 0..MAX_STARTS {
            let ended = self.spawn(paths)?;
            while !ended.load(Ordering::Acquire) {
                if let Ok(stream) = UnixStream::connect(&paths.socket).await {
                    return Ok(stream);
                }
                if Instant::now() > deadline {
                    return Err(NetdError::NotStarting { log: paths.log.clone() });
                }
                sleep(LOOK).await;
            }
            // It failed, or gave way to another that was about to end, or to listen.
            sleep(LOOK * 20).await;
            if let Ok(stream) = UnixStream::connect(&paths.socket).await {
                return Ok(stream);
            }
        }
        Err(NetdError::NotStarting { log: paths.log.clone() })
    }

    /// Starts a helper. The flag tells when it has ended.
    fn spawn(&self, paths: &Paths) -> Result<Arc<AtomicBool>> {
        let file = |source| NetdError::File { path: paths.log.clone(), source };
        std::fs::create_dir_all(&paths.run).map_err(file)?;
        let log = log::open(&paths.log).map_err(file)?;
        let spawn = |source| NetdError::Spawn { program: self.exe.clone(), source };
        let Instance { root, run } = &self.instance;
        let arguments = [
            "--root".as_ref(),
            root.as_os_str(),
            "--run".as_ref(),
            run.as_os_str(),
            "netd".as_ref(),
        ];
        let mut child = spawn_detached(&self.exe, arguments, log).map_err(spawn)?;
        let ended = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&ended);
        // It waits for the helper's end, so that no zombie is left, and costs nothing meanwhile.
        let waiter = thread::Builder::new().name("netd-waiter".to_owned()).stack_size(64 << 10);
        waiter
            .spawn(move || {
                child.wait().ok();
                flag.store(true, Ordering::Release);
            })
            .map_err(spawn)?;
        Ok(ended)
    }
}

/// Sends `request` and waits for the report.
async fn exchange(stream: &mut UnixStream, request: &Frame) -> Result<NetdReport> {
    let talk = async {
        request.write(stream).await?;
        Frame::read(stream).await?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    };
    let answered = timeout(ANSWER, talk).await.map_err(io::Error::from).and_then(|done| done);
    let reply = answered.map_err(NetdError::Talk)?;
    match Status::of(reply.code) {
        Some(Status::Report) if reply.version == VERSION => {
            serde_json::from_slice(&reply.body).map_err(|e| NetdError::Nonsense(e.to_string()))
        }
        Some(Status::Refused) => {
            Err(NetdError::Refused(String::from_utf8_lossy(&reply.body).into_owned()))
        }
        Some(_) => Err(NetdError::OtherVersion { theirs: reply.version, ours: VERSION }),
        None => Err(NetdError::Nonsense(format!("there is no status {}", reply.code))),
    }
}

/// Tells the helper to end, and waits until it has.
async fn end(paths: &Paths, verb: Verb) -> Result<()> {
    let Ok(mut stream) = UnixStream::connect(&paths.socket).await else { return Ok(()) };
    let request = Frame::new(verb as u16, Vec::new());
    let told = timeout(START, async {
        request.write(&mut stream).await?;
        // Its answer, and then its end: the line breaks when the process is no more.
        stream.read_to_end(&mut Vec::new()).await
    });
    match told.await {
        // A line that breaks is what we want.
        Ok(_) => Ok(()),
        Err(_) => Err(NetdError::Talk(io::ErrorKind::TimedOut.into())),
    }
}
