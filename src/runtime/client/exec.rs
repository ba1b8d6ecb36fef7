//! Running a further program in a container.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::pipe::PipeFlags;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::super::compile::{self, ExecWish};
use super::super::init::CANNOT_RUN;
use super::super::plan::{ExecOrder, ExecPlan};
use super::super::protocol::{self, Reply, Request};
use super::super::record;
use super::super::wire;
use super::packets::{Packets, in_memory};
use super::streams::{self, Input, Output};
use super::{ContainerPhase, Runtime, RuntimeError, StartError};
use crate::model::ContainerId;

/// A program to run in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecRequest {
    /// Program and arguments.
    pub args: Vec<String>,
    /// `KEY=VALUE`, beside the container's own.
    pub env: Vec<String>,
    /// Where it starts, if not where the container's program does.
    pub cwd: Option<String>,
    /// `user[:group]`, if not the container's.
    pub user: Option<String>,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Rows and columns of that.
    pub size: Option<(u16, u16)>,
    /// With all rights, whatever the container has.
    pub privileged: bool,
    /// Whether it reads anything.
    pub stdin: bool,
    /// Whether it goes on when nobody waits for it, and its output goes nowhere.
    pub detached: bool,
}

/// A program that runs in a container. It is killed when this is dropped before it has ended, unless it
/// is detached.
#[derive(Debug)]
pub struct Exec {
    /// Its process in the host's view.
    pub pid: u32,
    /// What it reads, if it reads anything. Dropping it ends that.
    pub stdin: Option<Input>,
    /// What it writes; with a terminal, all of it.
    pub stdout: Option<Output>,
    /// What it writes to standard error.
    pub stderr: Option<Output>,
    terminal: Option<Input>,
    packets: Packets,
    code: Option<i32>,
}

/// Why a program did not run in a container.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// There is nowhere to run it, or it makes no sense.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// It could not be started.
    #[error(transparent)]
    Start(#[from] StartError),
}

impl Runtime {
    /// Runs a program in a container that runs.
    ///
    /// # Errors
    /// If the container does not run, or the program cannot be run: its exit status then says why, as a
    /// shell's.
    pub async fn exec(&self, id: &ContainerId, request: ExecRequest) -> Result<Exec, ExecError> {
        let entry = self.entry(id)?;
        let wish = ExecWish {
            args: &request.args,
            env: &request.env,
            cwd: request.cwd.as_deref(),
            user: request.user.as_deref(),
            tty: request.tty,
            privileged: request.privileged,
            profile: entry.asked.seccomp_profile.as_deref(),
        };
        let process =
            compile::exec_process(&entry.asked.container, wish).map_err(RuntimeError::from)?;
        let users = entry.asked.container.users.clone();
        let ExecRequest { tty, size, detached, stdin, .. } = request;
        let plan = ExecPlan { tty, size, users, tied: true, keep: 0, process };
        let order = ExecOrder { cgroup: entry.asked.cgroup.clone(), detached, plan };
        let broken = |source| RuntimeError::Shim { id: id.clone(), source };
        let (runtime, of) = (self.clone(), id.clone());
        let sent = super::blocking(move || runtime.send_exec(&of, &order, stdin)).await?;
        let (packets, ours) = (Packets::new(sent.0).map_err(broken)?, sent.1);
        match packets.answer().await.map_err(broken)? {
            (Reply::ExecStarted(pid), fds) => {
                let pid = pid.unsigned_abs();
                Ok(Exec::new(pid, packets, ours, fds, stdin).map_err(broken)?)
            }
            (Reply::ExecFailed(code, message), _) => Err(StartError { code, message }.into()),
            (Reply::Failed(why), _) => Err(RuntimeError::Refused { id: id.clone(), why }.into()),
            (other, _) => {
                let message = format!("the shim is of another version and answers {other:?}");
                Err(StartError { code: CANNOT_RUN, message }.into())
            }
        }
    }

    fn send_exec(
        &self,
        id: &ContainerId,
        order: &ExecOrder,
        stdin: bool,
    ) -> Result<(OwnedFd, Pipes), RuntimeError> {
        let broken = |source| RuntimeError::Shim { id: id.clone(), source };
        let first = self.first_process(id)?;
        let bytes = wire::encode(order);
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let memory = in_memory(&bytes).map_err(broken)?;
        let (theirs, ours) = match order {
            ExecOrder { detached: true, .. } => nowhere(),
            order if order.plan.tty => Ok((Vec::new(), Pipes::default())),
            _ => pipes(stdin),
        }
        .map_err(broken)?;
        let mut fds = vec![memory.as_fd(), first.as_fd()];
        fds.extend(theirs.iter().map(OwnedFd::as_fd));
        let packet = protocol::packet(&Request::Exec { length });
        Ok((self.tell_launcher(&packet, &fds, &self.record_dir(id))?, ours))
    }

