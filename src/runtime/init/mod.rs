//! The first process of a container: from the clone of its shim to the program.
//!
//! It walks its plan from top to bottom and decides nothing. Its shim has one thread, so the heap it
//! was copied with is whole; still it allocates next to nothing, for speed.

mod console;
mod copy_up;
mod failure;
mod inside;
mod mounts;
mod pid1;
mod program;
mod rootfs;
mod system;
mod users;

use std::ffi::CString;
use std::os::fd::OwnedFd;

use rustix::mount::MountPropagationFlags;
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

use super::hooks::{self, Hook, HookState};
use super::plan::{RootEntry, StartPlan};
use crate::sys::clone::{self, SingleThreaded};
use crate::sys::{link, seqpacket, signals};

pub(super) use console::{Stdio, Terminal, null, open as open_terminal};
pub(super) use failure::{CANNOT_MAKE, CANNOT_RUN, Doing, Failure, Report, plain};
pub(super) use mounts::prepare as prepare_mounts;
pub(super) use mounts::prepare_root;
pub(super) use program::{
    LIMITS, become_user, environment, find as find_program, find_user, give_streams, keep_out,
    limit, own_root, set_oom_score, tune,
};
pub(super) use system::{find_pts, take_shm};

/// What the parent, a shim or a command of the OCI command line, hands to the first process.
pub(super) struct Handed {
    /// What to do.
    pub plan: StartPlan,
    /// Namespaces to enter, and their kinds.
    pub joins: Vec<(OwnedFd, u32)>,
    /// The user namespace to enter at last.
    pub users: Option<OwnedFd>,
    /// The user namespaces that layers are seen through.
    pub id_maps: Vec<OwnedFd>,
    /// The root, if it is a directory of the host.
    pub root: Option<OwnedFd>,
    /// The mounts that come from the host.
    pub mounts: Vec<Option<OwnedFd>>,
    /// The `/dev/shm` of the container whose IPC is shared.
    pub shm: Option<OwnedFd>,
    /// Its streams; `None` with a terminal, which is made on the way.
    pub stdio: Option<Stdio>,
    /// The connection to the parent: its first packet says go, and its end says that the program runs.
    pub parent: OwnedFd,
    /// What it does beside becoming the program.
    pub life: Life,
}

/// How a first process belongs to its parent.
pub(super) enum Life {
    /// It ends with its shim.
    Tied,
    /// It outlives its parent, as a container of the OCI command line.
    Own(Own),
}

/// What the first process of a container of the OCI command line does beside.
pub(super) struct Own {
    /// Whether its parent has hooks to run once the mounts are there.
    pub pauses: bool,
    /// What hooks are told.
    pub state: HookState,
    /// Run once the container's namespaces and mounts are there.
    pub create_container: Vec<Hook>,
    /// Run right before the program.
    pub start_container: Vec<Hook>,
    /// Where to wait for the word to start; `None` starts at once.
    pub gate: Option<Gate>,
    /// How many descriptors from 3 on the program keeps.
    pub keep: u32,
    /// The size of the terminal: rows and columns.
    pub size: Option<(u16, u16)>,
}

/// The two named pipes between a created container and the command that starts it.
pub(super) struct Gate {
    /// One byte comes in to start.
    pub go: OwnedFd,
    /// A failure goes out; its end says that the program runs.
    pub result: OwnedFd,
}

impl Handed {
    fn own(&self) -> Option<&Own> {
        match &self.life {
            Life::Tied => None,
            Life::Own(own) => Some(own),
        }
    }
}

/// Mounts the files of a container by themselves, in the caller's own mount namespace.
pub(super) fn make_files(plan: &StartPlan) -> Result<OwnedFd, Failure> {
    let prepared = mounts::prepare(&plan.mounts, &[])?;
    let root = rootfs::mount(&plan.root, None, &[])?;
    mounts::mount(&root, plan, &prepared, &[])?;
    Ok(root)
}

