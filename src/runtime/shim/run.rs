//! The shim's loop: waits, and does what each thing that happened asks for.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, WaitOptions, WaitStatus};

use super::super::exec;
use super::super::init::{Failure, Report};
use super::super::protocol::{Reply, Request, Status};
use super::super::record::{self, ExitSpace, Started};
use super::begin::Begun;
use super::connection::{Connection, MOST};
use super::output::{CHUNK, Output, Read, STALL, Stream, Viewer};
use crate::model::{Boottime, Exit};
use crate::sys::clone::{self, Forked, SingleThreaded};
use crate::sys::{clock, seqpacket, signals};

/// How long after a kill that did not work it is tried again.
const KILL_AGAIN: Duration = Duration::from_secs(5);

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
    ended: Option<WaitStatus>,
    buffer: Box<[u8]>,
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
            ended: None,
            buffer: vec![0; CHUNK].into_boxed_slice(),
        })
    }

    /// Runs until the container has ended and that is written down.
    pub(super) fn run(&mut self, single: &SingleThreaded) {
        while self.ended.is_none() {
            match self.wait() {
                Ok(happened) => {
                    for source in happened {
                        self.handle(source, single);
                    }
                }
                Err(error) => {
                    tracing::error!("the shim cannot wait: {error}");
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
            self.let_go();
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
        stalls.chain(self.kill_at).min()
    }

    fn handle(&mut self, source: Source, single: &SingleThreaded) {
        match source {
            Source::Children => self.reap(),
            Source::Reports => self.hear_reports(),
            Source::Listener => self.welcome(),
            Source::Output(at) => self.pass_on(at),
            Source::Connection(at) => self.answer(at, single),
            Source::Viewer(at, number) => {
                let connection = &mut self.connections[at];
                let there = connection.viewers[number].catch_up();
                connection.gone |= !there;
            }
        }
    }

    /// Waits for every child that has ended: the first process, helpers of `exec`, and what lost its
    /// parent.
    fn reap(&mut self) {
        while let Ok(Some(_)) = self.children.read_signal() {}
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if Some(pid) == Pid::from_raw(self.begun.pid) {
                self.ended = Some(status);
            }
        }
        if self.ended.is_some() {
            // What it said last comes first.
            self.hear_reports();
        }
    }

    /// How the first process gets on.
    fn hear_reports(&mut self) {
        while self.starting {
            match Report::receive(&self.begun.reports) {
                Ok(Some((Report::Terminal, fds))) => self.take_terminal(fds),
                Ok(Some((Report::Failed(failure), _))) => {
                    self.failure = Some(failure);
                    self.starting = false;
                }
                Ok(None) => {
                    self.starting = false;
                    self.started();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    self.failure =
                        Some(Failure::new(format!("cannot hear the first process: {error}")));
                    self.starting = false;
                    let _gone = signals::kill_pidfd(self.begun.pidfd.as_fd(), libc::SIGKILL);
                }
            }
        }
    }

    fn take_terminal(&mut self, fds: Vec<OwnedFd>) {
        let Some(master) = fds.into_iter().next() else { return };
        let copy = master.try_clone();
        self.begun.input = Some(master);
        if let Ok(output) = copy.and_then(|copy| Output::new(copy, Stream::Stdout)) {
            self.begun.outputs = vec![output];
        }
    }

    fn started(&mut self) {
        let since = clock::boottime();
        self.status.pid = self.begun.pid;
        self.status.since = u64::try_from(since.0.as_nanos()).unwrap_or(u64::MAX);
        let start_time = record::start_time(self.begun.pid).unwrap_or_default();
        let started = Started { pid: self.begun.pid, start_time, since };
        if let Err(error) = record::write_started(&self.dir, started) {
            tracing::warn!("cannot write that the container started: {error}");
        }
        self.tell();
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

    fn answer(&mut self, at: usize, single: &SingleThreaded) {
        let Some((request, fds)) = self.connections[at].request() else { return };
        let reply = match request {
            Request::Watch => {
                let status = self.status;
                return self.connections[at].watch(status);
            }
            Request::Signal(signal) => self.signal(signal),
            Request::Stop { signal, grace } => self.stop(signal, Duration::from_millis(grace)),
            Request::Pause => self.pause(),
            Request::Resume => self.resume(),
            Request::Exec { length } => return self.exec(at, length, fds, single),
            Request::Attach => return self.attach(at, fds),
            Request::CloseStdin => {
                self.begun.input = self.begun.input.take().filter(|_| self.begun.tty);
                Ok(())
            }
            Request::Hello | Request::Retire | Request::Start { .. } => {
                return self.connections[at].reply(&Reply::Unknown, None);
            }
        };
        let reply = match reply {
            Ok(()) => Reply::Done,
            Err(why) => Reply::Failed(why),
        };
        self.connections[at].reply(&reply, None);
    }

    fn signal(&mut self, signal: i32) -> Result<(), String> {
        if self.status.paused && signal == libc::SIGKILL {
            // A frozen process of version 1 does not even die.
            self.resume()?;
        }
        signals::kill_pidfd(self.begun.pidfd.as_fd(), signal).map_err(|error| error.to_string())
    }

    /// Asks the container to end, and remembers when to end it: that needs no daemon.
    fn stop(&mut self, signal: i32, grace: Duration) -> Result<(), String> {
        let kill_at = Instant::now() + grace;
        self.kill_at = Some(self.kill_at.map_or(kill_at, |earlier| earlier.min(kill_at)));
        self.signal(signal)?;
        if self.status.paused {
            self.resume()?;
        }
        self.status.stopping = true;
        self.tell();
        Ok(())
    }

    fn pause(&mut self) -> Result<(), String> {
        self.begun.cgroup.freeze().map_err(|error| error.to_string())?;
        self.status.paused = true;
        self.tell();
        Ok(())
    }

    fn resume(&mut self) -> Result<(), String> {
        self.begun.cgroup.thaw().map_err(|error| error.to_string())?;
        self.status.paused = false;
        self.tell();
        Ok(())
    }

    /// A copy of this process runs the program and answers; this one stays out of it.
    fn exec(&mut self, at: usize, length: u64, fds: Vec<OwnedFd>, single: &SingleThreaded) {
        let refused = match (self.status.pid, self.status.paused) {
            (0, _) => Some("the container does not run yet".to_owned()),
            (_, true) => Some("the container is paused".to_owned()),
            _ => None,
        };
        if let Some(why) = refused {
            return self.connections[at].reply(&Reply::Failed(why), None);
        }
        match clone::fork(single) {
            Ok(Forked::Parent(_)) => self.connections[at].gone = true,
            Ok(Forked::Child) => {
                let connection = self.connections.swap_remove(at).into_socket();
                let place = exec::Place { first: &self.begun.pidfd, cgroup: &self.begun.cgroup };
                exec::main(connection, length, fds, place, single)
            }
            Err(error) => {
                let why = format!("cannot make a process: {error}");
                self.connections[at].reply(&Reply::Failed(why), None);
            }
        }
    }

    fn attach(&mut self, at: usize, fds: Vec<OwnedFd>) {
        let streams = [Stream::Stdout, Stream::Stderr];
        let viewers =
            fds.into_iter().zip(streams).map(|(fd, stream)| Viewer::new(fd, stream)).collect();
        let connection = &mut self.connections[at];
        match viewers {
            Ok(viewers) => {
                connection.viewers = viewers;
                connection.reply(&Reply::Done, self.begun.input.as_ref());
            }
            Err(error) => {
                let error: io::Error = error;
                connection.reply(&Reply::Failed(error.to_string()), None);
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

    /// Writes down how it ended, and only then tells.
    fn finish(&mut self) {
        let at = clock::boottime();
        if self.begun.cgroup.pids().is_ok_and(|pids| !pids.is_empty()) {
            // Without a pid namespace of its own, what it started may live on.
            if let Err(error) = self.begun.cgroup.kill() {
                tracing::warn!("cannot kill what the container left: {error}");
            }
        }
        self.drain();
        self.begun.sink.finish();
        let exit = self.exit(at);
        // The room for the record is there; should it fail all the same, the record of the shim's
        // death says that something went wrong.
        if let Err(error) = self.space.fill(&self.dir, &exit) {
            tracing::error!("cannot write how the container ended: {error}");
        }
        self.status.ended = true;
        self.tell();
    }

    /// What is still in the pipes, and what viewers have not read, within a limit.
    fn drain(&mut self) {
        let until = Instant::now() + STALL;
        while !self.begun.outputs.is_empty() && Instant::now() < until {
            let mut progress = false;
            for at in 0..self.begun.outputs.len() {
                let before = self.begun.sink.written();
                self.pass_on(at);
                progress |= self.begun.sink.written() != before;
            }
            self.begun.outputs.retain(|output| !output.ended);
            if !progress {
                break;
            }
        }
        while Instant::now() < until {
            let mut waiting = false;
            for connection in &mut self.connections {
                for viewer in connection.viewers.iter_mut().filter(|v| v.stalled.is_some()) {
                    connection.gone |= !viewer.catch_up();
                    waiting |= viewer.stalled.is_some();
                }
            }
            self.connections.retain(|connection| !connection.gone);
            if !waiting {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn exit(&mut self, at: Boottime) -> Exit {
        let since = Boottime(Duration::from_nanos(self.status.since));
        let started = self.status.pid != 0;
        let ran = if started { at.since(since) } else { Duration::ZERO };
        if let Some(Failure { code, message }) = self.failure.take() {
            return Exit { code, error: Some(message), at, ran, ..Exit::default() };
        }
        let code = self.ended.map_or(255, exit_code);
        let oom = code != 0 && self.begun.cgroup.oom_kills().is_ok_and(|kills| kills > 0);
        Exit { code, oom, at, ran, ..Exit::default() }
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
