//! Containers: programs inside, logs, what they use.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tracing::debug;

use super::Daemon;
use crate::api::control::{
    Answer, Attach, ControlError, ErrorKind, Exec, LogLine, LogOptions, OutputStream, Process,
    Session, SessionInput, SessionOutput, Usage,
};
use crate::engine::linux::LinuxHost;
use crate::model::{ContainerId, TaskId};
use crate::runtime::RuntimeError;

/// How many messages of a session wait for a slow side.
const SESSION_MAX: usize = 64;

/// How many lines of a log wait for a slow reader.
const LINES_MAX: usize = 1024;

/// The largest piece of output in one message.
const PIECE: usize = 32 << 10;
