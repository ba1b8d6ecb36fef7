//! What containers use, and what runs in them.

use std::fs;
use std::time::Duration;

use super::super::cgroup::Stats;
use super::{Runtime, RuntimeError};
use crate::model::ContainerId;

/// A process of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcessInfo {
    /// Its id in the host's view.
    pub pid: u32,
    /// Its parent's.
    pub parent: u32,
    /// Its user, as the container counts them.
    pub uid: u32,
    /// When it started, as time since the boot.
    pub started: Duration,
    /// CPU time it has used.
    pub cpu: Duration,
    /// Memory it has in use, in bytes.
    pub memory: u64,
    /// Its terminal, as `pts/0`; empty if it has none.
    pub terminal: String,
    /// Its command line; its name in brackets if it shows none.
    pub command: String,
}

impl Runtime {
    /// What a container that runs has used.
    ///
    /// # Errors
    /// If it does not run, or the kernel does not tell.
    pub async fn stats(&self, id: &ContainerId) -> Result<Stats, RuntimeError> {
        let cgroup = self.running_cgroup(id)?;
        super::blocking(move || Ok(cgroup.stats()?)).await
    }

    /// The processes of a container that runs, by id.
    ///
    /// # Errors
    /// As [`Runtime::stats`].
    pub async fn processes(&self, id: &ContainerId) -> Result<Vec<ProcessInfo>, RuntimeError> {
        let cgroup = self.running_cgroup(id)?;
        let users = self.entry(id)?.asked.container.users.clone();
        super::blocking(move || {
            let inside = |mut info: ProcessInfo| {
                info.uid = users.as_ref().and_then(|u| u.user_inside(info.uid)).unwrap_or(info.uid);
                info
            };
            let mut pids = cgroup.pids()?;
            pids.sort_unstable();
            // One that has ended meanwhile is left out.
            Ok(pids.into_iter().filter_map(look).map(inside).collect())
        })
        .await
    }
}

fn look(pid: u32) -> Option<ProcessInfo> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut info = parse(&stat, &status)?;
    info.pid = pid;
    let line = String::from_utf8_lossy(&line);
    let line = line.trim_end_matches('\0').replace('\0', " ");
    if !line.is_empty() {
        info.command = line;
    }
    Some(info)
}

fn parse(stat: &str, status: &str) -> Option<ProcessInfo> {
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // `proc_pid_stat(5)` counts from 1; the field after the name is number 3.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let ticks = |number| field(number).map(|ticks| Duration::from_millis(ticks * 10));
    let line = |name| status.lines().find_map(|line| line.strip_prefix(name));
    let first = |line: &str| line.split_whitespace().next()?.parse::<u64>().ok();
    Some(ProcessInfo {
        pid: 0,
        parent: u32::try_from(field(4)?).ok()?,
        uid: u32::try_from(first(line("Uid:")?)?).ok()?,
        started: ticks(22)?,
        cpu: ticks(14)? + ticks(15)?,
        // In KiB; one that is ending has none.
        memory: line("VmRSS:").and_then(first).unwrap_or_default() * 1024,
        terminal: terminal(field(7).unwrap_or_default()),
        command: format!("[{name}]"),
    })
}

/// The kernel packs a terminal's number as `makedev` did in its first decades.
fn terminal(number: u64) -> String {
    match (number >> 8) & 0xfff {
        136..=143 => format!("pts/{}", (number & 0xff) | ((number >> 12) & 0xf_ff00)),
        _ => String::new(),
    }
}
