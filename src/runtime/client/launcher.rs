//! Finding the launcher, or starting one.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::super::launcher::SOCKET;
use super::super::protocol::{self, Reply, Request};
use super::start::failed;
use super::{Runtime, RuntimeError};
use crate::sys::{process, seqpacket};

/// How long a new launcher has until it answers.
const START: Duration = Duration::from_secs(10);
/// How long an answer may take.
const ANSWER: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

impl Runtime {
    /// A connection to a launcher of this build. One of another build is retired: what it has started
    /// does not need it.
    pub(super) fn connect_launcher(&self) -> Result<OwnedFd, RuntimeError> {
        // One at a time, or two would be started.
        let _alone = self.inner.launcher.lock().unwrap_or_else(PoisonError::into_inner);
        let run = &self.inner.instance.run;
        match hello(run) {
            Ok(build) if build == protocol::build() => {
                return seqpacket::connect(run, SOCKET).map_err(|error| self.no_launcher(&error));
            }
            Ok(_) => {
                let _gone = request(run, &Request::Retire);
            }
            Err(_) => {}
        }
        self.start_launcher()
    }

    /// Sends the launcher a packet about the container with the record `dir`.
    pub(super) fn tell_launcher(
        &self,
        packet: &[u8],
        fds: &[BorrowedFd<'_>],
        dir: &Path,
    ) -> Result<OwnedFd, RuntimeError> {
        let send = |socket: &OwnedFd| seqpacket::send(socket, packet, fds);
        // The launcher is nearly always there, and of this build since the daemon's start: only if it is
        // not there is one looked for.
        if let Ok(socket) = seqpacket::connect(&self.inner.instance.run, SOCKET)
            && send(&socket).is_ok()
        {
            return Ok(socket);
        }
        let socket = self.connect_launcher()?;
        send(&socket).map_err(|source| failed("hand over", dir, source))?;
        Ok(socket)
    }

    fn start_launcher(&self) -> Result<OwnedFd, RuntimeError> {
        let instance = &self.inner.instance;
        let path = instance.run.join("launcher.log");
        let log = File::options()
            .create(true)
            .append(true)
            .open(&path)
            // What an earlier one said has been read or never will be.
            .and_then(|log| log.set_len(0).map(|()| log))
            .map_err(|source| RuntimeError::File {
                what: "open the log",
                path: path.clone(),
                source,
            })?;
        let args = [
            "launcher".as_ref(),
            "--root".as_ref(),
            instance.root.as_os_str(),
            "--run".as_ref(),
            instance.run.as_os_str(),
        ];
        let mut child = process::spawn_detached(&self.inner.executable, args, log)
            .map_err(|error| self.no_launcher(&error))?;
        let deadline = Instant::now() + START;
        loop {
            match hello(&instance.run) {
                Ok(build) if build == protocol::build() => break,
                Ok(build) => {
                    let error = io::Error::other(format!("it is of another build: {build}"));
                    return Err(self.no_launcher(&error));
                }
                Err(error) if Instant::now() > deadline => return Err(self.no_launcher(&error)),
                Err(_) => {}
            }
            if let Ok(Some(status)) = child.try_wait() {
                let said = std::fs::read_to_string(&path).unwrap_or_default();
                let said = said.lines().last().unwrap_or_default();
                let error = io::Error::other(format!("it ended at once ({status}) {said}"));
                return Err(self.no_launcher(&error));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        // Somebody must wait for it when it ends, or it stays as a zombie of the daemon.
        let _detached = std::thread::Builder::new()
            .name("launcher".to_owned())
            .stack_size(64 * 1024)
            .spawn(move || child.wait());
        seqpacket::connect(&instance.run, SOCKET).map_err(|error| self.no_launcher(&error))
    }

    fn no_launcher(&self, error: &io::Error) -> RuntimeError {
        RuntimeError::Launcher { executable: self.inner.executable.clone(), why: error.to_string() }
    }

    /// Ends the launcher. Containers run on; the next start begins another one.
    ///
    /// # Errors
    /// If it runs and does not answer.
    pub async fn retire_launcher(&self) -> Result<(), RuntimeError> {
        let runtime = self.clone();
        super::blocking(move || match request(&runtime.inner.instance.run, &Request::Retire) {
            Ok(_) => Ok(()),
            Err(error) if is_absent(&error) => Ok(()),
            Err(error) => Err(runtime.no_launcher(&error)),
        })
        .await
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::UnexpectedEof
    )
}

/// What the launcher that listens was built from.
fn hello(run: &Path) -> io::Result<String> {
    match request(run, &Request::Hello)? {
        Reply::Hello { build, .. } => Ok(build),
        other => Err(io::Error::other(format!("it answers {other:?}"))),
    }
}

fn request(run: &Path, request: &Request) -> io::Result<Reply> {
    let socket = seqpacket::connect(run, SOCKET)?;
    seqpacket::send(socket.as_fd(), &protocol::packet(request), &[])?;
    let mut fds = [PollFd::new(&socket, PollFlags::IN)];
    if poll(&mut fds, Some(&ANSWER))? == 0 {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let mut buffer = [0; 1024];
    let (length, _) = seqpacket::receive(&socket, &mut buffer)?;
    if length == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    protocol::unpack(&buffer[..length]).map_err(io::Error::other)
}
