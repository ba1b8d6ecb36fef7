//! Containers: programs inside, logs, what they use.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tracing::debug;

use super::Daemon;
use crate::api::control::{
    Answer, Attach, ControlError, ErrorKind, Exec, LogLine, LogOptions, OutputStream, Process,
    Session, SessionInput, SessionOutput, Usage,
};
use crate::engine::linux::LinuxHost;
use crate::model::{ContainerId, TaskId};
use crate::runtime::log::{LogError, LogQuery, LogReader, Record, Stream};
use crate::runtime::{
    ContainerPhase, ExecError, ExecRequest, Input, Output, Runtime, RuntimeError,
};
use crate::sys::clock;

/// How many messages of a session wait for a slow side.
const SESSION_MAX: usize = 64;

/// How many lines of a log wait for a slow reader.
const LINES_MAX: usize = 1024;

/// The largest piece of output in one message.
const PIECE: usize = 32 << 10;

/// How long the rest of a log is waited for once its task is gone.
const LAST_LINES: Duration = Duration::from_millis(200);

impl Daemon {
    pub(super) async fn read_log(
        &self,
        task: TaskId,
        options: LogOptions,
    ) -> Answer<mpsc::Receiver<LogLine>> {
        let directory = LinuxHost::log_directory(&self.instance, task);
        let (lines, receiver) = mpsc::channel(LINES_MAX);
        if !directory.exists() && !options.follow {
            return Ok(receiver);
        }
        std::fs::create_dir_all(&directory).map_err(super::internal)?;
        let query = LogQuery {
            tail: options.tail,
            since: options.since,
            until: options.until,
            follow: options.follow,
            stream: None,
        };
        let reader = LogReader::open(&directory, query).map_err(unreadable)?;
        let gone = self.gone(task);
        tokio::spawn(async move {
            tokio::select! {
                () = send_lines(reader, &lines) => {}
                () = gone => {}
            }
        });
        Ok(receiver)
    }

    /// Waits until a task is gone and its last lines can have been read.
    fn gone(&self, task: TaskId) -> impl Future<Output = ()> + use<> {
        let mut view = self.engine.view();
        async move {
            // No view any more: the daemon ends, and the stream with it.
            drop(view.wait_for(|view| !view.agreed.tasks.contains_key(&task)).await);
            tokio::time::sleep(LAST_LINES).await;
        }
    }

    pub(super) async fn run_inside(&self, id: &ContainerId, request: Exec) -> Answer<Session> {
        let tty = request.tty;
        let wish = ExecRequest {
            args: request.args,
            env: request.env,
            cwd: request.cwd,
            user: request.user,
            tty: request.tty,
            size: request.size.map(|size| (size.rows, size.columns)),
            privileged: request.privileged,
            stdin: request.stdin && !request.detach,
            detached: request.detach,
        };
        let (input, from_caller) = mpsc::channel(SESSION_MAX);
        let (to_caller, output) = mpsc::channel(SESSION_MAX);
        match self.hands().runtime.exec(id, wish).await {
            Ok(_goes_on_alone) if request.detach => {
                // There is room: nothing has been sent yet.
                drop(to_caller.send(SessionOutput::Exited(0)).await);
            }
            Ok(exec) => {
                tokio::spawn(converse(exec, from_caller, to_caller));
            }
            // A program that is not there ends as in a shell: a line on standard error and 127.
            Err(ExecError::Start(error)) => {
                let message = format!("{}\n", error.message).into_bytes();
                drop(to_caller.send(SessionOutput::Stderr(message)).await);
                drop(to_caller.send(SessionOutput::Exited(error.code)).await);
            }
            Err(ExecError::Runtime(error)) => return Err(refused(error)),
        }
        Ok(Session { tty, input, output })
    }

    pub(super) async fn attach_to(&self, id: &ContainerId, request: Attach) -> Answer<Session> {
        let runtime = self.hands().runtime.clone();
        let attached = runtime.attach(id).await.map_err(refused)?;
        Ok(talk(runtime, id.clone(), attached, request))
    }

    pub(super) async fn read_usage(&self, id: &ContainerId) -> Answer<Usage> {
        let runtime = &self.hands().runtime;
        let stats = runtime.stats(id).await.map_err(refused)?;
        let (received, sent) = match runtime.container(id).map(|record| record.phase) {
            Some(ContainerPhase::Running { pid, .. }) => traffic(pid),
            _ => (0, 0),
        };
        Ok(Usage {
            at: clock::boottime(),
            cpu: Duration::from_nanos(stats.cpu_ns),
            memory: stats.memory.saturating_sub(stats.inactive_file),
            memory_limit: stats.memory_limit,
            pids: stats.pids,
            pids_limit: stats.pids_limit,
            network_received: received,
            network_sent: sent,
            block_read: stats.read_bytes,
            block_written: stats.write_bytes,
        })
    }

