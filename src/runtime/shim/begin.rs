//! The start of a container, as its shim sees it.

use std::os::fd::OwnedFd;

use rustix::pipe::PipeFlags;

use super::super::cgroup::Cgroup;
use super::super::first::{First, Wish};
use super::super::init::{self, Doing as _, Failure, Life, Stdio};
use super::super::plan::StartPlan;
use super::output::{Output, Sink, Stream};
use crate::sys::clone::SingleThreaded;

/// A first process on its way to become the program.
pub(super) struct Begun {
    /// Its id in the host's view.
    pub pid: i32,
    /// A handle on it.
    pub pidfd: OwnedFd,
    /// Where it tells how it gets on; ends when it is the program.
    pub reports: OwnedFd,
    /// Where the container's input is written to, if it is held open.
    pub input: Option<OwnedFd>,
    /// Where the container's output comes from; with a terminal, that is still to come.
    pub outputs: Vec<Output>,
    /// Where the output goes.
    pub sink: Sink,
    /// The container's cgroup.
    pub cgroup: Cgroup,
    /// Whether there will be a terminal.
    pub tty: bool,
}

/// Makes the container's first process, puts it in its cgroup and lets it go.
pub(super) fn begin(
    mut plan: StartPlan,
    joins: Vec<OwnedFd>,
    single: &SingleThreaded,
) -> Result<Begun, Failure> {
    let cgroup = Cgroup::from_parts(std::mem::take(&mut plan.cgroup));
    let sink = Sink::open(plan.log.as_ref()).doing(|| "open the log")?;
    let (stdio, input, outputs) = streams(&plan)?;
    let tty = plan.tty;
    let wish = Wish { plan, joins, stdio, life: Life::Tied };
    let first = First::make(wish, &cgroup, single)?;
    first.place(&cgroup).and_then(|()| first.let_go()).map_err(|failure| first.why(failure))?;
    let First { pid, pidfd, reports } = first;
    Ok(Begun { pid, pidfd, reports, input, outputs, sink, cgroup, tty })
}

type Streams = (Option<Stdio>, Option<OwnedFd>, Vec<Output>);

fn streams(plan: &StartPlan) -> Result<Streams, Failure> {
    if plan.tty {
        return Ok((None, None, Vec::new()));
    }
    let pipe = || rustix::pipe::pipe_with(PipeFlags::CLOEXEC).doing(|| "make a pipe");
    let (input, write_input) = if plan.stdin {
        let (read, write) = pipe()?;
        (read, Some(write))
    } else {
        (init::null()?, None)
    };
    let (read_out, out) = pipe()?;
    let (read_err, err) = pipe()?;
    let outputs = vec![
        Output::new(read_out, Stream::Stdout).doing(|| "make a pipe")?,
        Output::new(read_err, Stream::Stderr).doing(|| "make a pipe")?,
    ];
    let inside = Stdio { streams: [input, out, err], terminal: false };
    Ok((Some(inside), write_input, outputs))
}
