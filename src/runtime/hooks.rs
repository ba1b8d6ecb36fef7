//! Hooks: programs that a container's configuration names, run at moments of its life.
//!
//! They are the only programs of the host that are ever run, and only because somebody who may run
//! them anyway asks for them, by their path.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

/// One hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hook {
    /// When it runs, as the specification names it.
    pub kind: &'static str,
    /// The program.
    pub path: PathBuf,
    /// Its arguments, with its name first; empty is the path alone.
    pub args: Vec<String>,
    /// Its environment; `None` is that of the program it belongs to, or else that of the runtime.
    pub env: Option<Vec<String>>,
    /// How long it may take.
    pub timeout: Option<Duration>,
}

/// What a hook reads from its standard input: the container's state.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HookState {
    /// The version of the specification.
    pub oci_version: String,
    /// The container.
    pub id: String,
    /// Where it is in its life.
    #[serde(default)]
    pub status: Status,
    /// Its first process in the host's view; 0 once that is gone.
    #[serde(default)]
    pub pid: i32,
    /// The directory of its configuration.
    pub bundle: PathBuf,
    /// As in its configuration.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Where a container is in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    /// It is being made.
    #[default]
    Creating,
    /// It is there, and waits to be started.
    Created,
    /// Its program runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// Its program has ended.
    Stopped,
}

impl HookState {
    /// The same container at another moment.
    pub(super) fn with(&self, status: Status, pid: i32) -> Self {
        Self { status, pid, ..self.clone() }
    }
}

/// Runs them, one after the other, until one fails. `env` is for those without an environment.
///
/// # Errors
/// A sentence about the one that failed.
pub(super) fn run(
    hooks: &[Hook],
    state: &HookState,
    env: Option<&[CString]>,
) -> Result<(), String> {
    if hooks.is_empty() {
        return Ok(());
    }
    let state = serde_json::to_vec(state).map_err(|error| error.to_string())?;
    for (number, hook) in hooks.iter().enumerate() {
        one(hook, &state, env).map_err(|why| {
            format!("{} hook {number} ({}) failed: {why}", hook.kind, hook.path.display())
        })?;
    }
    Ok(())
}

fn one(hook: &Hook, state: &[u8], env: Option<&[CString]>) -> Result<(), String> {
    let mut child = spawn(hook, env).map_err(|error| format!("cannot run it: {error}"))?;
    if let Some(mut input) = child.stdin.take() {
        // One that does not read its input is none the worse for it.
        let _unread = input.write_all(state);
    }
    let in_time = wait(&child, hook.timeout).map_err(|error| error.to_string())?;
    if !in_time {
        let _gone = child.kill();
        let _gone = child.wait();
        let seconds = hook.timeout.unwrap_or_default().as_secs();
        return Err(format!("it took longer than {seconds} s"));
    }
    match child.wait() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(status.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

fn spawn(hook: &Hook, env: Option<&[CString]>) -> std::io::Result<Child> {
    #[expect(clippy::disallowed_methods, reason = "the container's configuration names it")]
    let mut command = Command::new(&hook.path);
    let (name, args) = hook.args.split_first().map_or((None, &[][..]), |(n, a)| (Some(n), a));
    command.args(args).stdin(Stdio::piped());
    if let Some(name) = name {
        command.arg0(name);
    }
    match (&hook.env, env) {
        (Some(own), _) => {
            command.env_clear().envs(own.iter().filter_map(|one| one.split_once('=')))
        }
        (None, Some(env)) => command.env_clear().envs(env.iter().filter_map(|one| {
            let bytes = one.to_bytes();
            let at = bytes.iter().position(|byte| *byte == b'=')?;
            Some((OsStr::from_bytes(&bytes[..at]), OsStr::from_bytes(&bytes[at + 1..])))
        })),
        (None, None) => &mut command,
    };
    command.spawn()
}

/// Waits until it has ended; `false` if that takes too long.
fn wait(child: &Child, timeout: Option<Duration>) -> std::io::Result<bool> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let (Some(timeout), Some(pid)) = (timeout, pid) else { return Ok(true) };
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let timeout = Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    loop {
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => {}
            ended => return Ok(ended? > 0),
        }
    }
}
