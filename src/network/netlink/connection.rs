//! Asking the kernel and reading its answers.

use std::io;

use super::{Attributes, Batch, text};
use crate::sys::netlink::{NetlinkFamily, NetlinkSocket};

const ERROR: u16 = 2;
const DONE: u16 = 3;
const DUMP_INTERRUPTED: u16 = 0x10;
const CAPPED: u16 = 0x100;
const HAS_REASON: u16 = 0x200;
const REASON: u16 = 1;
/// The kernel makes no answer longer than 32 KiB.
const BUFFER: usize = 64 * 1024;
/// How often a listing is taken again because something changed while it was made.
const DUMP_ATTEMPTS: usize = 5;

/// One message from the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::network) struct Answer {
    /// What it is about.
    pub(in crate::network) kind: u16,
    /// Its flags.
    pub(in crate::network) flags: u16,
    /// The number of the request it answers.
    pub(in crate::network) sequence: u32,
    /// Who asked for what it tells.
    pub(in crate::network) port: u32,
    /// The fixed header and the attributes.
    pub(in crate::network) body: Vec<u8>,
}

impl Answer {
    /// The attributes after a fixed header of `header` bytes.
    pub(in crate::network) fn attributes(&self, header: usize) -> Attributes<'_> {
        Attributes(self.body.get(header..).unwrap_or_default())
    }
}

/// A socket and the way to talk over it.
#[derive(Debug)]
pub(in crate::network) struct Connection {
    socket: NetlinkSocket,
}

impl Connection {
    /// Opens one in the network namespace of the calling thread.
    pub(in crate::network) fn open(family: NetlinkFamily) -> io::Result<Self> {
        Ok(Self { socket: NetlinkSocket::open(family, 0)? })
    }

    /// The socket.
    pub(in crate::network) fn socket(&self) -> &NetlinkSocket {
        &self.socket
    }

    /// Sends `batch` and returns the error of the first message that failed. Messages for links are
    /// carried out one by one, those of a netfilter transaction all or none.
    pub(in crate::network) fn send(&self, batch: &Batch) -> io::Result<()> {
        self.send_expecting(batch, |_| false)
    }

    /// As [`Connection::send`], but an error for which `allowed` holds counts as done.
    pub(in crate::network) fn send_expecting(
        &self,
        batch: &Batch,
        allowed: impl Fn(&io::Error) -> bool,
    ) -> io::Result<()> {
        if batch.len() == 0 {
            return Ok(());
        }
        self.socket.send(batch.bytes())?;
        let mut acknowledged = 0;
        let mut first_error = None;
        self.drain(|answer| {
            if answer.kind == ERROR {
                match refusal(answer) {
                    None => acknowledged += 1,
                    Some(error) if allowed(&error) => acknowledged += 1,
                    Some(error) => {
                        first_error.get_or_insert(error);
                    }
                }
            }
        })?;
        match first_error {
            Some(error) => Err(error),
            None if acknowledged < batch.acknowledgements() => {
                Err(io::Error::other("the kernel did not answer a netlink request"))
            }
            None => Ok(()),
        }
    }

    /// Sends the one question in `batch` and returns the messages that answer it. A listing that was
    /// interrupted by a change is taken again.
    pub(in crate::network) fn ask(&self, batch: &Batch) -> io::Result<Vec<Answer>> {
        for _ in 0..DUMP_ATTEMPTS {
            self.socket.send(batch.bytes())?;
            let mut found = Vec::new();
            let mut error = None;
            let mut interrupted = false;
            self.drain(|answer| {
                interrupted |= answer.flags & DUMP_INTERRUPTED != 0;
                match answer.kind {
                    ERROR | DONE => error = error.take().or_else(|| refusal(answer)),
                    _ => found.push(answer.clone()),
                }
            })?;
            if let Some(error) = error {
                return Err(error);
            }
            if !interrupted {
                return Ok(found);
            }
        }
        Err(io::Error::other("what the kernel lists changes faster than it can be read"))
    }

    /// Reads all answers that wait. The kernel makes them within `send`, and the next part of a
    /// listing within `receive`: when nothing waits, nothing comes.
    fn drain(&self, mut each: impl FnMut(&Answer)) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER];
        loop {
            match self.socket.receive(&mut buffer) {
                Ok(length) => answers(&buffer[..length]).for_each(|answer| each(&answer)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// The messages in one datagram.
pub(in crate::network) fn answers(datagram: &[u8]) -> impl Iterator<Item = Answer> + '_ {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let (header, _) = rest.split_first_chunk::<16>()?;
        let word = |at: usize| u32::from_ne_bytes([0, 1, 2, 3].map(|n| header[at + n]));
        let half = |at: usize| u16::from_ne_bytes([header[at], header[at + 1]]);
        let length = usize::try_from(word(0)).ok()?;
        let body = rest.get(16..length)?.to_vec();
        let answer =
            Answer { kind: half(4), flags: half(6), sequence: word(8), port: word(12), body };
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(answer)
    })
}

/// The error that an acknowledgement carries, in the kernel's words where it has some.
fn refusal(answer: &Answer) -> Option<io::Error> {
    let code = answer.body.first_chunk::<4>().map(|code| i32::from_ne_bytes(*code))?;
    if code >= 0 {
        return None;
    }
    let error = io::Error::from_raw_os_error(code.saturating_neg());
    match reason(answer) {
        Some(reason) => Some(io::Error::new(error.kind(), Refused { error, reason })),
        None => Some(error),
    }
}

fn reason(answer: &Answer) -> Option<String> {
    if answer.flags & HAS_REASON == 0 {
        return None;
    }
    let request = answer.body.get(4..)?;
    let length = usize::try_from(u32::from_ne_bytes(*request.first_chunk::<4>()?)).ok()?;
    let skip = if answer.flags & CAPPED != 0 { 16 } else { length.next_multiple_of(4) };
    let reason = Attributes(request.get(skip..)?).get(REASON).and_then(text)?;
    Some(reason.to_owned())
}

/// An error number and what the kernel says beside it.
#[derive(Debug, thiserror::Error)]
#[error("{error}: {reason}")]
struct Refused {
    #[source]
    error: io::Error,
    reason: String,
}

/// The error number in `error`, also where the kernel gave a reason in words.
pub(in crate::network) fn error_number(error: &io::Error) -> Option<i32> {
    error.raw_os_error().or_else(|| {
        let refused = error.get_ref()?.downcast_ref::<Refused>()?;
        refused.error.raw_os_error()
    })
}
