//! The start of a container, as its shim sees it.

use std::os::fd::{AsFd as _, OwnedFd};

use rustix::pipe::PipeFlags;
use rustix::thread::LinkNameSpaceType;

use super::super::cgroup::Cgroup;
use super::super::init::{self, Doing as _, Failure, Handed, Stdio};
use super::super::plan::StartPlan;
use super::output::{Output, Sink, Stream};
use crate::sys::clone::{self, Cloned, Forked, SingleThreaded};
use crate::sys::{seqpacket, signals};

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
    let mounts = init::prepare_mounts(&plan.mounts)?;
    let (inside, input, outputs) = streams(&plan)?;
    let (reports, shim) = seqpacket::pair().doing(|| "talk to the first process")?;
    let Joins { joins, shm } = sort_namespaces(&plan, joins, single)?;
    let v2 = cgroup.v2_dir().map_err(|error| Failure::new(error.to_string()))?;
    let into = v2.as_ref().map(OwnedFd::as_fd);
    let tty = plan.tty;
    let cloned = clone::clone3(single, plan.new_namespaces, into)
        .doing(|| "make the first process and its namespaces")?;
    let (pid, pidfd) = match cloned {
        Cloned::Parent { pid, pidfd } => (pid, pidfd),
        Cloned::Child => {
            drop(reports);
            init::run(Handed { plan, joins, mounts, shm, stdio: inside, shim }, single)
        }
    };
    let placed = if v2.is_none() { cgroup.enter(pid.unsigned_abs()) } else { Ok(()) };
    let let_go = placed
        .map_err(|error| Failure::new(error.to_string()))
        .and_then(|()| seqpacket::send(&reports, &[0], &[]).doing(|| "begin the first process"));
    if let Err(failure) = let_go {
        let _gone = signals::kill_pidfd(pidfd.as_fd(), libc::SIGKILL);
        return Err(failure);
    }
    Ok(Begun { pid, pidfd, reports, input, outputs, sink, cgroup, tty })
}

/// What is made of the namespaces that came along.
struct Joins {
    /// Those that the first process enters by itself.
    joins: Vec<(OwnedFd, u32)>,
    /// The `/dev/shm` of the container whose IPC is shared.
    shm: Option<OwnedFd>,
}

fn sort_namespaces(
    plan: &StartPlan,
    namespaces: Vec<OwnedFd>,
    single: &SingleThreaded,
) -> Result<Joins, Failure> {
    if namespaces.len() != plan.joins.len() {
        return Err(Failure::new("the plan's namespaces did not come along"));
    }
    let mut sorted = Joins { joins: Vec::with_capacity(namespaces.len()), shm: None };
    for (namespace, kind) in namespaces.into_iter().zip(plan.joins.iter().copied()) {
        match i32::try_from(kind) {
            // A process can enter another pid namespace only by being born there.
            Ok(libc::CLONE_NEWPID) => {
                let kind = Some(LinkNameSpaceType::ProcessID);
                rustix::thread::move_into_link_name_space(namespace.as_fd(), kind)
                    .doing(|| "enter a pid namespace")?;
            }
            Ok(libc::CLONE_NEWNS) => sorted.shm = Some(borrow_shm(&namespace, single)?),
            _ => sorted.joins.push((namespace, kind)),
        }
    }
    Ok(sorted)
}

/// A copy of the `/dev/shm` in another mount namespace. Only a process in there may take it, so a
/// child goes there and hands it out.
fn borrow_shm(namespace: &OwnedFd, single: &SingleThreaded) -> Result<OwnedFd, Failure> {
    let doing = || "share the /dev/shm of another container";
    let (ours, theirs) = seqpacket::pair().doing(doing)?;
    match clone::fork(single).doing(doing)? {
        Forked::Child => {
            let answer = match init::take_shm(namespace) {
                Ok(shm) => seqpacket::send(&theirs, &[1], &[shm.as_fd()]),
                Err(failure) => seqpacket::send(&theirs, failure.message.as_bytes(), &[]),
            };
            clone::exit_now(i32::from(answer.is_err()))
        }
        Forked::Parent(_) => drop(theirs),
    }
    let mut buffer = [0; 1024];
    let (length, fds) = seqpacket::receive(&ours, &mut buffer).doing(doing)?;
    fds.into_iter().next().ok_or_else(|| {
        let why = String::from_utf8_lossy(&buffer[..length]);
        Failure::new(format!("cannot {}: {why}", doing()))
    })
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
