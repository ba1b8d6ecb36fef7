//! The way of a program into a container that runs.

use std::convert::Infallible;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::thread::ThreadNameSpaceType;

use super::super::init::{self, Doing as _, Failure, Report, Stdio};
use super::super::plan::ExecPlan;
use crate::sys::{clone, seqpacket, signals};

/// Becomes the program, or reports why not and ends.
pub(super) fn run(plan: &ExecPlan, stdio: Option<Stdio>, first: &OwnedFd, helper: &OwnedFd) -> ! {
    let failure = match set_up(plan, stdio, first, helper) {
        Ok(never) => match never {},
        Err(failure) => failure,
    };
    let code = failure.code;
    Report::Failed(failure).send(helper, None);
    clone::exit_now(code)
}

fn set_up(
    plan: &ExecPlan,
    stdio: Option<Stdio>,
    first: &OwnedFd,
    helper: &OwnedFd,
) -> Result<Infallible, Failure> {
    // It was born among the container's processes: none of them may look into it (CVE-2016-9962).
    init::keep_out()?;
    let closed = 3_u32.saturating_add(plan.keep);
    clone::close_on_exec_from(closed).doing(|| "close what is open")?;
    if plan.tied {
        tie()?;
    }
    let (length, _) = seqpacket::receive(helper, &mut [0; 1]).doing(|| "wait for the helper")?;
    if length == 0 {
        return Err(Failure::new("the helper is gone"));
    }
    signals::block_all();
    rustix::process::setsid().doing(|| "start a session")?;
    init::set_oom_score(&plan.process)?;
    enter(first)?;
    let root = init::own_root()?;
    let stdio = match stdio {
        Some(stdio) => stdio,
        None => terminal(&root, plan.size, helper)?,
    };
    let user = init::find_user(&root, &plan.process)?;
    drop(root);
    init::limit(&plan.process)?;
    init::tune(&plan.process, None)?;
    let env = init::environment(&plan.process, &user);
    init::give_streams(&stdio, &user, plan.users.as_ref())?;
    if plan.users.is_some() {
        enter_users(first)?;
    }
    init::become_user(&plan.process, &user, &stdio)?;
    if plan.tied {
        // A change of user has taken this back.
        tie()?;
    }
    let program = init::find_program(&plan.process, env)?;
    let listener = program.ready(&plan.process, closed)?;
    Report::tell_listener(listener.as_ref(), helper)?;
    program.exec()
}

/// The program ends with its helper.
fn tie() -> Result<(), Failure> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .doing(|| "tie the program to its helper")
}

/// All namespaces of the container at once; its processes were entered by birth.
fn enter(first: &OwnedFd) -> Result<(), Failure> {
    let kinds = ThreadNameSpaceType::MOUNT
        | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME
        | ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION
        | ThreadNameSpaceType::NETWORK
        | ThreadNameSpaceType::CONTROL_GROUP;
    rustix::thread::move_into_thread_name_spaces(first.as_fd(), kinds)
        .doing(|| "enter the container's namespaces")
}

/// The container's user namespace: there is no way back.
fn enter_users(first: &OwnedFd) -> Result<(), Failure> {
    rustix::thread::move_into_thread_name_spaces(first.as_fd(), ThreadNameSpaceType::USER)
        .doing(|| "enter the container's user namespace")
}

/// A terminal in the container's own devpts.
fn terminal(root: &OwnedFd, size: Option<(u16, u16)>, helper: &OwnedFd) -> Result<Stdio, Failure> {
    let terminal = init::open_terminal(&init::find_pts(root)?, size)?;
    Report::Terminal.send(helper, Some(&terminal.master));
    Stdio::of_terminal(terminal.slave)
}