    /// A handle on the first process of a container that can run another one.
    fn first_process(&self, id: &ContainerId) -> Result<OwnedFd, RuntimeError> {
        let refused = |why: &str| RuntimeError::Refused { id: id.clone(), why: why.to_owned() };
        match self.entry(id)?.phase {
            ContainerPhase::Creating => return Err(refused("the container does not run yet")),
            ContainerPhase::Running { paused: true, .. } => {
                return Err(refused("the container is paused"));
            }
            ContainerPhase::Running { .. } => {}
            ContainerPhase::Exited(_) => return Err(RuntimeError::NotRunning(id.clone())),
        }
        let gone = || RuntimeError::NotRunning(id.clone());
        let started = record::read_started(&self.record_dir(id)).ok_or_else(gone)?;
        let pid = Pid::from_raw(started.pid).ok_or_else(gone)?;
        let first = pidfd_open(pid, PidfdFlags::empty()).map_err(|_| gone())?;
        // The process may have ended and its number be another's: its record tells.
        let same = record::start_time(started.pid) == Some(started.start_time);
        if same { Ok(first) } else { Err(gone()) }
    }
}

/// Our ends.
#[derive(Default)]
struct Pipes {
    input: Option<OwnedFd>,
    output: Option<OwnedFd>,
    error: Option<OwnedFd>,
}

fn pipes(stdin: bool) -> io::Result<(Vec<OwnedFd>, Pipes)> {
    let pipe = || rustix::pipe::pipe_with(PipeFlags::CLOEXEC);
    let (input, write) = if stdin {
        let (read, write) = pipe()?;
        (read, Some(write))
    } else {
        (File::open("/dev/null")?.into(), None)
    };
    let (read_out, output) = pipe()?;
    let (read_err, error) = pipe()?;
    let ours = Pipes { input: write, output: Some(read_out), error: Some(read_err) };
    Ok((vec![input, output, error], ours))
}

/// For a program that nobody listens to.
fn nowhere() -> io::Result<(Vec<OwnedFd>, Pipes)> {
    let null = || File::options().read(true).write(true).open("/dev/null");
    let streams: io::Result<Vec<OwnedFd>> = (0..3).map(|_| null().map(Into::into)).collect();
    Ok((streams?, Pipes::default()))
}

impl Exec {
    fn new(
        pid: u32,
        packets: Packets,
        pipes: Pipes,
        fds: Vec<OwnedFd>,
        stdin: bool,
    ) -> io::Result<Self> {
        let mut exec = Self {
            pid,
            stdin: None,
            stdout: None,
            stderr: None,
            terminal: None,
            packets,
            code: None,
        };
        if let Some(master) = fds.into_iter().next() {
            let (input, output) = streams::terminal(master)?;
            exec.stdin = stdin.then(|| input.clone());
            exec.stdout = Some(output);
            exec.terminal = Some(input);
            return Ok(exec);
        }
        exec.stdin = pipes.input.map(streams::input).transpose()?;
        exec.stdout = pipes.output.map(streams::output).transpose()?;
        exec.stderr = pipes.error.map(streams::output).transpose()?;
        Ok(exec)
    }

    /// Sets the size of its terminal; nothing if it has none.
    ///
    /// # Errors
    /// As `ioctl(2)`'s.
    pub fn resize(&self, rows: u16, columns: u16) -> io::Result<()> {
        self.terminal.as_ref().map_or(Ok(()), |terminal| terminal.resize(rows, columns))
    }

    /// Waits until it has ended: its exit status, as a shell shows it.
    ///
    /// # Errors
    /// If whoever watched it was killed.
    pub async fn wait(&mut self) -> io::Result<i32> {
        if let Some(code) = self.code {
            return Ok(code);
        }
        match self.packets.answer().await? {
            (Reply::ExecEnded(code), _) => {
                self.code = Some(code);
                Ok(code)
            }
            (Reply::ExecFailed(_, why), _) => Err(io::Error::other(why)),
            (other, _) => Err(io::Error::other(format!("the shim answers {other:?}"))),
        }
    }
}
