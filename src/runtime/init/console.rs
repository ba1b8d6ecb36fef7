//! The terminal of a container: made in its own devpts.

use std::os::fd::OwnedFd;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::OpenTreeFlags;
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use super::failure::{Doing as _, Failure};
use super::rootfs::attach;

/// The two ends of a terminal.
pub(in crate::runtime) struct Terminal {
    /// Whose holder is the person.
    pub master: OwnedFd,
    /// Whose holder is the program.
    pub slave: OwnedFd,
}

/// Makes a terminal in the devpts that `pts` is a directory of. The program's end comes from the
/// master itself, never by a path that could have been covered (CVE-2025-52565).
pub(in crate::runtime) fn open(
    pts: &OwnedFd,
    size: Option<(u16, u16)>,
) -> Result<Terminal, Failure> {
    let doing = || "make a terminal";
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let master = rustix::fs::openat(pts, c"ptmx", flags, Mode::empty()).doing(doing)?;
    rustix::pty::unlockpt(&master).doing(doing)?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags).doing(doing)?;
    if let Some((rows, columns)) = size {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&master, size).doing(doing)?;
    }
    Ok(Terminal { master, slave })
}

/// Shows the terminal as `/dev/console`.
pub(super) fn show(dev: &OwnedFd, terminal: &Terminal) -> Result<(), Failure> {
    let doing = || "make /dev/console";
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(dev, c"console", flags, Mode::from_raw_mode(0o620)).doing(doing)?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = rustix::mount::open_tree(&terminal.slave, c"", flags).doing(doing)?;
    attach(&tree, dev, c"console").doing(doing)
}

/// What a program reads from and writes to.
pub(in crate::runtime) struct Stdio {
    /// Standard input, output and error.
    pub streams: [OwnedFd; 3],
    /// Whether they are a terminal, which becomes the session's.
    pub terminal: bool,
}

impl Stdio {
    /// All three are the terminal.
    pub(in crate::runtime) fn of_terminal(slave: OwnedFd) -> Result<Self, Failure> {
        let copy = || slave.try_clone().doing(|| "use the terminal");
        Ok(Self { streams: [copy()?, copy()?, slave], terminal: true })
    }

    /// Puts them in place and makes the terminal the session's.
    pub(super) fn install(&self) -> Result<(), Failure> {
        let doing = || "connect input and output";
        let [input, output, error] = &self.streams;
        rustix::stdio::dup2_stdin(input).doing(doing)?;
        rustix::stdio::dup2_stdout(output).doing(doing)?;
        rustix::stdio::dup2_stderr(error).doing(doing)?;
        if self.terminal {
            rustix::process::ioctl_tiocsctty(input).doing(|| "control the terminal")?;
        }
        Ok(())
    }
}

/// The host's `/dev/null`, checked to be just that.
///
/// # Errors
/// If it cannot be opened, or is something else.
pub(in crate::runtime) fn null() -> Result<OwnedFd, Failure> {
    let doing = || "open /dev/null";
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOCTTY;
    let null = rustix::fs::openat(CWD, c"/dev/null", flags, Mode::empty()).doing(doing)?;
    let stat = rustix::fs::fstat(&null).doing(doing)?;
    if stat.st_rdev != rustix::fs::makedev(1, 3) {
        return Err(Failure::new("the host's /dev/null is not the null device"));
    }
    Ok(null)
}
