//! `events`: what a container uses, now and again, and that its memory ran out.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Value, json};

use super::super::cgroup::{Cgroup, Stats};
use super::super::hooks::Status;
use super::error::{Context as _, OciError, Result};
use super::state::{Container, Store};

/// What a container uses at this moment, in the form that runc gives it.
///
/// # Errors
/// If it does not run.
pub fn stats(store: &Store, id: &str) -> Result<Value> {
    let container = store.container(id)?;
    if container.status() == Status::Stopped {
        return Err(OciError::new(format!("container {id:?} is not running")));
    }
    event(&container)
}

/// Tells of each event until the container has ended, or `tell` says that nobody listens.
///
/// # Errors
/// If it does not run.
pub fn events(
    store: &Store,
    id: &str,
    interval: Duration,
    mut tell: impl FnMut(&Value) -> bool,
) -> Result<()> {
    let container = store.container(id)?;
    let first = container.first()?;
    let cgroup = container.cgroup();
    let watch = cgroup.oom_watch()?;
    let mut killed = cgroup.oom_kills()?;
    let mut next = Instant::now();
    loop {
        if Instant::now() >= next {
            next += interval;
            if !tell(&event(&container)?) {
                return Ok(());
            }
        }
        if wait(&first, watch.as_ref(), next)? {
            return Ok(());
        }
        drain(watch.as_ref());
        let now = cgroup.oom_kills()?;
        if now > killed {
            killed = now;
            if !tell(&json!({ "type": "oom", "id": id })) {
                return Ok(());
            }
        }
    }
}

/// Whether the container has ended.
fn wait(first: &OwnedFd, watch: Option<&OwnedFd>, until: Instant) -> Result<bool> {
    let left = until.saturating_duration_since(Instant::now()) + Duration::from_micros(500);
    let timeout = Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: left.subsec_nanos().into(),
    };
    let mut fds = vec![PollFd::new(first, PollFlags::IN)];
    fds.extend(watch.map(|watch| PollFd::new(watch, PollFlags::IN)));
    match poll(&mut fds, Some(&timeout)) {
        Err(rustix::io::Errno::INTR) => Ok(false),
        polled => {
            polled.cannot(|| "wait for events")?;
            Ok(!fds[0].revents().is_empty())
        }
    }
}

fn drain(watch: Option<&OwnedFd>) {
    let mut buffer = [0; 1024];
    while watch.is_some_and(|watch| rustix::io::read(watch, &mut buffer).is_ok_and(|n| n > 0)) {}
}

fn event(container: &Container) -> Result<Value> {
    let cgroup: Cgroup = container.cgroup();
    let stats = cgroup.stats()?;
    Ok(json!({ "type": "stats", "id": container.id(), "data": data(&stats) }))
}

fn data(stats: &Stats) -> Value {
    let operations = |read: u64, write: u64| json!([{ "op": "Read", "value": read }, { "op": "Write", "value": write }]);
    json!({
        "cpu": {
            "usage": {
                "total": stats.cpu_ns,
                "kernel": stats.cpu_system_ns,
                "user": stats.cpu_user_ns,
            },
            "throttling": { "throttledPeriods": stats.throttled },
        },
        "memory": {
            "cache": stats.cache,
            "usage": {
                "usage": stats.memory,
                "limit": stats.memory_limit.unwrap_or(u64::MAX),
                "max": stats.memory_peak.unwrap_or(0),
            },
            "raw": { "inactive_file": stats.inactive_file },
        },
        "pids": { "current": stats.pids, "limit": stats.pids_limit.unwrap_or(0) },
        "blkio": {
            "ioServiceBytesRecursive": operations(stats.read_bytes, stats.write_bytes),
            "ioServicedRecursive": operations(stats.reads, stats.writes),
        },
    })
}
