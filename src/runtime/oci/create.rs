//! `create` and `run`.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags};

use super::super::cgroup::{Cgroup, Cgroups};
use super::super::compile::shown as shown_cgroups;
use super::super::first::{First, Wish};
use super::super::hooks::{self, HookState, Status};
use super::super::init::{Failure, Gate, Life, Own, Report, plain};
use super::super::plan::{RootEntry, StartPlan};
use super::bundle::{self, CONFIG};
use super::compile::{self, Compiled, Manner};
use super::delete;
use super::error::{Context as _, OciError, Result};
use super::listener::Listener;
use super::relay;
use super::state::{self, Container, GO, RESULT, Record, Store};
use super::{Voice, streams};
use crate::model::IdMaps;
use crate::sys::clone::SingleThreaded;

/// What `create` and `run` are asked for.
#[derive(Debug, Clone, Default)]
pub struct CreateOptions {
    /// The directory of the configuration; the current one if not given.
    pub bundle: Option<PathBuf>,
    /// The configuration, if it is not `config.json` in the bundle.
    pub config: Option<PathBuf>,
    /// Where the id of the first process is written.
    pub pid_file: Option<PathBuf>,
    /// Who takes the terminal.
    pub console_socket: Option<PathBuf>,
    /// Whether the root is moved over the host's instead of exchanged with it.
    pub no_pivot: bool,
    /// How many more descriptors from 3 on the program gets.
    pub preserve_fds: u32,
    /// Whether `run` returns once the program runs.
    pub detach: bool,
    /// Whether `run` leaves the container when its program has ended.
    pub keep: bool,
    /// Whether `cgroupsPath` is of systemd's form.
    pub systemd_cgroup: bool,
}

/// Makes a container; its program waits for [`super::start`].
///
/// # Errors
/// If it cannot be made; nothing is left of it then.
pub fn create(store: &Store, id: &str, options: &CreateOptions, voice: &dyn Voice) -> Result<()> {
    let prepared = Prepared::read(id, options, voice)?;
    streams::check_console(prepared.compiled.plan.tty, true, options.console_socket.as_deref())?;
    let made = prepared.make(store, options, true)?;
    if let Some(path) = &options.pid_file
        && let Err(error) = write_pid(path, made.container.record.state.pid)
    {
        undo(&made.container, Some(&made.first));
        return Err(error);
    }
    Ok(())
}

/// Makes a container and starts it; its exit status, or 0 if it goes on alone.
///
/// # Errors
/// If its program does not run.
pub fn run(store: &Store, id: &str, options: &CreateOptions, voice: &dyn Voice) -> Result<u8> {
    let prepared = Prepared::read(id, options, voice)?;
    let tty = prepared.compiled.plan.tty;
    streams::check_console(tty, options.detach, options.console_socket.as_deref())?;
    let watch = (!options.detach).then(relay::Watch::begin).transpose()?;
    let made = prepared.make(store, options, false)?;
    let Made { container, first, poststart, terminal } = &made;
    let after = options
        .pid_file
        .as_ref()
        .map_or(Ok(()), |path| write_pid(path, container.record.state.pid))
        .and_then(|()| {
            let state = container.record.state.with(Status::Running, first.pid);
            hooks::run(poststart, &state, None).map_err(OciError::new)
        });
    if let Err(error) = after {
        undo(container, Some(first));
        return Err(error);
    }
    let Some(watch) = watch else { return Ok(0) };
    let status = watch.until_end(&first.pidfd, first.pid, terminal.as_ref())?;
    if !options.keep {
        delete::remove(container, voice)?;
    }
    Ok(status)
}

/// A configuration that has been read and understood.
struct Prepared {
    compiled: Compiled,
    text: Vec<u8>,
    state: HookState,
    listener: Listener,
    single: SingleThreaded,
    cgroups: Cgroups,
}

/// A container that has been made.
struct Made {
    container: Container,
    first: First,
    poststart: Vec<hooks::Hook>,
    terminal: Option<OwnedFd>,
}

