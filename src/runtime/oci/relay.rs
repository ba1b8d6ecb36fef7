//! Waiting for a program in the foreground: signals go to it, and what the caller's terminal says.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions};
use rustix::termios::{OptionalActions, Termios};

use super::super::shim::exit_code;
use super::error::{Context as _, Result};
use crate::sys::{seqpacket, signals};

/// How much is passed on at once, in bytes.
const CHUNK: usize = 16 * 1024;

/// The signals of this process, held back for the program from before it is made.
pub(super) struct Watch {
    signals: SignalFd,
}

impl Watch {
    /// Holds all signals back; also takes in the orphans of the program, whose ends somebody must
    /// hear of.
    pub(super) fn begin() -> Result<Self> {
        signals::block_all();
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .cannot(|| "watch over the program")?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&SigSet::all(), flags)
            .map_err(io::Error::from)
            .cannot(|| "wait for signals")?;
        Ok(Self { signals })
    }

    /// Waits until the process has ended; its exit status as a shell shows it.
    pub(super) fn until_end(
        self,
        pidfd: &OwnedFd,
        pid: i32,
        terminal: Option<&OwnedFd>,
    ) -> Result<u8> {
        let mut relay = terminal.map(Relay::begin).transpose()?;
        loop {
            let (ended, ready) = self.wait(pidfd, relay.as_ref())?;
            self.pass_on(pidfd, relay.as_ref());
            if let Some(relay) = &mut relay {
                relay.pass_on(ready);
            }
            if ended {
                if let Some(relay) = &mut relay {
                    relay.drain();
                }
                return status(pid);
            }
        }
    }

    /// Whether the process has ended, and whether the caller's and the program's side have something.
    fn wait(&self, pidfd: &OwnedFd, relay: Option<&Relay<'_>>) -> Result<(bool, [bool; 2])> {
        let stdin = rustix::stdio::stdin();
        let mut fds = vec![
            PollFd::new(pidfd, PollFlags::IN),
            PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
        ];
        if let Some(relay) = relay {
            if !relay.output_ended {
                fds.push(PollFd::new(relay.terminal, PollFlags::IN));
            }
            if !relay.input_ended {
                fds.push(PollFd::from_borrowed_fd(stdin, PollFlags::IN));
            }
        }
        match poll(&mut fds, None) {
            Err(Errno::INTR) => return Ok((false, [false; 2])),
            polled => polled.cannot(|| "wait for the program")?,
        };
        let has = |fd: i32| {
            fds.iter().skip(2).any(|one| one.as_fd().as_raw_fd() == fd && !one.revents().is_empty())
        };
        let program = relay.is_some_and(|relay| has(relay.terminal.as_raw_fd()));
        Ok((!fds[0].revents().is_empty(), [has(stdin.as_raw_fd()), program]))
    }

    fn pass_on(&self, pidfd: &OwnedFd, relay: Option<&Relay<'_>>) {
        while let Ok(Some(info)) = self.signals.read_signal() {
            let Ok(signal) = i32::try_from(info.ssi_signo) else { continue };
            match Signal::try_from(signal) {
                Ok(Signal::SIGCHLD | Signal::SIGTTIN | Signal::SIGTTOU | Signal::SIGPIPE) => {}
                Ok(Signal::SIGWINCH) => {
                    if let Some(relay) = relay {
                        relay.resize();
                    }
                }
                // It may have ended: then that is next.
                _ => drop(signals::kill_pidfd(pidfd.as_fd(), signal)),
            }
        }
    }
}

/// Reaps orphans until the process itself is there.
fn status(pid: i32) -> Result<u8> {
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((found, status))) if Some(found) == Pid::from_raw(pid) => {
                return Ok(u8::try_from(exit_code(status)).unwrap_or(u8::MAX));
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).cannot(|| "wait for the program"),
        }
    }
}

/// The caller's terminal and the program's, connected.
struct Relay<'a> {
    terminal: &'a OwnedFd,
    before: Option<Termios>,
    input_ended: bool,
    output_ended: bool,
}

impl<'a> Relay<'a> {
    fn begin(terminal: &'a OwnedFd) -> Result<Self> {
        seqpacket::set_nonblocking(terminal, true).cannot(|| "use the terminal")?;
        let stdin = rustix::stdio::stdin();
        // What the program's terminal makes of a key must be made of it only once.
        let before = rustix::termios::tcgetattr(stdin).ok();
        if let Some(before) = &before {
            let mut raw = before.clone();
            raw.make_raw();
            rustix::termios::tcsetattr(stdin, OptionalActions::Now, &raw)
                .cannot(|| "use the terminal")?;
        }
        let relay = Self { terminal, before, input_ended: false, output_ended: false };
        relay.resize();
        Ok(relay)
    }

    fn resize(&self) {
        if let Ok(size) = rustix::termios::tcgetwinsize(rustix::stdio::stdin()) {
            let _ignored = rustix::termios::tcsetwinsize(self.terminal, size);
        }
    }

    fn pass_on(&mut self, [input, output]: [bool; 2]) {
        let mut buffer = [0; CHUNK];
        if output {
            self.output(&mut buffer);
        }
        if input {
            match rustix::io::read(rustix::stdio::stdin(), &mut buffer) {
                Ok(0) | Err(Errno::IO | Errno::BADF) => {
                    self.input_ended = true;
                    // A file has ended: the program reads that as the key for it.
                    write_all(self.terminal, &[4]);
                }
                Ok(length) => write_all(self.terminal, &buffer[..length]),
                Err(_) => {}
            }
        }
    }

    /// Whether there was something.
    fn output(&mut self, buffer: &mut [u8]) -> bool {
        match rustix::io::read(self.terminal, &mut *buffer) {
            Ok(length @ 1..) => {
                write_all(rustix::stdio::stdout(), &buffer[..length]);
                true
            }
            Err(Errno::AGAIN | Errno::INTR) => false,
            // A terminal that nobody has open any more says EIO.
            Ok(0) | Err(_) => {
                self.output_ended = true;
                false
            }
        }
    }

    /// What the program said last.
    fn drain(&mut self) {
        let mut buffer = [0; CHUNK];
        while !self.output_ended && self.output(&mut buffer) {}
    }
}

impl Drop for Relay<'_> {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let stdin = rustix::stdio::stdin();
            let _ignored = rustix::termios::tcsetattr(stdin, OptionalActions::Now, before);
        }
    }
}

/// As much as the other side takes; it may be gone.
fn write_all(to: impl std::os::fd::AsFd, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match rustix::io::write(&to, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let _tried_again = poll(&mut [PollFd::new(&to, PollFlags::OUT)], None);
            }
            Err(_) => return,
        }
    }
}
