//! Why a program could not be started, as it travels from the container's first process to its shim.

use std::fmt::Display;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::super::wire::{self, Wire, WireError};
use crate::sys::seqpacket;

/// The exit status of a container that could not be made, as Docker's.
pub(in crate::runtime) const CANNOT_MAKE: i32 = 128;
/// The exit status of a program that is there and cannot be run, as a shell's.
pub(in crate::runtime) const CANNOT_RUN: i32 = 126;
/// The exit status of a program that is not there, as a shell's.
pub(in crate::runtime) const NOT_FOUND: i32 = 127;

/// The longest message, in characters.
const MAX_MESSAGE: usize = 1000;

/// The exit status and the sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::runtime) struct Failure {
    /// [`CANNOT_MAKE`] and the like.
    pub code: i32,
    /// What could not be done, and why.
    pub message: String,
}

impl Failure {
    /// A container that cannot be made.
    pub(in crate::runtime) fn new(message: impl Into<String>) -> Self {
        Self { code: CANNOT_MAKE, message: message.into() }
    }

    /// Writes it to a pipe. Whoever does not listen does not need to know.
    pub(in crate::runtime) fn write(&self, to: impl AsFd) {
        let _ignored = rustix::io::write(to, &wire::encode(&Report::Failed(self.clone())));
    }

    /// With a message that fits in a packet: a hostile image can have very long paths.
    fn bounded(&self) -> Self {
        let message = self.message.chars().take(MAX_MESSAGE).collect();
        Self { code: self.code, message }
    }
}

/// Turns an error into a [`Failure`] that says what was being done.
pub(in crate::runtime) trait Doing<T> {
    /// `what` completes "cannot …".
    fn doing<W: Display>(self, what: impl FnOnce() -> W) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing<W: Display>(self, what: impl FnOnce() -> W) -> Result<T, Failure> {
        self.map_err(|error| {
            let error: io::Error = error.into();
            Failure::new(format!("cannot {}: {}", what(), plain(&error)))
        })
    }
}

/// The error as `strerror` has it, without Rust's "(os error 2)".
pub(in crate::runtime) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((text, _)) => {
            let mut letters = text.chars();
            letters.next().map_or_else(String::new, |first| {
                first.to_lowercase().collect::<String>() + letters.as_str()
            })
        }
        None => text,
    }
}

/// What the first process tells its shim before it becomes the program. The end of the connection
/// says that it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::runtime) enum Report {
    /// Here is the terminal.
    Terminal,
    /// It cannot be done.
    Failed(Failure),
    /// The mounts are there, and the parent may run its hooks.
    Mounted,
    /// Everything is there but the program, which waits to be started.
    Created,
    /// The filter of system calls asks through this descriptor of the first process.
    Listener(i32),
}

impl Wire for Report {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Terminal => out.push(0),
            Self::Mounted => out.push(2),
            Self::Created => out.push(3),
            Self::Listener(number) => {
                out.push(4);
                number.put(out);
            }
            Self::Failed(failure) => {
                out.push(1);
                let failure = failure.bounded();
                failure.code.put(out);
                failure.message.put(out);
            }
        }
    }

    fn take(from: &mut &[u8]) -> Result<Self, WireError> {
        match u8::take(from)? {
            0 => Ok(Self::Terminal),
            1 => Ok(Self::Failed(Failure { code: Wire::take(from)?, message: Wire::take(from)? })),
            2 => Ok(Self::Mounted),
            3 => Ok(Self::Created),
            4 => Ok(Self::Listener(Wire::take(from)?)),
            _ => Err(WireError::Invalid),
        }
    }
}

impl Report {
    /// Tells of the descriptor that a filter asks through, if there is one.
    ///
    /// # Errors
    /// If that cannot be told.
    pub(in crate::runtime) fn tell_listener(
        listener: Option<&OwnedFd>,
        to: impl AsFd,
    ) -> Result<(), Failure> {
        use std::os::fd::AsRawFd as _;
        listener.map_or(Ok(()), |listener| Self::Listener(listener.as_raw_fd()).write(to))
    }

    /// Sends it with nothing but `write`: a filter of system calls may allow no more.
    ///
    /// # Errors
    /// If it cannot be sent.
    pub(in crate::runtime) fn write(&self, to: impl AsFd) -> Result<(), Failure> {
        rustix::io::write(to, &wire::encode(self)).map(drop).doing(|| "report to the runtime")
    }

    /// The failure that was written to a pipe; `None` if there is none.
    pub(in crate::runtime) fn failure(bytes: &[u8]) -> Option<Failure> {
        match wire::decode(bytes) {
            Ok(Self::Failed(failure)) => Some(failure),
            _ => None,
        }
    }

    /// Sends it; whoever does not listen any more does not need to know.
    pub(in crate::runtime) fn send(&self, to: impl AsFd, terminal: Option<&OwnedFd>) {
        let fds = terminal.map(AsFd::as_fd);
        let _ignored = seqpacket::send(to, &wire::encode(self), fds.as_slice());
    }

    /// What the first process says of its failure, if it says anything; for when it is known to have
    /// ended, or to end.
    pub(in crate::runtime) fn last_words(from: impl AsFd) -> Option<Failure> {
        loop {
            match Self::receive(&from) {
                Ok(Some((Self::Failed(failure), _))) => return Some(failure),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return None,
            }
        }
    }

    /// The next report; `None` once the program runs.
    ///
    /// # Errors
    /// If the connection fails.
    pub(in crate::runtime) fn receive(from: impl AsFd) -> io::Result<Option<(Self, Vec<OwnedFd>)>> {
        let mut buffer = [0_u8; 8192];
        let (length, fds) = match seqpacket::receive(&from, &mut buffer) {
            // It ended without having read that it may go on. That is said once, and what it had to
            // say comes after it.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                seqpacket::receive(&from, &mut buffer)?
            }
            received => received?,
        };
        if length == 0 {
            return Ok(None);
        }
        let report = wire::decode(&buffer[..length]).map_err(io::Error::other)?;
        Ok(Some((report, fds)))
    }
}