impl Prepared {
    fn read(id: &str, options: &CreateOptions, voice: &dyn Voice) -> Result<Self> {
        let single = SingleThreaded::prove().cannot(|| "begin")?;
        let bundle = bundle::directory(options.bundle.as_deref())?;
        let path = match &options.config {
            Some(path) => bundle.join(path),
            None => bundle.join(CONFIG),
        };
        let config = bundle::read(&path)?;
        let manner = Manner { no_pivot: options.no_pivot, systemd: options.systemd_cgroup };
        let compiled = compile::start(&config.spec, id, &bundle, manner)?;
        let cgroups = Cgroups::detect()?;
        let left_out = cgroups.warnings(&compiled.resources);
        for warning in config.warnings.iter().chain(&compiled.warnings).chain(&left_out) {
            voice.warn(warning);
        }
        let state = HookState {
            oci_version: config.spec.version().clone(),
            id: id.to_owned(),
            status: Status::Creating,
            pid: 0,
            bundle,
            annotations: state::annotations(&config.spec),
        };
        let listener = Listener::of(&config.spec);
        Ok(Self { compiled, text: config.text, state, listener, single, cgroups })
    }

    /// Makes everything up to the first process, which waits if `gated`, else is the program in the
    /// end.
    fn make(self, store: &Store, options: &CreateOptions, gated: bool) -> Result<Made> {
        let id = self.state.id.clone();
        let dir = store.claim(&id)?;
        let cgroup = match self.cgroup(&id) {
            Ok(cgroup) => cgroup,
            Err(error) => {
                drop(fs::remove_dir_all(&dir));
                return Err(error);
            }
        };
        let text = self.text;
        let hooks = self.compiled.hooks;
        let record = Record {
            state: self.state,
            rootfs: self.compiled.rootfs,
            created: jiff::Timestamp::now().to_string(),
            owner: rustix::process::getuid().as_raw(),
            start_time: 0,
            cgroup: cgroup.parts(),
            mounted_on_host: self.compiled.plan.root.entry == RootEntry::Chroot,
            has_hooks: !hooks.poststart.is_empty() || !hooks.poststop.is_empty(),
        };
        let mut container = Container { dir, record };
        let birth = Birth {
            plan: self.compiled.plan,
            joins: self.compiled.joins,
            users: self.compiled.users,
            id_maps: self.compiled.id_maps,
            size: self.compiled.size,
            create_runtime: hooks.create_runtime,
            create_container: hooks.create_container,
            start_container: hooks.start_container,
            listener: self.listener,
            gated,
        };
        match birth.make(&mut container, &cgroup, &text, options, &self.single) {
            Ok((first, terminal)) => {
                Ok(Made { container, first, poststart: hooks.poststart, terminal })
            }
            Err((error, first)) => {
                undo(&container, first.as_ref());
                Err(error)
            }
        }
    }

    fn cgroup(&self, id: &str) -> Result<Cgroup> {
        let path = self.compiled.cgroup.clone().unwrap_or_else(|| format!("orca-oci-{id}"));
        Ok(self.cgroups.create(&path, &self.compiled.resources, &self.compiled.devices)?)
    }
}

/// What a first process is made from.
struct Birth {
    plan: StartPlan,
    joins: Vec<compile::Joined>,
    users: Option<compile::Users>,
    id_maps: Vec<IdMaps>,
    size: Option<(u16, u16)>,
    create_runtime: Vec<hooks::Hook>,
    create_container: Vec<hooks::Hook>,
    start_container: Vec<hooks::Hook>,
    listener: Listener,
    gated: bool,
}

type NotBorn = (OciError, Option<First>);

