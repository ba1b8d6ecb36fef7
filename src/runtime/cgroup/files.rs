//! The files of a cgroup.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::CgroupError;

/// The most that is read of one file. `cgroup.procs` of a container at the largest `pid_max`, and
/// `io.stat` of hundreds of disks, are less.
const MAX_FILE: u64 = 64 << 20;

/// The text of a file.
pub(super) fn read(path: &Path) -> Result<String, CgroupError> {
    let fail = |source| CgroupError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    File::open(path).map_err(fail)?.take(MAX_FILE).read_to_string(&mut text).map_err(fail)?;
    Ok(text)
}

/// The text of a file, `None` if there is no such file.
pub(super) fn read_if_there(path: &Path) -> Result<Option<String>, CgroupError> {
    match read(path) {
        Err(error) if error.is(Errno::NOENT) => Ok(None),
        text => text.map(Some),
    }
}

/// Writes a value at once: the kernel takes each write as one value.
pub(super) fn write(dir: &Path, file: &str, value: &str) -> Result<(), CgroupError> {
    let fail =
        |source| CgroupError::Write { path: dir.join(file), value: value.to_owned(), source };
    // Not `fs::write`: its O_CREAT turns "no such file" into "permission denied".
    let mut open = OpenOptions::new().write(true).open(dir.join(file)).map_err(fail)?;
    loop {
        match open.write(value.as_bytes()) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(fail(error)),
        }
    }
}

/// Opens a file for writing.
pub(super) fn open_write(dir: &Path, file: &str) -> Result<File, CgroupError> {
    let path = dir.join(file);
    OpenOptions::new().write(true).open(&path).map_err(|source| CgroupError::Write {
        path,
        value: String::new(),
        source,
    })
}

/// Opens a directory, for calls that take a cgroup as a descriptor.
pub(super) fn open_dir(dir: &Path) -> Result<OwnedFd, CgroupError> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::open(dir, flags, Mode::empty())
        .map_err(|source| CgroupError::Read { path: dir.to_owned(), source: source.into() })
}

/// Makes a directory; another process may have made it first.
pub(super) fn make_dir(dir: &Path) -> Result<(), CgroupError> {
    match fs::create_dir(dir) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            Err(CgroupError::Make { path: dir.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Lets the children of a v2 cgroup have controllers. One that the kernel refuses here (`cpu` while
/// there are real-time processes) is only an error once a limit needs it.
pub(super) fn enable_controllers(dir: &Path, controllers: &[String]) -> Result<(), CgroupError> {
    let enabled = read(&dir.join("cgroup.subtree_control"))?;
    for controller in controllers {
        if enabled.split_whitespace().any(|one| one == controller) {
            continue;
        }
        match write(dir, "cgroup.subtree_control", &format!("+{controller}")) {
            // A cgroup with processes in it: the caller has not made room.
            Err(error) if error.is(Errno::BUSY) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Gives a new v1 cpuset the CPUs and memory nodes of its parent: it starts with none, and takes no
/// process until it has some.
pub(super) fn inherit_cpuset(parent: &Path, dir: &Path) -> Result<(), CgroupError> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if read(&dir.join(file))?.trim().is_empty() {
            write(dir, file, read(&parent.join(file))?.trim())?;
        }
    }
    Ok(())
}

/// The processes in a cgroup.
pub(super) fn pids(dir: &Path) -> Result<Vec<u32>, CgroupError> {
    match read(&dir.join("cgroup.procs")) {
        // Removed meanwhile, or a v2 cgroup whose parent holds its processes (threaded).
        Err(error)
            if [Errno::NOENT, Errno::NODEV, Errno::OPNOTSUPP].iter().any(|e| error.is(*e)) =>
        {
            Ok(Vec::new())
        }
        text => Ok(text?.lines().filter_map(|line| line.parse().ok()).collect()),
    }
}

/// The processes in a cgroup and in those below it.
pub(super) fn pids_below(dir: &Path, depth: usize) -> Result<Vec<u32>, CgroupError> {
    let mut all = pids(dir)?;
    if depth > 0 {
        for child in children(dir)? {
            all.extend(pids_below(&child, depth - 1)?);
        }
    }
    Ok(all)
}

/// The cgroups right below.
pub(super) fn children(dir: &Path) -> Result<Vec<std::path::PathBuf>, CgroupError> {
    let fail = |source| CgroupError::Read { path: dir.to_owned(), source };
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(fail)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(fail)?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// The number in a file with one number; `None` for `max`, and where there is no such file.
pub(super) fn number(dir: &Path, file: &str) -> Result<Option<u64>, CgroupError> {
    let path = dir.join(file);
    match read_if_there(&path)?.as_deref().map(str::trim) {
        None | Some("max") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| odd(&path, text)),
    }
}

/// The number beside `key` in lines of `key number`; 0 if it is not there.
pub(super) fn field(text: &str, key: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

/// The error of a file that makes no sense.
pub(super) fn odd(path: &Path, text: &str) -> CgroupError {
    CgroupError::Odd { path: path.to_owned(), text: text.chars().take(80).collect() }
}
