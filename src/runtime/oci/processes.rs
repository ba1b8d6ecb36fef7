//! `ps`.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use serde::Serialize;

use super::error::Result;
use super::state::Store;

/// A process of a container, as the kernel shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Process {
    /// Its id in the host's view.
    pub pid: u32,
    /// Its parent.
    pub parent: u32,
    /// Its user.
    pub uid: u32,
    /// CPU time it has used, in seconds.
    pub seconds: u64,
    /// Its command line, or its name in brackets.
    pub command: String,
}

/// The processes of a container.
///
/// # Errors
/// If it is not there.
pub fn processes(store: &Store, id: &str) -> Result<Vec<Process>> {
    let mut pids = store.container(id)?.cgroup().pids()?;
    pids.sort_unstable();
    // One that ends meanwhile is not missed.
    Ok(pids.into_iter().filter_map(look).collect())
}

fn look(pid: u32) -> Option<Process> {
    let dir = format!("/proc/{pid}");
    let uid = fs::metadata(&dir).ok()?.uid();
    let stat = fs::read_to_string(format!("{dir}/stat")).ok()?;
    let (head, tail) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1;
    let fields = tail.split_whitespace().collect::<Vec<_>>();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let ticks = number(11)? + number(12)?;
    let line = fs::read(format!("{dir}/cmdline")).unwrap_or_default();
    let words = line.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect::<Vec<_>>();
    let command = words.join(" ").trim_end().to_owned();
    Some(Process {
        pid,
        parent: number(1).and_then(|parent| u32::try_from(parent).ok())?,
        uid,
        // The kernel counts in hundredths for programs, whatever its own clock is.
        seconds: ticks / 100,
        command: if command.is_empty() { format!("[{name}]") } else { command },
    })
}
