//! A further program in a container that runs: a copy of the launcher makes it, watches it, and answers
//! for it. The container's shim has no part in it: it may be of an earlier build, and would misread what
//! is to be done.

mod inside;

use std::io;
use std::os::fd::{AsFd as _, AsRawFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, WaitOptions};
use rustix::thread::ThreadNameSpaceType;

use super::cgroup::Cgroup;
use super::init::{CANNOT_MAKE, Doing as _, Failure, Report, Stdio};
use super::plan::{ExecOrder, ExecPlan};
use super::protocol::{self, Reply};
use super::{shim, wire};
use crate::sys::clone::{self, Cloned, SingleThreaded};
use crate::sys::{seqpacket, signals, title};

/// Where the program is to run.
pub(super) struct Place<'a> {
    /// The container's first process.
    pub first: &'a OwnedFd,
    /// Its cgroup.
    pub cgroup: &'a Cgroup,
}

/// Runs the program whose order, of `length` bytes, is in the first of `fds`, and answers on
/// `connection`. Ends the process.
pub(super) fn main(
    connection: OwnedFd,
    length: u64,
    fds: Vec<OwnedFd>,
    single: &SingleThreaded,
) -> ! {
    let answer = match serve(&connection, length, fds, single) {
        Ok(code) => Reply::ExecEnded(code),
        Err(failure) => Reply::ExecFailed(failure.code, failure.message),
    };
    let _gone = say(&connection, &answer, None);
    clone::exit_now(0)
}

fn serve(
    connection: &OwnedFd,
    length: u64,
    fds: Vec<OwnedFd>,
    single: &SingleThreaded,
) -> Result<i32, Failure> {
    signals::block_all();
    let mut keep = vec![connection.as_raw_fd()];
    keep.extend(fds.iter().map(AsRawFd::as_raw_fd));
    clone::close_others(&mut keep).doing(|| "leave the launcher")?;
    rustix::process::setsid().doing(|| "leave the launcher")?;
    rustix::process::set_child_subreaper(None).doing(|| "leave the launcher")?;
    let _only_looks = title::set("orca-exec", "orca exec", single);

    let mut fds = fds.into_iter();
    let memory = fds.next().ok_or_else(|| Failure::new("the order is missing"))?;
    let ExecOrder { cgroup, detached, plan } = shim::read_memory(&memory, length)
        .and_then(|bytes| wire::decode(&bytes).map_err(io::Error::other))
        .doing(|| "read the order")?;
    drop(memory);
    let first = fds.next().ok_or_else(|| Failure::new("the container did not come along"))?;
    let stdio = match (fds.next(), fds.next(), fds.next()) {
        (Some(input), Some(output), Some(error)) => {
            Some(Stdio { streams: [input, output, error], terminal: false })
        }
        _ if plan.tty => None,
        _ => return Err(Failure::new("the program's streams did not come along")),
    };
    let place = Place { first: &first, cgroup: &Cgroup::from_parts(cgroup) };
    let program = begin(plan, stdio, &place, single)?;
    watch(connection, &program, detached)
}

/// A program on its way.
pub(super) struct Program {
    /// Its process in the host's view.
    pub pid: i32,
    /// A handle on it.
    pub pidfd: OwnedFd,
    /// Where it tells how it gets on; ends when it runs.
    pub reports: OwnedFd,
}

/// Makes the program's process in the container and lets it go.
pub(super) fn begin(
    plan: ExecPlan,
    stdio: Option<Stdio>,
    place: &Place<'_>,
    single: &SingleThreaded,
) -> Result<Program, Failure> {
    // For the processes to come, not for this one: it never enters the container.
    rustix::thread::move_into_thread_name_spaces(
        place.first.as_fd(),
        ThreadNameSpaceType::PROCESS_ID,
    )
    .doing(|| "enter the container's processes")?;
    if !plan.tied {
        enter_time(place.first)?;
    }
    let (reports, helper) = seqpacket::pair().doing(|| "talk to the program")?;
    let unplaced = |error: super::cgroup::CgroupError| Failure::new(error.to_string());
    let v2 = place.cgroup.v2_dir().map_err(unplaced)?;
    let into = v2.as_ref().map(OwnedFd::as_fd);
    match clone::clone3(single, 0, into).doing(|| "make a process in the container")? {
        Cloned::Child => {
            drop(reports);
            inside::run(&plan, stdio, place.first, &helper)
        }
        Cloned::Parent { pid, pidfd } => {
            drop(helper);
            let placed = if v2.is_none() { place.cgroup.enter(pid.unsigned_abs()) } else { Ok(()) };
            let let_go = placed
                .map_err(unplaced)
                .and_then(|()| seqpacket::send(&reports, &[0], &[]).doing(|| "begin the program"));
            let program = Program { pid, pidfd, reports };
            if let Err(failure) = let_go {
                kill(&program);
                return Err(Report::last_words(&program.reports).unwrap_or(failure));
            }
            Ok(program)
        }
    }
}

/// The container's clocks, which processes have by birth as well. Kernels without time namespaces do
/// not know the word.
fn enter_time(first: &OwnedFd) -> Result<(), Failure> {
    match rustix::thread::move_into_thread_name_spaces(first.as_fd(), ThreadNameSpaceType::TIME) {
        Err(rustix::io::Errno::INVAL) => Ok(()),
        entered => entered.doing(|| "enter the container's time namespace"),
    }
}

/// Tells how the program gets on until it ends. If nobody wants to know any more, it is killed, unless
/// it is to go on alone.
fn watch(connection: &OwnedFd, program: &Program, detached: bool) -> Result<i32, Failure> {
    let mut terminal = None;
    while let Some((report, fds)) =
        Report::receive(&program.reports).doing(|| "hear the program")?
    {
        match report {
            Report::Terminal => terminal = fds.into_iter().next(),
            Report::Failed(failure) => return Err(failure),
            Report::Mounted | Report::Created | Report::Listener(_) => {}
        }
    }
    let doing = || "answer the daemon";
    if say(connection, &Reply::ExecStarted(program.pid), terminal.as_ref()).is_err() && !detached {
        kill(program);
    }
    drop(terminal);
    let mut watched = !detached;
    loop {
        let mut fds = vec![PollFd::new(&program.pidfd, PollFlags::IN)];
        if watched {
            fds.push(PollFd::new(connection, PollFlags::IN));
        }
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => continue,
            polled => polled.doing(doing)?,
        };
        if !fds[0].revents().is_empty() {
            return Ok(ended(program));
        }
        if fds.get(1).is_some_and(|fd| !fd.revents().is_empty()) {
            watched = false;
            kill(program);
        }
    }
}

fn ended(program: &Program) -> i32 {
    loop {
        match rustix::process::waitpid(Pid::from_raw(program.pid), WaitOptions::empty()) {
            Ok(Some((_, status))) => return shim::exit_code(status),
            Ok(None) | Err(rustix::io::Errno::INTR) => std::thread::sleep(Duration::from_millis(1)),
            Err(_) => return CANNOT_MAKE,
        }
    }
}

/// The program and its group: it leads a session of its own.
fn kill(program: &Program) {
    let _gone = signals::kill(-program.pid, libc::SIGKILL);
    let _gone = signals::kill_pidfd(program.pidfd.as_fd(), libc::SIGKILL);
}

fn say(connection: &OwnedFd, reply: &Reply, fd: Option<&OwnedFd>) -> io::Result<()> {
    let fds = fd.map(|fd| fd.as_fd());
    seqpacket::send(connection, &protocol::packet(reply), fds.as_slice())
}
