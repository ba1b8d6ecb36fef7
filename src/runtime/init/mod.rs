//! The first process of a container: from the clone of its shim to the program.
//!
//! It walks its plan from top to bottom and decides nothing. Its shim has one thread, so the heap it
//! was copied with is whole; still it allocates next to nothing, for speed.

mod console;
mod failure;
mod inside;
mod mounts;
mod pid1;
mod program;
mod rootfs;
mod system;

use std::ffi::CString;
use std::os::fd::OwnedFd;

use rustix::mount::MountPropagationFlags;
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

use super::plan::StartPlan;
use crate::sys::clone::{self, SingleThreaded};
use crate::sys::{link, seqpacket, signals};

pub(super) use console::{Stdio, Terminal, null, open as open_terminal};
pub(super) use failure::{CANNOT_MAKE, CANNOT_RUN, Doing, Failure, Report};
pub(super) use inside::find as find_in_root;
pub(super) use mounts::prepare as prepare_mounts;
pub(super) use program::{
    LIMITS, become_user, environment, find_user, limit, own_root, run as run_program, set_oom_score,
};
pub(super) use system::take_shm;

/// What the shim hands to the first process.
pub(super) struct Handed {
    /// What to do.
    pub plan: StartPlan,
    /// Namespaces to enter, and their kinds.
    pub joins: Vec<(OwnedFd, u32)>,
    /// The mounts that come from the host.
    pub mounts: Vec<Option<OwnedFd>>,
    /// The `/dev/shm` of the container whose IPC is shared.
    pub shm: Option<OwnedFd>,
    /// Its streams; `None` with a terminal, which is made on the way.
    pub stdio: Option<Stdio>,
    /// The connection to the shim: its first packet says go, and its end says that the program runs.
    pub shim: OwnedFd,
}

/// Becomes the program, or reports why not and ends.
pub(super) fn run(handed: Handed, single: &SingleThreaded) -> ! {
    let failure = match set_up(&handed, single) {
        Ok(never) => match never {},
        Err(failure) => failure,
    };
    let code = failure.code;
    Report::Failed(failure).send(&handed.shim, None);
    clone::exit_now(code)
}

fn set_up(handed: &Handed, single: &SingleThreaded) -> Result<std::convert::Infallible, Failure> {
    let plan = &handed.plan;
    // First of all, so that nothing of the shim's is open in the program (CVE-2024-21626).
    clone::close_on_exec_from(3).doing(|| "close what is open")?;
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .doing(|| "tie the container to its shim")?;
    wait_for_go(&handed.shim)?;
    signals::block_all();
    rustix::process::setsid().doing(|| "start a session")?;
    rustix::process::umask(rustix::fs::Mode::empty());
    program::set_oom_score(&plan.process)?;
    enter_namespaces(handed)?;
    name_host(plan)?;

    let root = mount_everything(handed)?;
    let Mounted { root, system, terminal } = root;
    let made;
    let stdio = match (&handed.stdio, terminal) {
        (Some(stdio), _) => stdio,
        (None, Some(terminal)) => {
            Report::Terminal.send(&handed.shim, Some(&terminal.master));
            made = Stdio::of_terminal(terminal.slave)?;
            &made
        }
        (None, None) => return Err(Failure::new("the plan has neither streams nor a terminal")),
    };
    if plan.process.make_cwd {
        rootfs::ensure_cwd(&root, &plan.process.cwd)?;
    }
    let user = find_user(&root, &plan.process)?;
    if plan.root.read_only {
        rootfs::make_read_only(&root)?;
    }
    rootfs::enter(&root)?;
    drop(system);
    drop(root);
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    limit(&plan.process)?;
    let env: Vec<CString> = environment(&plan.process, &user);
    become_user(&plan.process, &user, stdio)?;
    if plan.init {
        return Err(pid1::run(&plan.process, env, stdio.terminal, single));
    }
    run_program(&plan.process, env)
}

/// The shim first puts this process where its limits are.
fn wait_for_go(shim: &OwnedFd) -> Result<(), Failure> {
    let (length, _) = seqpacket::receive(shim, &mut [0; 1]).doing(|| "wait for the shim")?;
    if length == 1 { Ok(()) } else { Err(Failure::new("the shim is gone")) }
}

fn enter_namespaces(handed: &Handed) -> Result<(), Failure> {
    for (namespace, kind) in &handed.joins {
        let kind = match i32::try_from(*kind) {
            Ok(libc::CLONE_NEWNET) => LinkNameSpaceType::Network,
            Ok(libc::CLONE_NEWIPC) => LinkNameSpaceType::InterProcessCommunication,
            Ok(libc::CLONE_NEWUTS) => LinkNameSpaceType::HostNameAndNISDomainName,
            Ok(libc::CLONE_NEWCGROUP) => LinkNameSpaceType::ControlGroup,
            _ => return Err(Failure::new("the plan joins a namespace of an unknown kind")),
        };
        rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(namespace), Some(kind))
            .doing(|| format!("enter a namespace ({kind:?})"))?;
    }
    if handed.plan.new_cgroup_namespace {
        #[expect(deprecated, reason = "its replacement is unsafe for the file table, which stays")]
        rustix::thread::unshare(UnshareFlags::NEWCGROUP).doing(|| "make a cgroup namespace")?;
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
}

fn mount_everything(handed: &Handed) -> Result<Mounted, Failure> {
    let plan = &handed.plan;
    // What the host unmounts goes here too; what is mounted here does not show there.
    let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    rustix::mount::mount_change(c"/", slave).doing(|| "leave the host's mounts")?;
    let root = rootfs::mount(&plan.root)?;
    let system = system::mount(&root, &plan.system, handed.shm.as_ref())?;
    mounts::mount(&root, &plan.mounts, &handed.mounts, &plan.root.stage, plan.system.privileged)?;
    let terminal = match handed.stdio {
        Some(_) => None,
        None => {
            let terminal = open_terminal(&system.pts, None)?;
            console::show(&system.dev, &terminal)?;
            Some(terminal)
        }
    };
    system::sysctls(&system.proc, &plan.sysctls)?;
    system::restrict(&root, &system, &plan.system)?;
    Ok(Mounted { root, system, terminal })
}
