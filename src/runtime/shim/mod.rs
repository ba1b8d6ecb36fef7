//! The shim: parent of one container's first process, from before its start to after its end.
//!
//! It has one thread and sleeps in `poll` until something happens. It writes down how the container
//! ended before it tells anybody, and needs no daemon to do so.

mod begin;
mod connection;
mod output;
mod run;

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use super::init::Failure;
use super::plan::{self, StartPlan};
use super::protocol::{self, Reply, Status};
use super::record::ExitSpace;
use super::wire;
use crate::model::Exit;
use crate::sys::clone::{self, SingleThreaded};
use crate::sys::{clock, heap, seqpacket, signals, title};
use connection::Connection;
use run::Shim;

pub(super) use run::exit_code;

/// Runs the shim whose plan, of `length` bytes, is in the first of `fds`. `daemon` is the first
/// connection. Ends the process.
pub(super) fn main(daemon: OwnedFd, length: u64, fds: Vec<OwnedFd>, single: &SingleThreaded) -> ! {
    if let Err(error) = detach(&daemon, &fds) {
        refuse(&daemon, &format!("cannot make a shim: {error}"));
    }
    let mut fds = fds.into_iter();
    let plan = match fds.next().map(|memory| read_plan(&memory, length)) {
        Some(Ok(plan)) => plan,
        Some(Err(error)) => refuse(&daemon, &format!("cannot read the start plan: {error}")),
        None => refuse(&daemon, "the start plan is missing"),
    };
    let short = plan.id.get(..12).unwrap_or(&plan.id);
    let _only_looks = title::set("orca-shim", &format!("orca shim {short}"), single);
    let (Some(lock), Some(listener)) = (fds.next(), fds.next()) else {
        refuse(&daemon, "the start plan lacks its lock or its socket")
    };
    let dir = plan.state_dir.clone();
    let space = match ExitSpace::reserve(&dir) {
        Ok(space) => space,
        Err(error) => refuse(&daemon, &format!("cannot keep room for the exit record: {error}")),
    };
    let daemon = Connection::watching(daemon);
    match begin::begin(plan, fds.collect(), single) {
        Ok(begun) => match Shim::new(begun, (dir, space), (listener, daemon)) {
            Ok(mut shim) => {
                heap::trim();
                shim.run();
            }
            Err(error) => tracing::error!("the shim cannot watch its container: {error}"),
        },
        Err(failure) => give_up(&dir, &space, daemon, failure),
    }
    // Only now may somebody find the lock free.
    drop(lock);
    clone::exit_now(0)
}

/// Writes down and tells that nothing was started.
fn give_up(dir: &Path, space: &ExitSpace, mut daemon: Connection, failure: Failure) {
    let Failure { code, message } = failure;
    let at = clock::boottime();
    let exit = Exit { code, error: Some(message), at, ..Exit::default() };
    if let Err(error) = space.fill(dir, &exit) {
        tracing::error!("cannot write how the container ended: {error}");
    }
    daemon.tell(Status { ended: true, ..Status::default() });
}

/// Leaves behind what belongs to the launcher.
fn detach(daemon: &OwnedFd, fds: &[OwnedFd]) -> io::Result<()> {
    signals::block_all();
    signals::ignore_broken_pipes();
    let mut keep = fds.iter().chain([daemon]).map(AsRawFd::as_raw_fd).collect::<Vec<_>>();
    clone::close_others(&mut keep)?;
    rustix::process::setsid()?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    Ok(())
}

fn refuse(daemon: &OwnedFd, why: &str) -> ! {
    let _gone = seqpacket::send(daemon, &protocol::packet(&Reply::Failed(why.to_owned())), &[]);
    clone::exit_now(1)
}

fn read_plan(memory: &OwnedFd, length: u64) -> io::Result<StartPlan> {
    wire::decode(&read_memory(memory, length)?).map_err(io::Error::other)
}

/// The first `length` bytes of a file in memory, which a peer claims to be there.
pub(super) fn read_memory(memory: &OwnedFd, length: u64) -> io::Result<Vec<u8>> {
    let length = usize::try_from(length).map_err(io::Error::other)?;
    if length > plan::MAX_BYTES {
        return Err(io::Error::other("it is too large"));
    }
    let mut bytes = vec![0; length];
    let mut read = 0;
    while read < length {
        let at = u64::try_from(read).map_err(io::Error::other)?;
        match rustix::io::pread(memory, &mut bytes[read..], at)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => read += more,
        }
    }
    Ok(bytes)
}
