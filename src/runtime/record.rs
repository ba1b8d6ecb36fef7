//! What is written down about a container, in its directory `<run>/c/<id>`.
//!
//! `container.json` is the daemon's: what was asked for. `started` and `exit` are the shim's. Each
//! appears whole or not at all. A shim holds a lock on `lock` for as long as it lives, so that whoever
//! finds the lock free knows that nobody will write any more.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cgroup::Part;
use crate::model::{Boottime, Container, Exit};

/// What was asked for.
pub(super) const CONTAINER: &str = "container.json";
/// What the name of a record's directory begins with while it is removed.
pub(super) const GONE: &str = ".gone-";
/// The shim's lock.
pub(super) const LOCK: &str = "lock";
/// The shim's socket.
pub(super) const SOCKET: &str = "shim.sock";
/// An empty directory to attach the root to while it is made.
pub(super) const STAGE: &str = "root";
const STARTED: &str = "started";
const EXIT: &str = "exit";
const EXIT_SPACE: &str = "exit.new";
/// Where the cgroup is, if not in its usual place; written before it is made.
const PLACE: &str = "place";
/// The room that is kept for an exit record, and its largest size, in bytes.
const EXIT_ROOM: usize = 4096;
/// No file of a record is larger, in bytes.
const MAX_FILE: u64 = 64 << 20;

/// A container as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Asked {
    /// The container.
    pub container: Arc<Container>,
    /// Its cgroup.
    pub cgroup: Vec<Part>,
    /// Where its log is.
    pub log_dir: PathBuf,
    /// Its own seccomp profile, as it was read.
    #[serde(default)]
    pub seccomp_profile: Option<String>,
}

/// A program that runs, or ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Started {
    /// Its process in the host's view.
    pub pid: i32,
    /// When the kernel made that process, in its own units: tells it from a later one of that id.
    pub start_time: u64,
    /// When it began to run.
    pub since: Boottime,
}

/// Writes what was asked for.
///
/// # Errors
/// If it cannot be written.
pub(super) fn write_asked(dir: &Path, asked: &Asked) -> io::Result<()> {
    replace(dir, CONTAINER, &serde_json::to_vec(asked)?)
}

/// What was asked for.
///
/// # Errors
/// If it cannot be read, or is damaged.
pub(super) fn read_asked(dir: &Path) -> io::Result<Asked> {
    Ok(serde_json::from_slice(&read(dir, CONTAINER)?)?)
}

/// Writes where the container's cgroup is about to be made.
///
/// # Errors
/// If it cannot be written.
pub(super) fn write_place(dir: &Path, path: &str) -> io::Result<()> {
    replace(dir, PLACE, path.as_bytes())
}

/// Where the container's cgroup was to be made, if that is not its usual place.
pub(super) fn read_place(dir: &Path) -> Option<String> {
    String::from_utf8(read(dir, PLACE).ok()?).ok()
}

/// Whether a shim got as far as making the container: it takes the room for the exit record first.
pub(super) fn is_begun(dir: &Path) -> bool {
    [EXIT_SPACE, EXIT, STARTED].iter().any(|name| dir.join(name).exists())
}

/// Writes that the program runs.
///
/// # Errors
/// If it cannot be written.
pub(super) fn write_started(dir: &Path, started: Started) -> io::Result<()> {
    let Started { pid, start_time, since } = started;
    replace(dir, STARTED, format!("{pid} {start_time} {}\n", since.0.as_nanos()).as_bytes())
}

/// When the program started; `None` if it has not.
pub(super) fn read_started(dir: &Path) -> Option<Started> {
    let text = String::from_utf8(read(dir, STARTED).ok()?).ok()?;
    let mut fields = text.split_whitespace();
    Some(Started {
        pid: fields.next()?.parse().ok()?,
        start_time: fields.next()?.parse().ok()?,
        since: Boottime(Duration::from_nanos(fields.next()?.parse().ok()?)),
    })
}

/// Room for the exit record, taken before the container starts, so that a full disk cannot lose it.
#[derive(Debug)]
pub(super) struct ExitSpace(File);

impl ExitSpace {
    /// Takes the room.
    ///
    /// # Errors
    /// If there is none.
    pub(super) fn reserve(dir: &Path) -> io::Result<Self> {
        let file =
            File::options().write(true).create(true).truncate(true).open(dir.join(EXIT_SPACE))?;
        file.write_all_at(&[b' '; EXIT_ROOM], 0)?;
        Ok(Self(file))
    }

    /// Writes how the container ended.
    ///
    /// # Errors
    /// If the record cannot be put in place.
    pub(super) fn fill(&self, dir: &Path, exit: &Exit) -> io::Result<()> {
        let mut text = format_exit(exit).into_bytes();
        text.truncate(EXIT_ROOM);
        self.0.write_all_at(&text, 0)?;
        self.0.set_len(u64::try_from(text.len()).unwrap_or_default())?;
        std::fs::rename(dir.join(EXIT_SPACE), dir.join(EXIT))
    }
}

/// Writes how a container ended whose shim could not.
///
/// # Errors
/// If it cannot be written.
pub(super) fn write_exit(dir: &Path, exit: &Exit) -> io::Result<()> {
    replace(dir, EXIT, format_exit(exit).as_bytes())
}

/// How the container ended; `None` if it has not.
pub(super) fn read_exit(dir: &Path) -> Option<Exit> {
    let bytes = read(dir, EXIT).ok()?;
    parse_exit(&String::from_utf8_lossy(&bytes))
}

fn format_exit(exit: &Exit) -> String {
    let Exit { code, oom, at, ran, error, .. } = exit;
    let error = error.as_deref().unwrap_or_default();
    format!("{code} {} {} {}\n{error}", u8::from(*oom), at.0.as_nanos(), ran.as_nanos())
}

fn parse_exit(text: &str) -> Option<Exit> {
    let (line, error) = text.split_once('\n')?;
    let mut fields = line.split_whitespace();
    Some(Exit {
        code: fields.next()?.parse().ok()?,
        oom: fields.next()? == "1",
        at: Boottime(Duration::from_nanos(fields.next()?.parse().ok()?)),
        ran: Duration::from_nanos(fields.next()?.parse().ok()?),
        error: (!error.is_empty()).then(|| error.to_owned()),
        ..Exit::default()
    })
}

/// When the kernel made process `pid`, in clock ticks since the boot; `None` once it is gone.
pub(super) fn start_time(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Field 22; what follows the name's closing bracket starts with field 3.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

fn replace(dir: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let new = dir.join(format!("{name}.new"));
    let mut file = File::create(&new)?;
    file.write_all(content)?;
    drop(file);
    std::fs::rename(new, dir.join(name))
}

fn read(dir: &Path, name: &str) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(dir.join(name))?.take(MAX_FILE).read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_is_read_as_it_was_written() {
        let exit = Exit {
            code: 137,
            oom: true,
            error: Some("first line\nsecond line".to_owned()),
            at: Boottime(Duration::from_nanos(12_345_678_901)),
            ran: Duration::from_millis(7),
            ..Exit::default()
        };
        let dir = tempfile::tempdir().unwrap();
        ExitSpace::reserve(dir.path()).unwrap().fill(dir.path(), &exit).unwrap();
        assert_eq!(read_exit(dir.path()), Some(exit));
    }

    #[test]
    fn a_damaged_record_is_no_exit() {
        for text in ["", "\n", "x 0 1 2\n", "1 0 1\n", "1 0 1 2"] {
            assert_eq!(parse_exit(text), None, "{text:?}");
        }
    }
}