/// Becomes the program, or reports why not and ends.
pub(super) fn run(handed: Handed, single: &SingleThreaded) -> ! {
    let failure = match set_up(&handed, single) {
        Ok(never) => match never {},
        Err(failure) => failure,
    };
    let code = failure.code;
    if let Some(Gate { result, .. }) = handed.own().and_then(|own| own.gate.as_ref()) {
        failure.write(result);
    }
    Report::Failed(failure).send(&handed.parent, None);
    clone::exit_now(code)
}

fn set_up(handed: &Handed, single: &SingleThreaded) -> Result<std::convert::Infallible, Failure> {
    let plan = &handed.plan;
    // First of all, so that nothing of the parent's is open in the program (CVE-2024-21626).
    let first = 3_u32.saturating_add(handed.own().map_or(0, |own| own.keep));
    clone::close_on_exec_from(first).doing(|| "close what is open")?;
    // Other containers may share its processes.
    program::keep_out()?;
    if handed.own().is_none() {
        tie()?;
    }
    signals::block_all();
    rustix::process::setsid().doing(|| "start a session")?;
    rustix::process::umask(rustix::fs::Mode::empty());
    program::set_oom_score(&plan.process)?;
    enter_namespaces(handed)?;
    name_host(plan)?;
    if let Some(maps) = &plan.users {
        users::make_as_root_of(maps)?;
    }

    let Mounted { root, system, terminal, late } = mount_everything(handed)?;
    let made;
    let stdio = match (&handed.stdio, terminal) {
        (Some(stdio), _) => stdio,
        (None, Some(terminal)) => {
            Report::Terminal.send(&handed.parent, Some(&terminal.master));
            made = Stdio::of_terminal(terminal.slave)?;
            &made
        }
        (None, None) => return Err(Failure::new("the plan has neither streams nor a terminal")),
    };
    let pid = take_place(handed)?;
    if let Some(own) = handed.own() {
        let state = own.state.with(hooks::Status::Creating, pid);
        hooks::run(&own.create_container, &state, None).map_err(Failure::new)?;
    }
    if plan.process.make_cwd {
        rootfs::ensure_cwd(&root, &plan.process.cwd)?;
    }
    let user = find_user(&root, &plan.process)?;
    mounts::make_read_only(&late)?;
    if plan.root.read_only {
        rootfs::make_read_only(&root)?;
    }
    rootfs::enter(&root, plan.root.entry)?;
    rootfs::set_propagation(&root, &plan.root)?;
    drop(root);
    drop(late);
    limit(&plan.process)?;
    program::tune(&plan.process, system.proc.as_ref())?;
    drop(system);
    let env: Vec<CString> = environment(&plan.process, &user);
    give_streams(stdio, &user, plan.users.as_ref())?;
    if let Some(namespace) = &handed.users {
        users::enter(namespace)?;
    }
    become_user(&plan.process, &user, stdio)?;
    if handed.own().is_none() {
        // A change of user has taken this back: the container ends with its shim.
        tie()?;
    }
    if plan.init {
        return Err(pid1::run(&plan.process, env, stdio.terminal, single));
    }
    let program = program::find(&plan.process, env)?;
    let Some(own) = handed.own() else { return program.run(&plan.process, 3) };
    let listener = program.ready(&plan.process, first)?;
    Report::tell_listener(listener.as_ref(), &handed.parent)?;
    wait_for_start(handed, own, pid, &program)?;
    program.exec()
}

/// Ends the calling process with its parent.
fn tie() -> Result<(), Failure> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .doing(|| "tie the container to its shim")
}

/// Says that the container is there, waits until it is to start, and runs the hooks of that moment.
/// The filter of system calls is in force already, so this needs `write` and `read` alone.
fn wait_for_start(
    handed: &Handed,
    own: &Own,
    pid: i32,
    program: &program::Ready,
) -> Result<(), Failure> {
    if let Some(gate) = &own.gate {
        Report::Created.write(&handed.parent)?;
        let mut byte = [0];
        if rustix::io::read(&gate.go, &mut byte).doing(|| "wait for the start")? == 0 {
            return Err(Failure::new("nobody can start the container any more"));
        }
    }
    let state = own.state.with(hooks::Status::Created, pid);
    hooks::run(&own.start_container, &state, Some(program.env())).map_err(Failure::new)
}

