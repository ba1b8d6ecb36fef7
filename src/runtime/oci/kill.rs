//! `kill`.

use std::os::fd::AsFd as _;

use super::super::hooks::Status;
use super::error::{Context as _, OciError, Result};
use super::state::Store;
use crate::sys::signals;

/// Sends a signal to the container's first process, or to all of its processes.
///
/// # Errors
/// If it is not there, or does not run.
pub fn kill(store: &Store, id: &str, signal: i32, all: bool) -> Result<()> {
    let container = store.container(id)?;
    let cgroup = container.cgroup();
    let stopped = container.status() == Status::Stopped;
    if all {
        let pids = if stopped { cgroup.pids().unwrap_or_default() } else { cgroup.pids()? };
        for pid in pids.into_iter().filter_map(|pid| i32::try_from(pid).ok()) {
            // Gone meanwhile is as good.
            let _gone = signals::kill(pid, signal);
        }
    } else if stopped {
        return Err(OciError::new(format!("container {id:?} is not running")));
    } else {
        signals::kill_pidfd(container.first()?.as_fd(), signal)
            .cannot(|| format!("send signal {signal} to container {id:?}"))?;
    }
    // In version 1, even SIGKILL does nothing to a frozen process until that is thawed.
    if signal == libc::SIGKILL && cgroup.frozen().unwrap_or(false) {
        cgroup.thaw()?;
    }
    Ok(())
}

/// The number of a signal, by number or name.
///
/// # Errors
/// If there is no such signal.
pub fn signal(text: &str) -> Result<i32> {
    let unknown = || OciError::new(format!("there is no signal {text:?}"));
    if let Ok(number) = text.parse::<i32>() {
        return if (0..=signals::LAST).contains(&number) { Ok(number) } else { Err(unknown()) };
    }
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    if let Some(number) = real_time(name) {
        return Ok(number);
    }
    let name = match name {
        "POLL" => "IO",
        "CLD" => "CHLD",
        "IOT" => "ABRT",
        name => name,
    };
    let named: nix::sys::signal::Signal = format!("SIG{name}").parse().map_err(|_| unknown())?;
    Ok(named as i32)
}

/// `RTMIN`, `RTMIN+3`, `RTMAX-1`, counted as programs see them.
fn real_time(name: &str) -> Option<i32> {
    let (base, rest) = if let Some(rest) = name.strip_prefix("RTMIN") {
        (34, rest)
    } else {
        (signals::LAST, name.strip_prefix("RTMAX")?)
    };
    let offset = if rest.is_empty() { 0 } else { rest.parse::<i32>().ok()? };
    let number = base.checked_add(offset)?;
    (34..=signals::LAST).contains(&number).then_some(number)
}
