//! The first process of a container, as its parent sees it: a shim, or a command of the OCI command
//! line.

use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

use super::cgroup::Cgroup;
use super::init::{self, Doing as _, Failure, Handed, Life, Report, Stdio};
use super::plan::{self, StartPlan};
use crate::sys::clone::{self, Cloned, Forked, SingleThreaded};
use crate::sys::{seqpacket, signals};

/// What a first process is made from.
pub(super) struct Wish {
    /// What it is to do.
    pub plan: StartPlan,
    /// The namespaces of `plan.joins`, in order, and then those of `plan.id_maps`.
    pub joins: Vec<OwnedFd>,
    /// Its streams; `None` makes a terminal.
    pub stdio: Option<Stdio>,
    /// How it belongs to its parent.
    pub life: Life,
}

/// A first process on its way to become the program.
pub(super) struct First {
    /// Its id in the host's view.
    pub pid: i32,
    /// A handle on it.
    pub pidfd: OwnedFd,
    /// Where it tells how it gets on; ends when it is the program.
    pub reports: OwnedFd,
}

impl First {
    /// Makes it, in its namespaces and, where the kernel can, in its cgroup.
    pub(super) fn make(
        wish: Wish,
        cgroup: &Cgroup,
        single: &SingleThreaded,
    ) -> Result<Self, Failure> {
        let Wish { plan, joins, stdio, life } = wish;
        let mut detour = Detour::default();
        let Joins { joins, shm, users, id_maps } =
            sort_namespaces(&plan, joins, single, &mut detour)?;
        let mounts = init::prepare_mounts(&plan.mounts, &id_maps)?;
        let root = init::prepare_root(&plan.root)?;
        let (reports, parent) = seqpacket::pair().doing(|| "talk to the first process")?;
        let v2 = cgroup.v2_dir().map_err(|error| Failure::new(error.to_string()))?;
        let into = v2.as_ref().map(OwnedFd::as_fd);
        let flags = plan.new_namespaces & !u64::from(TIME);
        if flags != plan.new_namespaces {
            detour.new_time(&plan.time_offsets)?;
        }
        let cloned = clone::clone3(single, flags, into)
            .doing(|| "make the first process and its namespaces")?;
        match cloned {
            Cloned::Parent { pid, pidfd } => {
                detour.back()?;
                Ok(Self { pid, pidfd, reports })
            }
            Cloned::Child => {
                drop((reports, detour));
                let handed =
                    Handed { plan, joins, users, id_maps, root, mounts, shm, stdio, parent, life };
                init::run(handed, single)
            }
        }
    }

    /// Puts it in its cgroup, if it was not born there.
    pub(super) fn place(&self, cgroup: &Cgroup) -> Result<(), Failure> {
        let born_there = cgroup.v2_dir().map(|v2| v2.is_some());
        let placed = match born_there {
            Ok(true) => Ok(()),
            Ok(false) => cgroup.enter(self.pid.unsigned_abs()),
            Err(error) => Err(error),
        };
        placed.map_err(|error| Failure::new(error.to_string()))
    }

    /// Lets it go on from where it waits for its cgroup.
    pub(super) fn let_go(&self) -> Result<(), Failure> {
        seqpacket::send(&self.reports, &self.pid.to_le_bytes(), &[])
            .doing(|| "begin the first process")
    }

    /// Kills it after `failure`. It may have ended by itself before: then it says why.
    pub(super) fn why(&self, failure: Failure) -> Failure {
        let _gone = signals::kill_pidfd(self.pidfd.as_fd(), libc::SIGKILL);
        Report::last_words(&self.reports).unwrap_or(failure)
    }
}

const TIME: u32 = libc::CLONE_NEWTIME.cast_unsigned();

/// Namespaces that this process's children are born in, and its own, to come back to: hooks are its
/// children too.
#[derive(Default)]
struct Detour(Vec<OwnedFd>);

impl Detour {
    fn leave(&mut self, name: &str) -> Result<(), Failure> {
        let path = format!("/proc/self/ns/{name}");
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let own = rustix::fs::open(&path, flags, Mode::empty())
            .doing(|| format!("keep the {name} namespace"))?;
        self.0.push(own);
        Ok(())
    }

    /// Enters a namespace for children.
    fn enter(
        &mut self,
        name: &str,
        namespace: &OwnedFd,
        kind: LinkNameSpaceType,
    ) -> Result<(), Failure> {
        self.leave(name)?;
        rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(kind))
            .doing(|| format!("enter a {name} namespace"))
    }

    /// Makes a time namespace for children. Its clocks can be set only before the first of them.
    fn new_time(&mut self, offsets: &str) -> Result<(), Failure> {
        self.leave("time")?;
        #[expect(deprecated, reason = "its replacement is unsafe for the file table, which stays")]
        rustix::thread::unshare(UnshareFlags::NEWTIME).doing(|| "make a time namespace")?;
        if offsets.is_empty() {
            return Ok(());
        }
        let doing = || format!("set the clocks of the time namespace to {offsets:?}");
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let file =
            rustix::fs::open(c"/proc/self/timens_offsets", flags, Mode::empty()).doing(doing)?;
        rustix::io::write(&file, offsets.as_bytes()).map(drop).doing(doing)
    }

    fn back(self) -> Result<(), Failure> {
        self.0.iter().try_for_each(|own| {
            rustix::thread::move_into_link_name_space(own.as_fd(), None)
                .doing(|| "come back to the host's namespaces")
        })
    }
}

/// What is made of the namespaces that came along.
struct Joins {
    /// Those that the first process enters by itself.
    joins: Vec<(OwnedFd, u32)>,
    /// The `/dev/shm` of the container whose IPC is shared.
    shm: Option<OwnedFd>,
    /// The user namespace that it enters last.
    users: Option<OwnedFd>,
    /// The user namespaces that mounts are seen through.
    id_maps: Vec<OwnedFd>,
}

fn sort_namespaces(
    plan: &StartPlan,
    mut namespaces: Vec<OwnedFd>,
    single: &SingleThreaded,
    detour: &mut Detour,
) -> Result<Joins, Failure> {
    let maps = usize::try_from(plan.id_maps).unwrap_or(usize::MAX);
    if Some(namespaces.len()) != plan.joins.len().checked_add(maps) {
        return Err(Failure::new("the plan's namespaces did not come along"));
    }
    let id_maps = namespaces.split_off(plan.joins.len());
    let joins = Vec::with_capacity(namespaces.len());
    let mut sorted = Joins { joins, shm: None, users: None, id_maps };
    for (namespace, kind) in namespaces.into_iter().zip(plan.joins.iter().copied()) {
        match kind {
            // A process can enter another pid or time namespace only by being born there.
            PID => detour.enter("pid", &namespace, LinkNameSpaceType::ProcessID)?,
            TIME => detour.enter("time", &namespace, LinkNameSpaceType::Time)?,
            USER => sorted.users = Some(namespace),
            plan::SHM => sorted.shm = Some(borrow_shm(&namespace, single)?),
            _ => sorted.joins.push((namespace, kind)),
        }
    }
    Ok(sorted)
}

const USER: u32 = libc::CLONE_NEWUSER.cast_unsigned();
const PID: u32 = libc::CLONE_NEWPID.cast_unsigned();

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
