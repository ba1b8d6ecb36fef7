//! The last steps: who the program is, what it may do, and becoming it.

use std::convert::Infallible;
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid};
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::super::plan::{Capabilities, ProcessPlan, Scheduler, Tuning};
use super::super::users::{self, User};
use super::console::Stdio;
use super::failure::{CANNOT_RUN, Doing as _, Failure, NOT_FOUND, plain};
use super::inside;
use crate::model::IdMaps;
use crate::sys::exec::{Strings, execve};
use crate::sys::{clone, seccomp, signals, tuning};

/// Limits of a process, by the names users give them; their place is their number in a plan.
pub(in crate::runtime) const LIMITS: [(&str, Resource); 16] = [
    ("as", Resource::As),
    ("core", Resource::Core),
    ("cpu", Resource::Cpu),
    ("data", Resource::Data),
    ("fsize", Resource::Fsize),
    ("locks", Resource::Locks),
    ("memlock", Resource::Memlock),
    ("msgqueue", Resource::Msgqueue),
    ("nice", Resource::Nice),
    ("nofile", Resource::Nofile),
    ("nproc", Resource::Nproc),
    ("rss", Resource::Rss),
    ("rtprio", Resource::Rtprio),
    ("rttime", Resource::Rttime),
    ("sigpending", Resource::Sigpending),
    ("stack", Resource::Stack),
];

/// Reads the container's user files and finds the program's user there. `root` is the container's.
pub(in crate::runtime) fn find_user(
    root: impl AsFd + Copy,
    process: &ProcessPlan,
) -> Result<User, Failure> {
    let read = |path| inside::read_file(root, path, users::MAX_FILE);
    let passwd = read(c"etc/passwd").doing(|| "read the container's /etc/passwd")?;
    let group = read(c"etc/group").doing(|| "read the container's /etc/group")?;
    let mut user = users::lookup(&passwd, &group, &process.user, &process.groups)
        .map_err(|error| Failure::new(error.to_string()))?;
    if !process.first_among_groups {
        // As they are listed, one more than once if so.
        user.groups = process.groups.iter().filter_map(|group| group.parse().ok()).collect();
    }
    Ok(user)
}

/// Nobody may trace the calling process, or open what it has open, until it is the program.
pub(in crate::runtime) fn keep_out() -> Result<(), Failure> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .doing(|| "keep others out of the start")
}

/// Sets the limits of the calling process. Before the user changes: only root may raise them.
pub(in crate::runtime) fn limit(process: &ProcessPlan) -> Result<(), Failure> {
    for (number, (soft, hard)) in &process.rlimits {
        let (name, resource) = usize::try_from(*number)
            .ok()
            .and_then(|number| LIMITS.get(number))
            .ok_or_else(|| Failure::new("a limit of the plan is unknown"))?;
        let bound = |value: u64| (value != u64::MAX).then_some(value);
        let limit = Rlimit { current: bound(*soft), maximum: bound(*hard) };
        rustix::process::setrlimit(*resource, limit)
            .doing(|| format!("set the limit {name} to {soft}:{hard}"))?;
    }
    Ok(())
}

/// Writes the calling process's score through the host's `/proc`: call it before that is gone.
pub(in crate::runtime) fn set_oom_score(process: &ProcessPlan) -> Result<(), Failure> {
    let Some(score) = process.oom_score_adj else { return Ok(()) };
    let doing = || format!("set oom_score_adj to {score}");
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open(c"/proc/self/oom_score_adj", flags, Mode::empty()).doing(doing)?;
    rustix::io::write(&file, score.to_string().as_bytes()).map(drop).doing(doing)
}

/// Settings that need rights the program may not have. `proc` is a `/proc` of the container's own.
pub(in crate::runtime) fn tune(
    process: &ProcessPlan,
    proc: Option<&OwnedFd>,
) -> Result<(), Failure> {
    let Tuning { scheduler, io_priority, personality, affinity, memory_policy, labels, umask: _ } =
        &process.tuning;
    if let Some(Scheduler { policy, flags, nice, priority, runtime, deadline, period }) = *scheduler
    {
        let attributes =
            tuning::Scheduling { policy, flags, nice, priority, runtime, deadline, period };
        tuning::set_scheduler(attributes).doing(|| "set the scheduler")?;
    }
    if let Some(priority) = io_priority {
        tuning::set_io_priority(*priority).doing(|| "set the I/O priority")?;
    }
    if let Some(personality) = personality {
        tuning::set_personality(*personality).doing(|| "set the personality")?;
    }
    if let Some(cpus) = affinity {
        tuning::set_affinity(cpus).doing(|| "set the CPU affinity")?;
    }
    if let Some((mode, nodes)) = memory_policy {
        tuning::set_memory_policy(*mode, nodes).doing(|| "set the memory policy")?;
    }
    labels.iter().try_for_each(|(file, label)| set_label(proc, file, label))
}