/// Waits until the parent has put this process in its cgroup, and makes that all it sees of cgroups.
/// Returns the id of this process in the host's view.
///
/// Not earlier than here: cgroups of version 1 make the parent wait for the kernel, and meanwhile the
/// mounts are made. Nothing of the container's own has run yet.
fn take_place(handed: &Handed) -> Result<i32, Failure> {
    let mut pid = [0; 4];
    let (length, _) = seqpacket::receive(&handed.parent, &mut pid).doing(|| "wait for the shim")?;
    if length == 0 {
        return Err(Failure::new("the shim is gone"));
    }
    if handed.plan.new_cgroup_namespace {
        #[expect(deprecated, reason = "its replacement is unsafe for the file table, which stays")]
        rustix::thread::unshare(UnshareFlags::NEWCGROUP).doing(|| "make a cgroup namespace")?;
    }
    Ok(i32::from_le_bytes(pid))
}

fn enter_namespaces(handed: &Handed) -> Result<(), Failure> {
    for (namespace, kind) in &handed.joins {
        let kind = match i32::try_from(*kind) {
            Ok(libc::CLONE_NEWNET) => LinkNameSpaceType::Network,
            Ok(libc::CLONE_NEWIPC) => LinkNameSpaceType::InterProcessCommunication,
            Ok(libc::CLONE_NEWUTS) => LinkNameSpaceType::HostNameAndNISDomainName,
            Ok(libc::CLONE_NEWCGROUP) => LinkNameSpaceType::ControlGroup,
            Ok(libc::CLONE_NEWNS) => LinkNameSpaceType::Mount,
            _ => return Err(Failure::new("the plan joins a namespace of an unknown kind")),
        };
        rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(namespace), Some(kind))
            .doing(|| format!("enter a namespace ({kind:?})"))?;
    }
    if handed.plan.loopback {
        link::loopback_up().doing(|| "set the loopback link up")?;
    }
    Ok(())
}

fn name_host(plan: &StartPlan) -> Result<(), Failure> {
    if let Some(name) = &plan.hostname {
        rustix::system::sethostname(name.to_bytes())
            .doing(|| format!("set the host name {name:?}"))?;
    }
    if let Some(name) = &plan.domainname {
        rustix::system::setdomainname(name.to_bytes())
            .doing(|| format!("set the domain name {name:?}"))?;
    }
    Ok(())
}

/// The container's files, with everything in place.
struct Mounted {
    root: OwnedFd,
    system: system::System,
    terminal: Option<Terminal>,
    late: Vec<OwnedFd>,
}

fn mount_everything(handed: &Handed) -> Result<Mounted, Failure> {
    let plan = &handed.plan;
    if plan.root.entry != RootEntry::Chroot {
        // What the host unmounts goes here too; what is mounted here does not show there.
        let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
        rustix::mount::mount_change(c"/", slave).doing(|| "leave the host's mounts")?;
    }
    let root = rootfs::mount(&plan.root, handed.root.as_ref(), &handed.id_maps)?;
    let (system, late) = if plan.system.mounted {
        let system = system::mount(&root, &plan.system, handed.shm.as_ref())?;
        let late = mounts::mount(&root, plan, &handed.mounts, &handed.id_maps)?;
        (system, late)
    } else {
        let late = mounts::mount(&root, plan, &handed.mounts, &handed.id_maps)?;
        (system::find(&root, plan)?, late)
    };
    let terminal = match (&handed.stdio, &system.pts) {
        (Some(_), _) => None,
        (None, Some(pts)) => {
            let terminal = open_terminal(pts, handed.own().and_then(|own| own.size))?;
            if let Some(dev) = &system.dev {
                console::show(dev, &terminal)?;
            }
            Some(terminal)
        }
        (None, None) => return Err(Failure::new("the container has no /dev/pts for a terminal")),
    };
    if !plan.sysctls.is_empty() {
        system::sysctls(system.proc()?, &plan.sysctls)?;
    }
    system::restrict(&root, &system, &plan.system)?;
    if handed.own().is_some_and(|own| own.pauses) {
        Report::Mounted.send(&handed.parent, None);
    }
    Ok(Mounted { root, system, terminal, late })
}
