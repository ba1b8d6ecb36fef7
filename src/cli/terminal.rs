//! The user's terminal: its size, its raw mode while a program in a container has it, and how it hides
//! passwords.

use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use crate::api::control::WindowSize;

/// The size of the terminal that `stream` is, if it is one that has a size.
pub(super) fn size(stream: impl AsFd) -> Option<WindowSize> {
    let size = tcgetwinsize(stream).ok()?;
    let known = size.ws_row > 0 && size.ws_col > 0;
    known.then_some(WindowSize { rows: size.ws_row, columns: size.ws_col })
}

/// Whether standard input is a terminal.
pub(super) fn input_is_terminal() -> bool {
    io::stdin().is_terminal()
}

/// Every key goes to the program as it is, until this is dropped.
#[derive(Debug)]
pub(super) struct RawMode {
    before: Termios,
}

impl RawMode {
    /// Puts standard input into raw mode.
    ///
    /// # Errors
    /// If it is not a terminal.
    pub(super) fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Self { before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // The terminal is gone if this fails.
        let _gone = tcsetattr(io::stdin(), OptionalActions::Now, &self.before).is_err();
    }
}

/// What is typed is not shown, until this is dropped.
#[derive(Debug)]
pub(super) struct Hidden {
    before: Termios,
}

impl Hidden {
    /// Hides what is typed on standard input.
    ///
    /// # Errors
    /// If it is not a terminal.
    pub(super) fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &hidden)?;
        Ok(Self { before })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // The terminal is gone if this fails.
        let _gone = tcsetattr(io::stdin(), OptionalActions::Now, &self.before).is_err();
    }
}