/// Asks the kernel's security module for a label of the program to come, through a `/proc` that
/// nothing can have been mounted on (CVE-2019-16884, CVE-2025-52881).
fn set_label(proc: Option<&OwnedFd>, file: &CString, label: &CString) -> Result<(), Failure> {
    use rustix::fs::ResolveFlags;
    let doing = || match label.to_str().ok().and_then(|label| label.strip_prefix("exec ")) {
        Some(profile) => format!("take on the AppArmor profile {profile:?}, which must be loaded"),
        None => format!("set the security label {label:?}"),
    };
    let proc = proc.ok_or_else(|| Failure::new("the container has no /proc for its label"))?;
    let own = rustix::process::getpid().as_raw_pid();
    let path = format!("{own}/attr/{}", file.to_string_lossy());
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat2(proc, path, flags, Mode::empty(), resolve).doing(doing)?;
    rustix::io::write(&file, label.as_bytes()).map(drop).doing(doing)
}

/// Takes on the user and the rights of the program, and connects its streams. The calling process is
/// in the container's root. What [`confine`] does comes last.
pub(in crate::runtime) fn become_user(
    process: &ProcessPlan,
    user: &User,
    stdio: &Stdio,
) -> Result<(), Failure> {
    stdio.install()?;
    change_dir(process)?;
    if process.no_new_privileges {
        rustix::thread::set_no_new_privs(true).doing(|| "set no_new_privs")?;
    }
    set_identity(process, user)?;
    let umask = process.tuning.umask.unwrap_or(0o022);
    rustix::process::umask(Mode::from_raw_mode(umask & 0o777));
    verify_dir(process)
}

/// The program may open its streams again by name, /dev/stdout: they must be its own. What it has no
/// right to give away (a terminal of somebody else) stays as it is, and so does the host's /dev/null,
/// which is everybody's. `maps` are those of the user namespace that the calling process will enter.
pub(in crate::runtime) fn give_streams(
    stdio: &Stdio,
    user: &User,
    maps: Option<&IdMaps>,
) -> Result<(), Failure> {
    let uid = match maps {
        None => user.uid,
        Some(maps) => outside(user, maps)?,
    };
    let null = rustix::fs::makedev(1, 3);
    for stream in &stdio.streams {
        let keeps =
            rustix::fs::fstat(stream).is_ok_and(|stat| stat.st_rdev == null || stat.st_uid == uid);
        if !keeps {
            let _ignored = rustix::fs::fchown(stream, Some(Uid::from_raw(uid)), None);
        }
    }
    Ok(())
}

/// What the user is outside; it and its groups must be there.
fn outside(user: &User, maps: &IdMaps) -> Result<u32, Failure> {
    let nobody = |what: &str, number: u32| {
        Failure::new(format!(
            "there is no {what} {number} in the container's user namespace: `userns_mode: host` \
             gives it the host's"
        ))
    };
    let mut groups = user.groups.iter().chain([&user.gid]);
    if let Some(gid) = groups.find(|gid| maps.group(**gid).is_none()) {
        return Err(nobody("group", *gid));
    }
    maps.user(user.uid).ok_or_else(|| nobody("user", user.uid))
}

/// Puts the filter of system calls in force and gives up what only that needed. As late as can be:
/// what follows must be allowed by the filter.
pub(in crate::runtime) fn confine(process: &ProcessPlan) -> Result<Option<OwnedFd>, Failure> {
    if process.seccomp.0.is_empty() {
        return Ok(None);
    }
    let listener = seccomp::load_filter(&process.seccomp.0, process.seccomp_flags)
        .doing(|| "load the system call filter")?;
    if needs_loader_right(process) {
        set_capabilities(process.capabilities)?;
    }
    Ok(listener)
}

/// Without `no_new_privs` only CAP_SYS_ADMIN may load a filter: it is kept until that is done.
fn needs_loader_right(process: &ProcessPlan) -> bool {
    !process.seccomp.0.is_empty()
        && !process.no_new_privileges
        && process.capabilities.effective & LOADER == 0
}

