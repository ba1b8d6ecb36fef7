//! The messages between the daemon and the launcher or a shim.
//!
//! Each is one packet: magic, version, then the message. A shim outlives the daemon that started it, and
//! talks to daemons of later and earlier builds. So messages to and from shims only ever gain kinds, and
//! fields at their end, which whoever does not know them leaves out; an old shim answers
//! [`Reply::Unknown`] to kinds it does not know. What changes with each build, the plans, goes to the
//! launcher alone, which is always of the daemon's own build.

use super::wire::{Wire, WireError, wire_struct};

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
    /// To the launcher: run a program in a container. With a descriptor of the order's bytes and those of
    /// the order. Answered by [`Reply::ExecStarted`] and then [`Reply::ExecEnded`]; closing the
    /// connection kills the program, unless it is detached.
    Exec {
        /// The length of the order.
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
        // What follows are fields of a later build.
        Some((&VERSION, mut message)) => T::take(&mut message),
        _ => Err(WireError::Invalid),
    }
}

/// What this binary was built from: a launcher of another build is replaced.
pub(super) fn build() -> String {
    format!("{}+{}", env!("CARGO_PKG_VERSION"), super::plan::VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(message: &impl Wire, bytes: &[u8]) {
        assert_eq!(packet(message), [b"orca\x01", bytes].concat());
    }

    /// Shims of every build understand these: a test that fails here is an upgrade that loses containers.
    #[test]
    fn messages_to_and_from_shims_are_the_bytes_they_always_were() {
        recorded(&Request::Watch, &[3]);
        recorded(&Request::Signal(15), &[4, 15, 0, 0, 0]);
        recorded(
            &Request::Stop { signal: 9, grace: 10_000 },
            &[5, 9, 0, 0, 0, 0x10, 0x27, 0, 0, 0, 0, 0, 0],
        );
        recorded(&Request::Pause, &[6]);
        recorded(&Request::Resume, &[7]);
        recorded(&Request::Attach, &[9]);
        recorded(&Request::CloseStdin, &[10]);
        recorded(&Reply::Done, &[0]);
        recorded(&Reply::Failed("no".to_owned()), &[1, 2, 0, 0, 0, b'n', b'o']);
        recorded(&Reply::Unknown, &[2]);
        let status = Status { pid: 258, since: 3, stopping: true, paused: false, ended: true };
        let bytes = [4, 2, 1, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1];
        recorded(&Reply::Status(status), &bytes);
    }

    #[test]
    fn fields_of_a_later_build_are_left_out_and_its_kinds_are_told_apart() {
        let mut later = packet(&Reply::Status(Status { pid: 7, ..Status::default() }));
        later.extend([1, 2, 3]);
        let known = unpack::<Reply>(&later).unwrap();
        assert_eq!(known, Reply::Status(Status { pid: 7, ..Status::default() }));
        assert_eq!(unpack::<Request>(b"orca\x01\xc8"), Err(WireError::Invalid));
        assert_eq!(unpack::<Request>(b"orca\x02\x03"), Err(WireError::Invalid));
    }
}
