//! The shim's loop: waits, and does what each thing that happened asks for.

mod answer;
mod finish;
mod reports;

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::WaitStatus;

use super::super::init::Failure;
use super::super::protocol::Status;
use super::super::record::ExitSpace;
use super::begin::Begun;
use super::connection::{Connection, MOST};
use super::output::{CHUNK, Read, STALL};
use crate::sys::{seqpacket, signals};

/// How long after a kill that did not work it is tried again.
const KILL_AGAIN: Duration = Duration::from_secs(5);

/// How long it takes until a program that has not heard the signal to stop is looked at again: at first,
/// and at most.
const LISTENS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));

/// A container that is starting, runs, or has just ended.
pub(super) struct Shim {
    dir: PathBuf,
    space: ExitSpace,
    begun: Begun,
    listener: OwnedFd,
    connections: Vec<Connection>,
    children: SignalFd,
    status: Status,
    starting: bool,
    failure: Option<Failure>,
    kill_at: Option<Instant>,
    unheard: Option<Unheard>,
    ended: Option<WaitStatus>,
    buffer: Box<[u8]>,
}

/// A signal to stop that the program had no handler for. One that has just started gets its handlers a
/// moment later, and would otherwise be killed when its time is over.
#[derive(Debug, Clone, Copy)]
struct Unheard {
    signal: i32,
    wait: Duration,
    again_at: Instant,
}

/// What may have happened.
#[derive(Debug, Clone, Copy)]
enum Source {
    Children,
    Reports,
    Listener,
    Output(usize),
    Connection(usize),
    Viewer(usize, usize),
}

impl Shim {
    /// The shim of a container that has begun, with its record and its sockets.
    pub(super) fn new(
        begun: Begun,
        (dir, space): (PathBuf, ExitSpace),
        (listener, daemon): (OwnedFd, Connection),
    ) -> io::Result<Self> {
        let mut set = SigSet::empty();
        set.add(Signal::SIGCHLD);
        let children = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        seqpacket::set_nonblocking(&listener, true)?;
        seqpacket::set_nonblocking(&begun.reports, true)?;
        Ok(Self {
            dir,
            space,
            begun,
            listener,
            connections: vec![daemon],
            children,
            status: Status::default(),
            starting: true,
            failure: None,
            kill_at: None,
            unheard: None,
            ended: None,
            buffer: vec![0; CHUNK].into_boxed_slice(),
        })
    }