    pub(super) async fn list_processes(&self, id: &ContainerId) -> Answer<Vec<Process>> {
        let processes = self.hands().runtime.processes(id).await.map_err(refused)?;
        let now = clock::boottime().0;
        let process = |process: crate::runtime::ProcessInfo| Process {
            pid: process.pid,
            parent: process.parent,
            uid: process.uid,
            cpu: process.cpu,
            age: now.saturating_sub(process.started),
            command: process.command,
        };
        Ok(processes.into_iter().map(process).collect())
    }
}

/// Carries the streams of a container's own program to and from its caller, until it has ended.
pub(super) fn talk(
    runtime: Runtime,
    id: ContainerId,
    attached: crate::runtime::Attach,
    request: Attach,
) -> Session {
    let (input, mut from_caller) = mpsc::channel(SESSION_MAX);
    let (to_caller, output) = mpsc::channel(SESSION_MAX);
    let tty = runtime.container(&id).is_some_and(|record| record.container.tty);
    if let (Some(terminal), Some(size)) = (&attached.stdin, request.size) {
        // Without a terminal there is no size to set.
        drop(terminal.resize(size.rows, size.columns));
    }
    let crate::runtime::Attach { stdin, stdout, stderr, ending, held } = attached;
    let stdin = stdin.filter(|_| request.stdin);
    tokio::spawn(async move {
        let copied = async {
            let mut streams = JoinSet::new();
            streams.spawn(copy(stdout, to_caller.clone(), SessionOutput::Stdout));
            streams.spawn(copy(stderr, to_caller.clone(), SessionOutput::Stderr));
            streams.join_all().await;
            if let Some(exit) = ending.wait().await {
                drop(to_caller.send(SessionOutput::Exited(exit.code)).await);
            }
        };
        let fed = async {
            // A pipe ends when nobody holds it any more, so it is kept nowhere else.
            let terminal = stdin.clone().filter(|_| tty);
            let mut feeder = Feeder::new(stdin);
            while let Some(message) = from_caller.recv().await {
                feed(&runtime, &id, (&mut feeder, terminal.as_ref()), message).await;
            }
        };
        // A caller that goes away ends the session; the container goes on.
        tokio::select! {
            () = copied => {}
            () = fed => {}
        }
        drop(held);
    });
    Session { tty, input, output }
}

/// What the runtime would not do, for a caller.
pub(super) fn refused(error: RuntimeError) -> ControlError {
    let kind = match &error {
        RuntimeError::Unknown(_) => ErrorKind::NotFound,
        RuntimeError::NotRunning(_) | RuntimeError::Refused { .. } => ErrorKind::FailedPrecondition,
        RuntimeError::Unfit(_) => ErrorKind::InvalidInput,
        _ => ErrorKind::Internal,
    };
    ControlError::caused_by(kind, &error)
}

fn unreadable(error: LogError) -> ControlError {
    ControlError::caused_by(ErrorKind::Internal, &error)
}

