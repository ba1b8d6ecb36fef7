//! `exec`.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;

use oci_spec::runtime::{Capability, LinuxCapabilities, Process, Spec, User};

use super::super::exec::{Place, Program, begin};
use super::super::hooks::{HookState, Status};
use super::super::init::{Failure, Report};
use super::super::plan::ExecPlan;
use super::create::write_pid;
use super::error::{Context as _, OciError, Result};
use super::listener::Listener;
use super::state::{Container, Store};
use super::{Voice, bundle, compile, relay, streams};
use crate::sys::clone::SingleThreaded;
use crate::sys::{signals, tuning};

/// What `exec` is asked for.
#[derive(Debug, Clone, Default)]
pub struct ExecOptions {
    /// A file that says all of it, as in `config.json`.
    pub process: Option<PathBuf>,
    /// The program and its arguments, else.
    pub args: Vec<String>,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Where it starts.
    pub cwd: Option<String>,
    /// More `NAME=VALUE`.
    pub env: Vec<String>,
    /// `uid` or `uid:gid`.
    pub user: Option<String>,
    /// More groups.
    pub additional_gids: Vec<u32>,
    /// More capabilities.
    pub cap: Vec<String>,
    /// A profile of AppArmor.
    pub apparmor: Option<String>,
    /// A label of SELinux.
    pub process_label: Option<String>,
    /// Whether it can never gain privileges.
    pub no_new_privs: bool,
    /// A cgroup below the container's.
    pub cgroup: Option<String>,
    /// Whether it is started although the container is paused.
    pub ignore_paused: bool,
    /// Whether to return once it runs.
    pub detach: bool,
    /// Where the id of its process is written.
    pub pid_file: Option<PathBuf>,
    /// Who takes the terminal.
    pub console_socket: Option<PathBuf>,
    /// How many more descriptors from 3 on it gets.
    pub preserve_fds: u32,
}

/// Runs a program in a container; its exit status, or 0 if it goes on alone.
///
/// # Errors
/// If the container does not run, or the program cannot be run.
pub fn exec(store: &Store, id: &str, options: &ExecOptions, voice: &dyn Voice) -> Result<u8> {
    let single = SingleThreaded::prove().cannot(|| "begin")?;
    let container = store.container(id)?;
    check(&container, options)?;
    let spec = container.spec()?;
    let (process, mut warnings) = process(&spec, options)?;
    let asked = compile::exec(&process, &spec, &mut warnings)?;
    for warning in &warnings {
        voice.warn(warning);
    }
    streams::check_console(asked.terminal, options.detach, options.console_socket.as_deref())?;
    let watch = (!options.detach).then(relay::Watch::begin).transpose()?;
    affinity(&process, voice)?;
    let first = container.first()?;
    let cgroup = match options.cgroup.as_deref() {
        // The container's own root is what it sees as that.
        None | Some("" | "/") => container.cgroup(),
        Some(path) => container.cgroup().below(path)?,
    };
    let place = Place { first: &first, cgroup: &cgroup };
    let stdio = if asked.terminal { None } else { Some(streams::inherited()?) };
    let plan = ExecPlan {
        tty: asked.terminal,
        size: asked.size,
        users: compile::users(&spec)?.map(|users| users.maps),
        tied: false,
        keep: options.preserve_fds,
        process: asked.plan,
    };
    let program = begin(plan, stdio, &place, &single)?;
    let listener = Listener::of(&spec);
    let state = container.shown();
    let terminal = match until_it_runs(&program, (&listener, &state), options) {
        Ok(terminal) => terminal,
        Err(error) => {
            let _gone = signals::kill_pidfd(program.pidfd.as_fd(), libc::SIGKILL);
            return Err(error);
        }
    };
    match watch {
        Some(watch) => watch.until_end(&program.pidfd, program.pid, terminal.as_ref()),
        None => Ok(0),
    }
}

fn check(container: &Container, options: &ExecOptions) -> Result<()> {
    let id = container.id();
    match container.status() {
        Status::Stopped => Err(OciError::new(format!("container {id:?} is not running"))),
        Status::Paused if !options.ignore_paused => {
            Err(OciError::new(format!("container {id:?} is paused")))
        }
        // Nothing but the host's root is found in the host's mount namespace.
        _ if container.record.mounted_on_host => Err(OciError::new(format!(
            "container {id:?} has no mount namespace: nothing can be run in it"
        ))),
        _ => Ok(()),
    }
}