    /// Runs until the container has ended and that is written down.
    pub(super) fn run(&mut self) {
        // Who asked to be attached before the start sees the output from its first byte.
        self.welcome();
        for at in 0..self.connections.len() {
            self.answer(at);
        }
        while self.ended.is_none() {
            match self.wait() {
                Ok(happened) => {
                    for source in happened {
                        self.handle(source);
                    }
                }
                Err(error) => {
                    tracing::error!("the shim cannot wait: {error}");
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
            self.let_go();
            self.ask_again();
            self.escalate();
        }
        self.finish();
    }

    fn wait(&self) -> io::Result<Vec<Source>> {
        let (sources, mut fds): (Vec<Source>, Vec<PollFd<'_>>) = self.sources().into_iter().unzip();
        let timeout =
            self.deadline().map(|at| timespec(at.saturating_duration_since(Instant::now())));
        match poll(&mut fds, timeout.as_ref()) {
            Err(rustix::io::Errno::INTR) => return Ok(Vec::new()),
            polled => polled?,
        };
        let ready = sources.iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty());
        Ok(ready.map(|(source, _)| *source).collect())
    }

    /// What to wait for. Output rests while a viewer has not taken what there was.
    fn sources(&self) -> Vec<(Source, PollFd<'_>)> {
        let read = PollFlags::IN;
        let mut sources = vec![
            (Source::Children, PollFd::new(&self.children, read)),
            (Source::Listener, PollFd::new(&self.listener, read)),
        ];
        if self.starting {
            sources.push((Source::Reports, PollFd::new(&self.begun.reports, read)));
        }
        let mut rest = false;
        for (at, connection) in self.connections.iter().enumerate() {
            sources.push((Source::Connection(at), PollFd::new(connection.socket(), read)));
            for (number, viewer) in connection.viewers.iter().enumerate() {
                if viewer.stalled.is_some() {
                    rest = true;
                    let source = Source::Viewer(at, number);
                    sources.push((source, PollFd::new(&viewer.to, PollFlags::OUT)));
                }
            }
        }
        if !rest {
            let outputs = self.begun.outputs.iter().enumerate();
            sources.extend(
                outputs.map(|(at, output)| (Source::Output(at), PollFd::new(&output.from, read))),
            );
        }
        sources
    }

    /// When something must be done without being asked.
    fn deadline(&self) -> Option<Instant> {
        let viewers = self.connections.iter().flat_map(|connection| &connection.viewers);
        let stalls = viewers.filter_map(|viewer| viewer.stalled).map(|since| since + STALL);
        let unheard = self.unheard.map(|unheard| unheard.again_at);
        stalls.chain(self.kill_at).chain(unheard).min()
    }

    fn handle(&mut self, source: Source) {
        match source {
            Source::Children => self.reap(),
            Source::Reports => self.hear_reports(),
            Source::Listener => self.welcome(),
            Source::Output(at) => self.pass_on(at),
            Source::Connection(at) => self.answer(at),
            Source::Viewer(at, number) => {
                let connection = &mut self.connections[at];
                let there = connection.viewers[number].catch_up();
                connection.gone |= !there;
            }
        }
    }

    fn tell(&mut self) {
        for connection in &mut self.connections {
            connection.tell(self.status);
        }
    }

    fn welcome(&mut self) {
        while let Ok(socket) = seqpacket::accept(&self.listener) {
            if self.connections.len() < MOST {
                self.connections.push(Connection::new(socket));
            }
        }
    }

    fn pass_on(&mut self, at: usize) {
        let Some(output) = self.begun.outputs.get(at) else { return };
        match output.read(&mut self.buffer) {
            Read::Nothing => {}
            // Dropping it here would move the others under the hands of the loop.
            Read::End => self.begun.outputs[at].ended = true,
            Read::Some(length) => {
                let (stream, bytes) = (output.stream, &self.buffer[..length]);
                self.begun.sink.write(stream, bytes);
                for connection in &mut self.connections {
                    for viewer in connection.viewers.iter_mut().filter(|v| v.stream == stream) {
                        connection.gone |= !viewer.show(bytes);
                    }
                }
            }
        }
    }

    /// Drops what has ended, now that no index points to it.
    fn let_go(&mut self) {
        let now = Instant::now();
        for connection in &mut self.connections {
            let stalled = connection.viewers.iter().filter_map(|viewer| viewer.stalled);
            connection.gone |= stalled.min().is_some_and(|since| now >= since + STALL);
        }
        self.connections.retain(|connection| !connection.gone);
        self.begun.outputs.retain(|output| !output.ended);
    }

    /// Sends the signal to stop once more if the program did not hear it and does now.
    fn ask_again(&mut self) {
        let Some(Unheard { signal, wait, again_at }) = self.unheard else { return };
        if Instant::now() < again_at {
            return;
        }
        if signals::is_heard(self.status.pid, signal) {
            self.unheard = None;
            // It may have ended meanwhile.
            let _gone = self.signal(signal);
        } else {
            self.unheard = Some(Unheard::after(signal, (wait * 2).min(LISTENS.1)));
        }
    }

    fn escalate(&mut self) {
        if self.kill_at.is_none_or(|at| Instant::now() < at) {
            return;
        }
        self.kill_at = Some(Instant::now() + KILL_AGAIN);
        let _gone = signals::kill_pidfd(self.begun.pidfd.as_fd(), libc::SIGKILL);
        if let Err(error) = self.begun.cgroup.kill() {
            tracing::warn!("cannot kill the container: {error}");
        }
        self.status.paused = false;
    }
}

impl Unheard {
    fn after(signal: i32, wait: Duration) -> Self {
        Self { signal, wait, again_at: Instant::now() + wait }
    }
}

/// The exit status as a shell shows it.
pub(in crate::runtime) fn exit_code(status: WaitStatus) -> i32 {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 255,
    }
}

fn timespec(wait: Duration) -> Timespec {
    // A little more, or it would wake just too early and wait for nothing.
    let wait = wait + Duration::from_micros(500);
    Timespec {
        tv_sec: wait.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: wait.subsec_nanos().into(),
    }
}
