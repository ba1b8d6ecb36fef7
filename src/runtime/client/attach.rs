//! Being connected to the streams of a container's own program.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::pipe::PipeFlags;

use super::super::protocol::{Reply, Request};
use super::packets::Packets;
use super::streams::{self, Input, Output};
use super::{Runtime, RuntimeError};
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
    /// The shim shows the streams for as long as this is open.
    _packets: Packets,
}

impl Runtime {
    /// Connects to the streams of a container that runs.
    ///
    /// # Errors
    /// If it does not run, or its shim does not answer.
    pub async fn attach(&self, id: &ContainerId) -> Result<Attach, RuntimeError> {
        let broken = |source: io::Error| RuntimeError::Shim { id: id.clone(), source };
        let pipe = || rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(io::Error::from);
        let (read_out, out) = pipe().map_err(broken)?;
        let (read_err, err) = pipe().map_err(broken)?;
        let packets = self.connect(id, &Request::Attach, &[out.as_fd(), err.as_fd()])?;
        drop((out, err));
        let input = match packets.answer().await.map_err(broken)? {
            (Reply::Done, fds) => fds.into_iter().next(),
            (Reply::Failed(why), _) => return Err(RuntimeError::Refused { id: id.clone(), why }),
            (other, _) => {
                let why = format!("its shim is of another version and answers {other:?}");
                return Err(RuntimeError::Refused { id: id.clone(), why });
            }
        };
        Attach::new(input, read_out, read_err, packets).map_err(broken)
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
    fn new(
        input: Option<OwnedFd>,
        out: OwnedFd,
        err: OwnedFd,
        packets: Packets,
    ) -> io::Result<Self> {
        Ok(Self {
            stdin: input.map(streams::input).transpose()?,
            stdout: streams::output(out)?,
            stderr: streams::output(err)?,
            _packets: packets,
        })
    }

    /// Sets the size of the terminal; nothing if there is none.
    ///
    /// # Errors
    /// As `ioctl(2)`'s.
    pub fn resize(&self, rows: u16, columns: u16) -> io::Result<()> {
        self.stdin.as_ref().map_or(Ok(()), |input| input.resize(rows, columns))
    }
}
