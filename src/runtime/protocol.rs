//! The messages between the daemon and the launcher or a shim.
//!
//! Each is one packet: magic, version, then the message. A shim outlives the daemon that started it,
//! so messages to shims only ever gain kinds; an old shim answers [`Reply::Unknown`] to those.

use super::wire::{self, Wire, WireError, wire_struct};

const MAGIC: [u8; 4] = *b"orca";
/// The version of the packets to and from shims.
const VERSION: u8 = 1;

/// What the daemon asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    /// To the launcher: who are you?
    Hello,
    /// To the launcher: end. Containers stay.
    Retire,
    /// To the launcher: start a container. With a descriptor of the plan's bytes and those of the
    /// plan. The connection is then as after `Watch`.
    Start {
        /// The length of the plan.
        length: u64,
    },
    /// To a shim: tell me what there is and whatever changes, until the connection ends.
    Watch,
    /// To a shim: send this signal to the container's first process.
    Signal(i32),
    /// To a shim: send this signal, and kill everything after the grace in milliseconds.
    Stop {
        /// The signal.
        signal: i32,
        /// Milliseconds.
        grace: u64,
    },
    /// To a shim: freeze.
    Pause,
    /// To a shim: thaw.
    Resume,
    /// To a shim: run a program in the container. With a descriptor of the plan's bytes and those of
    /// the plan. Answered by [`Reply::ExecStarted`] and then [`Reply::ExecEnded`]; closing the
    /// connection kills the program.
    Exec {
        /// The length of the plan.
        length: u64,
    },
    /// To a shim: copy output to the descriptors that come along (one with a terminal, else standard
    /// output and error). Answered by `Done` with a descriptor to write standard input to, if it is
    /// held open (the terminal itself, with one).
    Attach,
    /// To a shim: close standard input.
    CloseStdin,
}

/// What the launcher or a shim answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// Done.
    Done,
    /// It cannot be done: why.
    Failed(String),
    /// The request is not known here.
    Unknown,
    /// The launcher: its build, and its process.
    Hello {
        /// What it was built from.
        build: String,
        /// Its process.
        pid: i32,
    },
    /// How the container is doing. Sent on `Watch` and on each change.
    Status(Status),
    /// The program runs; its process in the host's view. With the terminal, if there is one.
    ExecStarted(i32),
    /// The program could not be run: the exit status that says so, and why.
    ExecFailed(i32, String),
    /// The program ended, with this status.
    ExecEnded(i32),
}

/// How a container is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Status {
    /// Its first process in the host's view; 0 before the program runs.
    pub pid: i32,
    /// When it started, on the boot clock, in nanoseconds.
    pub since: u64,
    /// Whether it has been asked to end.
    pub stopping: bool,
    /// Whether it is frozen.
    pub paused: bool,
    /// Whether it has ended; how is in its record.
    pub ended: bool,
}
wire_struct!(Status { pid, since, stopping, paused, ended });

impl Wire for Request {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Hello => out.push(0),
            Self::Retire => out.push(1),
            Self::Start { length } => {
                out.push(2);
                length.put(out);
            }
            Self::Watch => out.push(3),
            Self::Signal(signal) => {
                out.push(4);
                signal.put(out);
            }
            Self::Stop { signal, grace } => {
                out.push(5);
                signal.put(out);
                grace.put(out);
            }
            Self::Pause => out.push(6),
            Self::Resume => out.push(7),
            Self::Exec { length } => {
                out.push(8);
                length.put(out);
            }
            Self::Attach => out.push(9),
            Self::CloseStdin => out.push(10),
        }
    }

    fn take(from: &mut &[u8]) -> Result<Self, WireError> {
        Ok(match u8::take(from)? {
            0 => Self::Hello,
            1 => Self::Retire,
            2 => Self::Start { length: Wire::take(from)? },
            3 => Self::Watch,
            4 => Self::Signal(Wire::take(from)?),
            5 => Self::Stop { signal: Wire::take(from)?, grace: Wire::take(from)? },
            6 => Self::Pause,
            7 => Self::Resume,
            8 => Self::Exec { length: Wire::take(from)? },
            9 => Self::Attach,
            10 => Self::CloseStdin,
            _ => return Err(WireError::Invalid),
        })
    }
}

impl Wire for Reply {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Done => out.push(0),
            Self::Failed(why) => {
                out.push(1);
                why.put(out);
            }
            Self::Unknown => out.push(2),
            Self::Hello { build, pid } => {
                out.push(3);
                build.put(out);
                pid.put(out);
            }
            Self::Status(status) => {
                out.push(4);
                status.put(out);
            }
            Self::ExecStarted(pid) => {
                out.push(5);
                pid.put(out);
            }
            Self::ExecFailed(code, why) => {
                out.push(6);
                code.put(out);
                why.put(out);
            }
            Self::ExecEnded(code) => {
                out.push(7);
                code.put(out);
            }
        }
    }

    fn take(from: &mut &[u8]) -> Result<Self, WireError> {
        Ok(match u8::take(from)? {
            0 => Self::Done,
            1 => Self::Failed(Wire::take(from)?),
            2 => Self::Unknown,
            3 => Self::Hello { build: Wire::take(from)?, pid: Wire::take(from)? },
            4 => Self::Status(Wire::take(from)?),
            5 => Self::ExecStarted(Wire::take(from)?),
            6 => Self::ExecFailed(Wire::take(from)?, Wire::take(from)?),
            7 => Self::ExecEnded(Wire::take(from)?),
            _ => return Err(WireError::Invalid),
        })
    }
}

/// A message as one packet.
pub(super) fn packet(message: &impl Wire) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.push(VERSION);
    message.put(&mut out);
    out
}

/// The message in a packet.
pub(super) fn unpack<T: Wire>(packet: &[u8]) -> Result<T, WireError> {
    let message = packet.strip_prefix(&MAGIC).ok_or(WireError::Invalid)?;
    match message.split_first() {
        Some((&VERSION, message)) => wire::decode(message),
        _ => Err(WireError::Invalid),
    }
}

/// What this binary was built from: a launcher of another build is replaced.
pub(super) fn build() -> String {
    format!("{}+{}", env!("CARGO_PKG_VERSION"), super::plan::VERSION)
}