/// CAP_SYS_ADMIN.
const LOADER: u64 = 1 << 21;

/// Groups, user, then rights.
fn set_identity(process: &ProcessPlan, user: &User) -> Result<(), Failure> {
    bound(process.capabilities.bounding)?;
    // With the first group among the others, or a program could shed it to get around a file that
    // denies that group (CVE-2022-36109).
    let first = process.first_among_groups.then_some(user.gid);
    let others = user.groups.iter().copied().filter(|gid| Some(*gid) != first);
    let groups = first.into_iter().chain(others).map(Gid::from_raw).collect::<Vec<_>>();
    rustix::thread::set_thread_groups(&groups).doing(|| "set the groups")?;
    let gid = Gid::from_raw(user.gid);
    rustix::thread::set_thread_res_gid(gid, gid, gid)
        .doing(|| format!("become group {}", user.gid))?;
    rustix::thread::set_keep_capabilities(true).doing(|| "keep the capabilities")?;
    let uid = Uid::from_raw(user.uid);
    rustix::thread::set_thread_res_uid(uid, uid, uid)
        .doing(|| format!("become user {}", user.uid))?;
    rustix::thread::set_keep_capabilities(false).doing(|| "keep the capabilities")?;
    let mut rights = process.capabilities;
    if needs_loader_right(process) {
        rights.effective |= LOADER;
        rights.permitted |= LOADER;
    }
    set_capabilities(rights)?;
    raise_ambient(process.capabilities.ambient)
}

/// Drops all other capabilities from what may ever be gained.
fn bound(wanted: u64) -> Result<(), Failure> {
    let wanted = CapabilitySet::from_bits_retain(wanted);
    for number in 0..64 {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if wanted.contains(capability) {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // The kernel knows no capability of this number, nor of any higher one.
            Err(rustix::io::Errno::INVAL) => break,
            done => done.doing(|| format!("drop capability {number}"))?,
        }
    }
    Ok(())
}

/// What orca itself lacks cannot be given; the program has the rest.
fn set_capabilities(rights: Capabilities) -> Result<(), Failure> {
    let held = rustix::thread::capabilities(None).doing(|| "read the capabilities")?.permitted;
    let of = |bits: u64| CapabilitySet::from_bits_retain(bits) & held;
    let permitted = of(rights.permitted);
    let sets = CapabilitySets {
        effective: of(rights.effective) & permitted,
        permitted,
        inheritable: of(rights.inheritable),
    };
    rustix::thread::set_capabilities(None, sets).doing(|| "set the capabilities")
}

/// Raises what can be raised: only what is permitted and inheritable.
fn raise_ambient(wanted: u64) -> Result<(), Failure> {
    rustix::thread::clear_ambient_capability_set().doing(|| "clear the ambient capabilities")?;
    for number in (0..64).filter(|number| wanted & (1 << number) != 0) {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        match rustix::thread::configure_capability_in_ambient_set(capability, true) {
            Err(rustix::io::Errno::PERM) => {}
            done => done.doing(|| format!("raise capability {number}"))?,
        }
    }
    Ok(())
}

fn change_dir(process: &ProcessPlan) -> Result<(), Failure> {
    match rustix::process::chdir(process.cwd.as_c_str()) {
        // Root in a container may lack the right to search; the user may have it.
        Ok(()) | Err(rustix::io::Errno::ACCESS) => Ok(()),
        Err(error) => Err(error).doing(|| format!("change to the directory {:?}", process.cwd)),
    }
}

/// The directory must lie in the container: one of the host's, reached through a leaked descriptor,
/// has no path here (CVE-2024-21626).
fn verify_dir(process: &ProcessPlan) -> Result<(), Failure> {
    let doing = || format!("change to the directory {:?}", process.cwd);
    rustix::process::chdir(process.cwd.as_c_str()).doing(doing)?;
    let place = rustix::process::getcwd(Vec::with_capacity(4096)).doing(doing)?;
    if place.to_bytes().starts_with(b"/") {
        Ok(())
    } else {
        Err(Failure::new(format!("the directory {:?} is outside the container", process.cwd)))
    }
}

/// The environment, with `HOME` if it has none.
pub(in crate::runtime) fn environment(process: &ProcessPlan, user: &User) -> Vec<CString> {
    let mut env = process.env.clone();
    if !env.iter().any(|variable| variable.to_bytes().starts_with(b"HOME=")) {
        env.extend(CString::new(format!("HOME={}", user.home)));
    }
    env
}