/// The terminal, if nobody else takes it.
fn until_it_runs(
    program: &Program,
    (listener, state): (&Listener, &HookState),
    options: &ExecOptions,
) -> Result<Option<OwnedFd>> {
    let mut terminal = None;
    loop {
        let report = Report::receive(&program.reports)
            .map_err(|error| Failure::new(format!("cannot hear the program: {error}")))?;
        match report {
            Some((Report::Terminal, fds)) => {
                match (&options.console_socket, fds.into_iter().next()) {
                    (Some(socket), Some(master)) => streams::hand_over(&master, socket)?,
                    (_, master) => terminal = master,
                }
            }
            Some((Report::Failed(failure), _)) => return Err(failure.into()),
            Some((Report::Listener(number), _)) => {
                listener.hand_over(state, (&program.pidfd, program.pid), number)?;
            }
            Some((Report::Mounted | Report::Created, _)) => {}
            None => break,
        }
    }
    if let Some(path) = &options.pid_file {
        write_pid(path, program.pid)?;
    }
    Ok(terminal)
}

/// What is to be run: the file, or the container's own process with the words of the command line.
fn process(spec: &Spec, options: &ExecOptions) -> Result<(Process, Vec<String>)> {
    let (mut process, warnings) = match &options.process {
        Some(path) => bundle::read_process(path)?,
        None => {
            let own = spec.process().clone();
            let mut process = own.ok_or_else(|| OciError::new("process is missing"))?;
            process.set_args(Some(options.args.clone()));
            process.set_terminal(Some(options.tty));
            (process, Vec::new())
        }
    };
    if options.process.is_none() && options.args.is_empty() {
        return Err(OciError::new("there is no program to run: name one, or give --process"));
    }
    if process.exec_cpu_affinity().is_none() {
        let own = spec.process().as_ref();
        process.set_exec_cpu_affinity(own.and_then(|own| own.exec_cpu_affinity().clone()));
    }
    if options.tty {
        process.set_terminal(Some(true));
    }
    if let Some(cwd) = &options.cwd {
        process.set_cwd(cwd.into());
    }
    if !options.env.is_empty() {
        let mut env = process.env().clone().unwrap_or_default();
        for variable in &options.env {
            let name = variable.split('=').next().unwrap_or_default();
            env.retain(|other| other.split('=').next() != Some(name));
            env.push(variable.clone());
        }
        process.set_env(Some(env));
    }
    user(&mut process, options)?;
    rights(&mut process, options)?;
    Ok((process, warnings))
}

fn user(process: &mut Process, options: &ExecOptions) -> Result<()> {
    if let Some(text) = &options.user {
        let (uid, gid) = text.split_once(':').unwrap_or((text, "0"));
        let number = |text: &str| {
            text.parse::<u32>().map_err(|_| {
                OciError::new(format!("--user {text:?} is not a number: it is uid or uid:gid"))
            })
        };
        let mut user = User::default();
        user.set_uid(number(uid)?);
        user.set_gid(number(gid)?);
        process.set_user(user);
    }
    if !options.additional_gids.is_empty() {
        let mut user = process.user().clone();
        let mut groups = user.additional_gids().clone().unwrap_or_default();
        groups.extend(&options.additional_gids);
        user.set_additional_gids(Some(groups));
        process.set_user(user);
    }
    Ok(())
}

/// Capabilities are added to the bounding, effective and permitted sets, never to those that programs
/// inherit (CVE-2022-29162).
fn rights(process: &mut Process, options: &ExecOptions) -> Result<()> {
    if !options.cap.is_empty() {
        let mut sets = process.capabilities().clone().unwrap_or_else(|| {
            let mut none = LinuxCapabilities::default();
            none.set_bounding(None).set_effective(None).set_inheritable(None);
            none.set_permitted(None).set_ambient(None);
            none
        });
        for name in &options.cap {
            let capability: Capability = serde_json::from_value(name.clone().into())
                .map_err(|_| OciError::new(format!("there is no capability {name:?}")))?;
            let with = |set: &Option<oci_spec::runtime::Capabilities>| {
                let mut set = set.clone().unwrap_or_default();
                set.insert(capability);
                Some(set)
            };
            let (bounding, effective) = (with(sets.bounding()), with(sets.effective()));
            let permitted = with(sets.permitted());
            sets.set_bounding(bounding).set_effective(effective).set_permitted(permitted);
        }
        process.set_capabilities(Some(sets));
    }
    if options.no_new_privs {
        process.set_no_new_privileges(Some(true));
    }
    if options.apparmor.is_some() {
        process.set_apparmor_profile(options.apparmor.clone());
    }
    if options.process_label.is_some() {
        process.set_selinux_label(options.process_label.clone());
    }
    Ok(())
}

/// The runtime's own part of an `exec` runs where the program's beginning is to run.
fn affinity(process: &Process, voice: &dyn Voice) -> Result<()> {
    let Some(cpus) = compile::initial_cpus(process)? else { return Ok(()) };
    tuning::set_affinity(&cpus).cannot(|| "set the initial CPU affinity")?;
    let shown: String = cpus.iter().rev().map(|word| format!("{word:x}")).collect();
    voice.debug(&format!("affinity: 0x{shown}"));
    Ok(())
}
