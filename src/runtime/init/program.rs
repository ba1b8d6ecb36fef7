//! The last steps: who the program is, what it may do, and becoming it.

use std::convert::Infallible;
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::process::{Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::super::plan::ProcessPlan;
use super::super::users::{self, User};
use super::console::Stdio;
use super::failure::{CANNOT_RUN, Doing as _, Failure, NOT_FOUND, plain};
use super::inside;
use crate::sys::exec::{Strings, execve};
use crate::sys::{clone, seccomp, signals};

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
    users::lookup(&passwd, &group, &process.user, &process.groups)
        .map_err(|error| Failure::new(error.to_string()))
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

/// Takes on the user, the rights and the filter of the program, and connects its streams. The calling
/// process is in the container's root.
pub(in crate::runtime) fn become_user(
    process: &ProcessPlan,
    user: &User,
    stdio: &Stdio,
) -> Result<(), Failure> {
    // The program may open its streams again by name, /dev/stdout: they must be its own. What it has
    // no right to give away (a terminal of somebody else) stays as it is.
    for stream in &stdio.streams {
        let _ignored = rustix::fs::fchown(stream, Some(Uid::from_raw(user.uid)), None);
    }
    stdio.install()?;
    change_dir(process)?;
    if process.no_new_privileges {
        rustix::thread::set_no_new_privs(true).doing(|| "set no_new_privs")?;
        set_identity(process, user)?;
        filter(process)?;
    } else {
        // Without no_new_privs only CAP_SYS_ADMIN may load a filter: before it is given up.
        filter(process)?;
        set_identity(process, user)?;
    }
    verify_dir(process)
}

fn filter(process: &ProcessPlan) -> Result<(), Failure> {
    if process.seccomp.0.is_empty() {
        return Ok(());
    }
    seccomp::load_filter(&process.seccomp.0, process.seccomp_flags)
        .doing(|| "load the system call filter")
}

/// Groups, user, then rights: bounding set as asked, inheritable set empty (CVE-2022-29162), and
/// everything else within what the kernel gives that user.
fn set_identity(process: &ProcessPlan, user: &User) -> Result<(), Failure> {
    let wanted = CapabilitySet::from_bits_retain(process.capabilities);
    let bounded = rustix::thread::capabilities(None).doing(|| "read the capabilities")?.permitted;
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
    // With the first group among the others, or a program could shed it to get around a file that
    // denies that group (CVE-2022-36109).
    let mut groups = vec![Gid::from_raw(user.gid)];
    groups
        .extend(user.groups.iter().filter(|gid| **gid != user.gid).map(|gid| Gid::from_raw(*gid)));
    rustix::thread::set_thread_groups(&groups).doing(|| "set the groups")?;
    let gid = Gid::from_raw(user.gid);
    rustix::thread::set_thread_res_gid(gid, gid, gid)
        .doing(|| format!("become group {}", user.gid))?;
    rustix::thread::set_keep_capabilities(true).doing(|| "keep the capabilities")?;
    let uid = Uid::from_raw(user.uid);
    rustix::thread::set_thread_res_uid(uid, uid, uid)
        .doing(|| format!("become user {}", user.uid))?;
    rustix::thread::set_keep_capabilities(false).doing(|| "keep the capabilities")?;
    // What orca itself lacks cannot be given; the program has the rest.
    let held = wanted & bounded;
    let sets =
        CapabilitySets { effective: held, permitted: held, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets).doing(|| "set the capabilities")?;
    // A change of user has taken this back: the container ends with its shim.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .doing(|| "tie the container to its shim")
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

/// Becomes the program.
pub(in crate::runtime) fn run(
    process: &ProcessPlan,
    env: Vec<CString>,
) -> Result<Infallible, Failure> {
    let args = Strings::new(process.args.clone());
    let env = Strings::new(env);
    let Some(name) = process.args.first() else {
        return Err(Failure { code: CANNOT_RUN, message: "there is no program to run".into() });
    };
    signals::reset();
    clone::close_on_exec_from(3).doing(|| "close what is open")?;
    if name.to_bytes().contains(&b'/') {
        let error = execve(name, &args, &env);
        return Err(refused(name, &error));
    }
    let mut seen = None;
    for candidate in candidates(name, env.strings()) {
        let error = execve(&candidate, &args, &env);
        match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) => {}
            // A directory of that name, or no right: perhaps there is another one.
            Some(libc::EACCES) => {
                if is_file(&candidate) {
                    seen = Some(error);
                }
            }
            _ => return Err(refused(name, &error)),
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