/// A program that has been found, with all that `execve` wants.
pub(in crate::runtime) struct Ready {
    path: CString,
    args: Strings,
    env: Strings,
}

/// Finds the program in the calling process's root, with its rights.
pub(in crate::runtime) fn find(process: &ProcessPlan, env: Vec<CString>) -> Result<Ready, Failure> {
    let Some(name) = process.args.first() else {
        return Err(Failure { code: CANNOT_RUN, message: "there is no program to run".into() });
    };
    let path = if name.to_bytes().contains(&b'/') {
        runs(name).map_err(|error| refused(name, &error))?;
        name.clone()
    } else {
        look_for(name, &env)?
    };
    let args = Strings::new(process.args.clone());
    Ok(Ready { path, args, env: Strings::new(env) })
}

fn look_for(name: &CString, env: &[CString]) -> Result<CString, Failure> {
    let mut seen = None;
    for candidate in candidates(name, env) {
        match runs(&candidate) {
            Ok(()) => return Ok(candidate),
            // A directory of that name, or no right: perhaps there is another one.
            Err(error) if error.raw_os_error() == Some(libc::EACCES) => {
                if is_file(&candidate) {
                    seen = Some(error);
                }
            }
            Err(_) => {}
        }
    }
    match seen {
        Some(error) => Err(refused(name, &error)),
        None => Err(Failure {
            code: NOT_FOUND,
            message: format!("exec: {name:?}: executable file not found in $PATH"),
        }),
    }
}

/// Whether the calling process may run the file.
fn runs(path: &CString) -> io::Result<()> {
    let found = std::fs::metadata(OsStr::from_bytes(path.to_bytes()))?;
    if !found.is_file() {
        return Err(io::Error::from_raw_os_error(libc::EACCES));
    }
    let access = rustix::fs::Access::EXEC_OK;
    Ok(rustix::fs::accessat(CWD, path.as_c_str(), access, AtFlags::EACCESS)?)
}

impl Ready {
    /// The program's environment.
    pub(in crate::runtime) fn env(&self) -> &[CString] {
        self.env.strings()
    }

    /// The last that happens before the program: only `execve` is left. Descriptors from `first` on
    /// are not for it. What comes back asks about system calls, if the filter has such.
    pub(in crate::runtime) fn ready(
        &self,
        process: &ProcessPlan,
        first: u32,
    ) -> Result<Option<OwnedFd>, Failure> {
        signals::reset();
        clone::close_on_exec_from(first).doing(|| "close what is open")?;
        confine(process)
    }

    /// Becomes the program.
    pub(in crate::runtime) fn exec(&self) -> Result<Infallible, Failure> {
        let error = execve(&self.path, &self.args, &self.env);
        Err(refused(self.args.strings().first().unwrap_or(&self.path), &error))
    }

    /// Becomes the program at once.
    pub(in crate::runtime) fn run(
        &self,
        process: &ProcessPlan,
        first: u32,
    ) -> Result<Infallible, Failure> {
        drop(self.ready(process, first)?);
        self.exec()
    }
}

/// `name` in each directory of the program's own `PATH`.
fn candidates(name: &CString, env: &[CString]) -> Vec<CString> {
    let path = env.iter().find_map(|variable| variable.to_bytes().strip_prefix(b"PATH="));
    path.unwrap_or_default()
        .split(|byte| *byte == b':')
        // A relative directory would make it depend on where the program starts.
        .filter(|directory| directory.starts_with(b"/"))
        .filter_map(|directory| CString::new([directory, b"/", name.to_bytes()].concat()).ok())
        .collect()
}

fn is_file(path: &CString) -> bool {
    std::fs::metadata(OsStr::from_bytes(path.to_bytes())).is_ok_and(|found| found.is_file())
}

/// The words and codes of Docker: other tools look for them.
fn refused(name: &CString, error: &io::Error) -> Failure {
    let shown = name.to_string_lossy();
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENOTDIR) => Failure {
            code: NOT_FOUND,
            message: format!("exec: {name:?}: stat {shown}: no such file or directory"),
        },
        _ => Failure { code: CANNOT_RUN, message: format!("exec: {name:?}: {}", plain(error)) },
    }
}

/// The root directory of the calling process.
pub(in crate::runtime) fn own_root() -> Result<OwnedFd, Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(c"/", flags, Mode::empty()).doing(|| "open the container's root")
}