impl Birth {
    fn make(
        self,
        container: &mut Container,
        cgroup: &Cgroup,
        text: &[u8],
        options: &CreateOptions,
        single: &SingleThreaded,
    ) -> std::result::Result<(First, Option<OwnedFd>), NotBorn> {
        let unborn = |error: OciError| (error, None);
        let gate = if self.gated { Some(gate(&container.dir).map_err(unborn)?) } else { None };
        write(&container.dir.join(CONFIG), text).map_err(unborn)?;
        let mut plan = self.plan;
        plan.system.cgroups = shown_cgroups(&cgroup.parts()).map_err(|e| (e.into(), None))?;
        let listening = listen_fds(&mut plan.process.env).map_err(unborn)?;
        let stdio = if plan.tty { None } else { Some(streams::inherited().map_err(unborn)?) };
        let own = Own {
            pauses: !self.create_runtime.is_empty(),
            state: container.record.state.clone(),
            create_container: self.create_container,
            start_container: self.start_container,
            gate,
            keep: options.preserve_fds.saturating_add(listening),
            size: self.size,
        };
        let mut joins = open_namespaces(&self.joins).map_err(unborn)?;
        if let Some(users) = &self.users {
            add_users(users, &mut plan, &mut joins).map_err(unborn)?;
        }
        plan.id_maps = u32::try_from(self.id_maps.len()).unwrap_or(u32::MAX);
        for maps in &self.id_maps {
            let made = crate::sys::users::make(maps, false).cannot(|| "make a user namespace");
            joins.push(made.map_err(unborn)?.users);
        }
        let wish = Wish { plan, joins, stdio, life: Life::Own(own) };
        let first = First::make(wish, cgroup, single).map_err(|e| (e.into(), None))?;
        container.record.state.pid = first.pid;
        container.record.start_time = state::look(first.pid).map_or(0, |(_, time)| time);
        let raised = container
            .write()
            .and_then(|()| Ok(first.place(cgroup)?))
            .and_then(|()| {
                raise(&first, container, (&self.create_runtime, &self.listener), options)
            })
            .and_then(|terminal| {
                container.record.state.status = Status::Created;
                container.write().map(|()| terminal)
            });
        match raised {
            Ok(terminal) => Ok((first, terminal)),
            Err(error) => Err((error, Some(first))),
        }
    }
}

/// Accompanies the first process until it waits or is the program. The terminal, if nobody else takes
/// it.
fn raise(
    first: &First,
    container: &Container,
    (create_runtime, listener): (&[hooks::Hook], &Listener),
    options: &CreateOptions,
) -> Result<Option<OwnedFd>> {
    let mut terminal = None;
    if create_runtime.is_empty() {
        first.let_go().map_err(|failure| first.why(failure))?;
    }
    loop {
        let report = Report::receive(&first.reports)
            .map_err(|error| Failure::new(format!("cannot hear the first process: {error}")))?;
        match report {
            Some((Report::Mounted, _)) => {
                let state = container.record.state.with(Status::Creating, first.pid);
                hooks::run(create_runtime, &state, None).map_err(OciError::new)?;
                first.let_go().map_err(|failure| first.why(failure))?;
            }
            Some((Report::Terminal, fds)) => {
                let master = fds.into_iter().next();
                match (&options.console_socket, master) {
                    (Some(socket), Some(master)) => streams::hand_over(&master, socket)?,
                    (None, master) => terminal = master,
                    (Some(_), None) => {
                        return Err(OciError::new("the terminal did not come along"));
                    }
                }
            }
            Some((Report::Failed(failure), _)) => return Err(failure.into()),
            Some((Report::Listener(number), _)) => {
                let state = container.record.state.with(Status::Creating, first.pid);
                listener.hand_over(&state, (&first.pidfd, first.pid), number)?;
            }
            Some((Report::Created, _)) => return Ok(terminal),
            // It is the program, or has ended.
            None if !container.dir.join(GO).exists() => return Ok(terminal),
            None => {
                let text = "the container's first process ended before it could be started";
                return Err(OciError::new(text));
            }
        }
    }
}

/// Opens the namespaces to enter, in this process's view of paths.
fn open_namespaces(joins: &[compile::Joined]) -> Result<Vec<OwnedFd>> {
    let open = |joined: &compile::Joined| {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        rustix::fs::open(&joined.path, flags, Mode::empty())
            .cannot(|| format!("use the namespace {}", joined.path.display()))
    };
    joins.iter().map(open).collect()
}