async fn send_lines(mut reader: LogReader, lines: &mpsc::Sender<LogLine>) {
    loop {
        match reader.next().await {
            Ok(Some(record)) => {
                if lines.send(line(record)).await.is_err() {
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => {
                debug!(error = &error as &dyn std::error::Error, "a log cannot be read on");
                return;
            }
        }
    }
}

fn line(record: Record) -> LogLine {
    let stream = match record.stream {
        Stream::Stdout => OutputStream::Stdout,
        Stream::Stderr | Stream::Orca => OutputStream::Stderr,
    };
    LogLine { time: record.time, stream, line: record.bytes, partial: record.partial }
}

/// Carries a program's streams to and from its caller until it has ended. When the caller goes away,
/// the program's handle is dropped and the program with it.
async fn converse(
    mut exec: crate::runtime::Exec,
    mut from_caller: mpsc::Receiver<SessionInput>,
    to_caller: mpsc::Sender<SessionOutput>,
) {
    let mut streams = JoinSet::new();
    for (output, wrap) in [
        (exec.stdout.take(), SessionOutput::Stdout as fn(Vec<u8>) -> SessionOutput),
        (exec.stderr.take(), SessionOutput::Stderr),
    ] {
        if let Some(output) = output {
            streams.spawn(copy(output, to_caller.clone(), wrap));
        }
    }
    let mut stdin = Feeder::new(exec.stdin.take());
    let mut code = None;
    loop {
        tokio::select! {
            ended = exec.wait(), if code.is_none() => match ended {
                Ok(ended) => code = Some(ended),
                Err(error) => {
                    debug!(%error, "a program was lost sight of");
                    return;
                }
            },
            // What it wrote last is still on its way when it has ended.
            finished = streams.join_next(), if !streams.is_empty() => drop(finished),
            message = from_caller.recv() => match message {
                None => return,
                Some(SessionInput::Stdin(bytes)) => stdin.send(bytes).await,
                Some(SessionInput::CloseStdin) => stdin.close(),
                Some(SessionInput::Resize(size)) => drop(exec.resize(size.rows, size.columns)),
                Some(SessionInput::Signal(signal)) => send_signal(exec.pid, &signal),
            },
        }
        if let Some(code) = code
            && streams.is_empty()
        {
            drop(to_caller.send(SessionOutput::Exited(code)).await);
            return;
        }
    }
}

/// Writes a program's input on a task of its own: a program that does not read must not keep its
/// output from being carried.
#[derive(Debug)]
struct Feeder(Option<(mpsc::Sender<Vec<u8>>, JoinHandle<()>)>);

impl Feeder {
    fn new(stdin: Option<Input>) -> Self {
        let Some(mut stdin) = stdin else { return Self(None) };
        let (sender, mut chunks) = mpsc::channel::<Vec<u8>>(1);
        let writing = tokio::spawn(async move {
            while let Some(chunk) = chunks.recv().await {
                if stdin.write_all(&chunk).await.is_err() {
                    return;
                }
            }
        });
        Self(Some((sender, writing)))
    }

    async fn send(&mut self, bytes: Vec<u8>) {
        let gone = match &self.0 {
            Some((sender, _)) => sender.send(bytes).await.is_err(),
            None => false,
        };
        if gone {
            self.0 = None;
        }
    }

    fn close(&mut self) {
        self.0 = None;
    }

    /// Waits until all that was sent is written, or the program does not want it.
    async fn finish(&mut self) {
        if let Some((sender, writing)) = self.0.take() {
            drop(sender);
            drop(writing.await);
        }
    }
}

async fn copy(
    mut output: Output,
    to_caller: mpsc::Sender<SessionOutput>,
    wrap: fn(Vec<u8>) -> SessionOutput,
) {
    let mut buffer = vec![0; PIECE];
    while let Ok(n) = output.read(&mut buffer).await {
        if n == 0 || to_caller.send(wrap(buffer[..n].to_vec())).await.is_err() {
            return;
        }
    }
}

async fn feed(
    runtime: &Runtime,
    id: &ContainerId,
    (feeder, terminal): (&mut Feeder, Option<&Input>),
    message: SessionInput,
) {
    match message {
        // A program that has closed its input does not want more.
        SessionInput::Stdin(bytes) => feeder.send(bytes).await,
        SessionInput::CloseStdin => {
            // What was sent before comes first.
            feeder.finish().await;
            drop(runtime.close_stdin(id).await);
        }
        SessionInput::Resize(size) => {
            if let Some(terminal) = terminal {
                drop(terminal.resize(size.rows, size.columns));
            }
        }
        SessionInput::Signal(signal) => drop(runtime.kill(id, &signal).await),
    }
}

/// Sends a signal to a program run inside a container.
fn send_signal(pid: u32, signal: &str) {
    let name = signal.to_uppercase();
    let name = if name.starts_with("SIG") { name } else { format!("SIG{name}") };
    let parsed = signal
        .parse::<i32>()
        .ok()
        .and_then(|number| nix::sys::signal::Signal::try_from(number).ok())
        .or_else(|| name.parse().ok());
    let (Some(signal), Ok(pid)) = (parsed, i32::try_from(pid)) else {
        debug!(signal, "not a signal");
        return;
    };
    if let Err(error) = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal) {
        debug!(%error, "a program was gone before its signal");
    }
}

/// The bytes that the interfaces of a process's network namespace received and sent, `lo` left out.
fn traffic(pid: u32) -> (u64, u64) {
    let path = format!("/proc/{pid}/net/dev");
    let text = std::fs::read_to_string(Path::new(&path)).unwrap_or_default();
    let mut total = (0, 0);
    for line in text.lines() {
        let Some((name, figures)) = line.split_once(':') else { continue };
        if name.trim() == "lo" {
            continue;
        }
        let figure =
            |n| figures.split_whitespace().nth(n).and_then(|text| text.parse::<u64>().ok());
        total.0 += figure(0).unwrap_or(0);
        total.1 += figure(8).unwrap_or(0);
    }
    total
}
