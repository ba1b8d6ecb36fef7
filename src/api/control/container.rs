//! Calls about containers.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::model::{Boottime, Timestamp};

/// Which part of a log, and for how long.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Only the last lines; `None` is all.
    pub tail: Option<u64>,
    /// Nothing before this.
    pub since: Option<Timestamp>,
    /// Nothing from this on; the stream ends there.
    pub until: Option<Timestamp>,
    /// Go on with new lines.
    pub follow: bool,
}

/// Which of a program's outputs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum OutputStream {
    /// Standard output, or the terminal.
    #[default]
    Stdout,
    /// Standard error.
    Stderr,
}

/// One line that a container wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogLine {
    /// When.
    pub time: Timestamp,
    /// Where to.
    pub stream: OutputStream,
    /// The line without its end. Not always UTF-8. Very long lines come in parts.
    pub line: Vec<u8>,
    /// Whether the line goes on in the next part.
    pub partial: bool,
}

/// A program to run in a running container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exec {
    /// Program and arguments; never empty.
    pub args: Vec<String>,
    /// `KEY=VALUE`, on top of the container's.
    pub env: Vec<String>,
    /// `user[:group]`; `None` is the container's.
    pub user: Option<String>,
    /// The directory; `None` is the container's.
    pub cwd: Option<String>,
    /// A terminal for the program.
    pub tty: bool,
    /// Whether there will be standard input; else it is empty.
    pub stdin: bool,
    /// All rights.
    pub privileged: bool,
    /// The terminal's size at first.
    pub size: Option<WindowSize>,
    /// Leave it alone: no input, no output, and it outlives the session, which ends at once with
    /// status 0 when the program could be started.
    pub detach: bool,
}

/// What to connect to in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attach {
    /// Whether there will be standard input.
    pub stdin: bool,
    /// The terminal's size at first.
    pub size: Option<WindowSize>,
}

/// A program to run in a container of its own, which is a service of the stack that comes with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Run {
    /// The service.
    pub service: String,
    /// Whether there will be standard input.
    pub stdin: bool,
    /// The terminal's size at first, if it has one.
    pub size: Option<WindowSize>,
    /// Leave it alone once it runs: the session ends at once with status 0 when it could be started.
    pub detach: bool,
}

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WindowSize {
    /// Lines.
    pub rows: u16,
    /// Columns.
    pub columns: u16,
}

/// A program that runs, with both ends of a conversation. When `output`'s sender is dropped without
/// [`SessionOutput::Exited`], the program was lost sight of. When the caller drops `input`, it has
/// gone away: a program started by the session is hung up, an attached container goes on.
#[derive(Debug)]
pub struct Session {
    /// Whether the program has a terminal.
    pub tty: bool,
    /// To the program. Bounded: a full channel makes the caller wait.
    pub input: mpsc::Sender<SessionInput>,
    /// From the program. Bounded: a slow caller makes the program wait.
    pub output: mpsc::Receiver<SessionOutput>,
}

/// What goes to a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionInput {
    /// Standard input.
    Stdin(Vec<u8>),
    /// Standard input ends here.
    CloseStdin,
    /// The terminal has a new size.
    Resize(WindowSize),
    /// Send a signal: `SIGINT`, `INT` or `2`.
    Signal(String),
}

/// What comes from a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionOutput {
    /// Standard output, or the terminal.
    Stdout(Vec<u8>),
    /// Standard error.
    Stderr(Vec<u8>),
    /// It ended, with this status as a shell shows it. Always the last.
    Exited(i32),
}

/// What a container uses at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// When it was read.
    pub at: Boottime,
    /// CPU time since its start.
    pub cpu: Duration,
    /// Memory in bytes, without page cache that can be dropped at once.
    pub memory: u64,
    /// The most memory it may use, in bytes.
    pub memory_limit: Option<u64>,
    /// Processes and threads.
    pub pids: u64,
    /// The most processes and threads it may have.
    pub pids_limit: Option<u64>,
    /// Bytes received on all interfaces but `lo`.
    pub network_received: u64,
    /// Bytes sent on all interfaces but `lo`.
    pub network_sent: u64,
    /// Bytes read from block devices.
    pub block_read: u64,
    /// Bytes written to block devices.
    pub block_written: u64,
}

/// One process of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Process {
    /// In the host's view.
    pub pid: u32,
    /// The parent in the host's view.
    pub parent: u32,
    /// The user's number in the host's view.
    pub uid: u32,
    /// CPU time so far.
    pub cpu: Duration,
    /// For how long it has run.
    pub age: Duration,
    /// Program and arguments, as one line.
    pub command: String,
}