/// The user namespace, and the network namespace that is to belong to it.
fn add_users(users: &compile::Users, plan: &mut StartPlan, joins: &mut Vec<OwnedFd>) -> Result<()> {
    const NETWORK: u32 = libc::CLONE_NEWNET.cast_unsigned();
    let mut front = Vec::new();
    match &users.path {
        Some(path) => {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            let opened = rustix::fs::open(path, flags, Mode::empty())
                .cannot(|| format!("use the namespace {}", path.display()))?;
            front.push((opened, libc::CLONE_NEWUSER.cast_unsigned()));
        }
        None => {
            let network = plan.new_namespaces & u64::from(NETWORK) != 0;
            let made =
                crate::sys::users::make(&users.maps, network).cannot(|| "make a user namespace")?;
            front.push((made.users, libc::CLONE_NEWUSER.cast_unsigned()));
            if let Some(network) = made.network {
                plan.new_namespaces &= !u64::from(NETWORK);
                front.push((network, NETWORK));
            }
        }
    }
    let (fds, kinds): (Vec<OwnedFd>, Vec<u32>) = front.into_iter().unzip();
    joins.splice(0..0, fds);
    plan.joins.splice(0..0, kinds);
    Ok(())
}

/// The named pipes between the first process and `start`. Open both ways, so that neither waits for
/// the other to open them.
fn gate(dir: &Path) -> Result<Gate> {
    let open = |name: &str| {
        let path = dir.join(name);
        let shown = || format!("make {}", path.display());
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(CWD, &path, FileType::Fifo, mode, 0).cannot(shown)?;
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        rustix::fs::open(&path, flags, Mode::empty()).cannot(shown)
    };
    Ok(Gate { go: open(GO)?, result: open(RESULT)? })
}

/// The sockets that a service manager passes on (`sd_listen_fds(3)`): how many, with the words for the
/// program, which is process 1.
fn listen_fds(env: &mut Vec<std::ffi::CString>) -> Result<u32> {
    let Some(count) = std::env::var_os("LISTEN_FDS") else { return Ok(0) };
    let count = count.to_str().and_then(|text| text.parse::<u32>().ok());
    let count = count.ok_or_else(|| OciError::new("LISTEN_FDS is not a number"))?;
    for text in [format!("LISTEN_FDS={count}"), "LISTEN_PID=1".to_owned()] {
        env.extend(std::ffi::CString::new(text));
    }
    Ok(count)
}

/// Takes away what was made of a container that is not to be.
fn undo(container: &Container, first: Option<&First>) {
    use std::os::fd::AsFd as _;
    if let Some(first) = first {
        let _gone = crate::sys::signals::kill_pidfd(first.pidfd.as_fd(), libc::SIGKILL);
        let pid = rustix::process::Pid::from_raw(first.pid);
        let _reaped = rustix::process::waitpid(pid, rustix::process::WaitOptions::empty());
    }
    let cgroup = container.cgroup();
    // What hooks or the program have left there.
    if cgroup.pids().is_ok_and(|pids| !pids.is_empty()) {
        drop(cgroup.kill());
    }
    drop(cgroup.remove());
    delete::unmount(container);
    drop(fs::remove_dir_all(&container.dir));
}

fn write(path: &Path, text: &[u8]) -> Result<()> {
    let shown = || format!("write {}", path.display());
    File::create(path).and_then(|mut file| file.write_all(text)).cannot(shown)
}

/// Whole or not at all: an engine waits for the file to appear.
pub(super) fn write_pid(path: &Path, pid: i32) -> Result<()> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    let new = path.with_file_name(name);
    File::create(&new)
        .and_then(|mut file| file.write_all(pid.to_string().as_bytes()))
        .and_then(|()| fs::rename(&new, path))
        .map_err(|error| {
            OciError::new(format!("cannot write {}: {}", path.display(), plain(&error)))
        })
}
