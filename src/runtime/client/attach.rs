//! Being connected to the streams of a container's own program.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use rustix::pipe::PipeFlags;

use super::super::protocol::{Reply, Request};
use super::super::record;
use super::packets::Packets;
use super::streams::{self, Input, Output};
use super::{ContainerPhase, Ending, Runtime, RuntimeError};
use crate::model::ContainerId;

/// The streams of a container's own program, from now on. The log gets everything all the same.
///
/// Read what is there: the container waits for a reader that is slow, and lets go of one that has not
/// read for ten seconds.
#[derive(Debug)]
pub struct Attach {
    /// What the program reads, if its input is held open. Dropping it does not end the input: see
    /// [`Runtime::close_stdin`].
    pub stdin: Option<Input>,
    /// What it writes; with a terminal, all of it. Ends with the program.
    pub stdout: Output,
    /// What it writes to standard error.
    pub stderr: Output,
    /// Its end.
    pub ending: Ending,
    /// The shim shows the streams for as long as this is kept.
    pub held: Held,
}

/// A connection that is only kept open.
#[derive(Debug)]
pub struct Held {
    _packets: Packets,
}

/// An attach that has been asked for.
#[derive(Debug)]
pub(super) struct Asked {
    packets: Packets,
    out: OwnedFd,
    err: OwnedFd,
}

/// Asks the shim of the record `dir` to be attached. Its socket may be there before it is: it then
/// answers as its first thing, so that nothing of the output is missed.
pub(super) fn ask(dir: &Path) -> io::Result<Asked> {
    let pipe = || rustix::pipe::pipe_with(PipeFlags::CLOEXEC);
    let (read_out, out) = pipe()?;
    let (read_err, err) = pipe()?;
    let packets = Packets::ask(dir, record::SOCKET, &Request::Attach, &[out.as_fd(), err.as_fd()])?;
    Ok(Asked { packets, out: read_out, err: read_err })
}

impl Asked {
    /// Waits until it is done.
    pub(super) async fn attached(self, ending: Ending) -> io::Result<Attach> {
        let input = match self.packets.answer().await? {
            (Reply::Done, fds) => fds.into_iter().next(),
            (Reply::Failed(why), _) => return Err(io::Error::other(why)),
            (other, _) => {
                return Err(io::Error::other(format!("the shim answers {other:?}")));
            }
        };
        Ok(Attach {
            stdin: input.map(streams::input).transpose()?,
            stdout: streams::output(self.out)?,
            stderr: streams::output(self.err)?,
            ending,
            held: Held { _packets: self.packets },
        })
    }
}

impl Runtime {
    /// Connects to the streams of a container that runs.
    ///
    /// # Errors
    /// If it does not run, or its shim does not answer.
    pub async fn attach(&self, id: &ContainerId) -> Result<Attach, RuntimeError> {
        let broken = |source: io::Error| RuntimeError::Shim { id: id.clone(), source };
        if matches!(self.entry(id)?.phase, ContainerPhase::Exited(_)) {
            return Err(RuntimeError::NotRunning(id.clone()));
        }
        let ending = self.ending(id)?;
        let asked = ask(&self.record_dir(id)).map_err(broken)?;
        asked.attached(ending).await.map_err(broken)
    }

    /// Ends the input of a container's own program; nothing if that is a terminal.
    ///
    /// # Errors
    /// As [`Runtime::attach`].
    pub async fn close_stdin(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.ask(id, &Request::CloseStdin).await
    }
}

impl Attach {
    /// Sets the size of the terminal; nothing if there is none.
    ///
    /// # Errors
    /// As `ioctl(2)`'s.
    pub fn resize(&self, rows: u16, columns: u16) -> io::Result<()> {
        self.stdin.as_ref().map_or(Ok(()), |input| input.resize(rows, columns))
    }
}
