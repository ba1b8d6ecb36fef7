//! What can be asked of a container that runs.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::super::protocol::{Reply, Request};
use super::super::record;
use super::packets::Packets;
use super::{ContainerPhase, Runtime, RuntimeError};
use crate::model::ContainerId;

/// How long a shim may take to answer; freezing may take its time.
const PATIENCE: Duration = Duration::from_secs(10);

impl Runtime {
    /// Asks a container to end with `signal` (a name or a number; empty is SIGTERM). What is left of it
    /// after `grace` is killed, by its shim, whether or not a daemon is there. Returns once it has been
    /// asked.
    ///
    /// # Errors
    /// If it does not run, the signal is unknown, or its shim does not answer.
    pub async fn stop(
        &self,
        id: &ContainerId,
        signal: &str,
        grace: Duration,
    ) -> Result<(), RuntimeError> {
        let signal = signal_number(signal)?;
        let grace = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        // Longer waits than a year would overflow the shim's clock.
        self.ask(id, &Request::Stop { signal, grace: grace.min(31_536_000_000) }).await?;
        self.note_running(id, |stopping, _| *stopping = true);
        Ok(())
    }

    /// Sends `signal` to the container's first process.
    ///
    /// # Errors
    /// As [`Runtime::stop`].
    pub async fn kill(&self, id: &ContainerId, signal: &str) -> Result<(), RuntimeError> {
        let signal = signal_number(signal)?;
        self.ask(id, &Request::Signal(signal)).await
    }

    /// Freezes a container.
    ///
    /// # Errors
    /// If it does not run, or cannot be frozen.
    pub async fn pause(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.ask(id, &Request::Pause).await?;
        self.note_running(id, |_, paused| *paused = true);
        Ok(())
    }

    /// Thaws a container.
    ///
    /// # Errors
    /// If it does not run, or cannot be thawed.
    pub async fn unpause(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.ask(id, &Request::Resume).await?;
        self.note_running(id, |_, paused| *paused = false);
        Ok(())
    }

    /// The shim tells its watchers too, but perhaps a moment later than it answers.
    fn note_running(&self, id: &ContainerId, change: impl FnOnce(&mut bool, &mut bool)) {
        let phase = self.container(id).map(|record| record.phase);
        if let Some(ContainerPhase::Running { pid, since, mut stopping, mut paused }) = phase {
            change(&mut stopping, &mut paused);
            self.set_phase(id, ContainerPhase::Running { pid, since, stopping, paused });
        }
    }

    pub(super) async fn ask(
        &self,
        id: &ContainerId,
        request: &Request,
    ) -> Result<(), RuntimeError> {
        let packets = self.connect(id, request, &[])?;
        let answer = tokio::time::timeout(PATIENCE, packets.answer()).await;
        let silent = |source| RuntimeError::Shim { id: id.clone(), source };
        match answer.map_err(|_| silent(std::io::ErrorKind::TimedOut.into()))?.map_err(silent)? {
            (Reply::Done, _) => Ok(()),
            (Reply::Failed(why), _) => Err(RuntimeError::Refused { id: id.clone(), why }),
            (other, _) => {
                let why = format!("its shim is of another version and answers {other:?}");
                Err(RuntimeError::Refused { id: id.clone(), why })
            }
        }
    }

    /// A connection to the container's shim, with the request sent.
    pub(super) fn connect(
        &self,
        id: &ContainerId,
        request: &Request,
        fds: &[std::os::fd::BorrowedFd<'_>],
    ) -> Result<Packets, RuntimeError> {
        if matches!(self.entry(id)?.phase, ContainerPhase::Exited(_)) {
            return Err(RuntimeError::NotRunning(id.clone()));
        }
        Packets::ask(&self.record_dir(id), record::SOCKET, request, fds)
            .map_err(|source| RuntimeError::Shim { id: id.clone(), source })
    }
}

/// The number of a signal: `SIGTERM`, `TERM`, `15`, or `RTMIN+3`.
pub(super) fn signal_number(name: &str) -> Result<i32, RuntimeError> {
    let unknown = || RuntimeError::Unfit(format!("there is no signal {name:?}"));
    let upper = name.trim().to_ascii_uppercase();
    if upper.is_empty() {
        return Ok(libc::SIGTERM);
    }
    if let Ok(number) = upper.parse::<i32>() {
        return if (1..=64).contains(&number) { Ok(number) } else { Err(unknown()) };
    }
    let short = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(offset) = short.strip_prefix("RTMIN") {
        // The C library keeps the first two of the kernel's for itself.
        return real_time(offset, 34).filter(|n| (34..=64).contains(n)).ok_or_else(unknown);
    }
    if let Some(offset) = short.strip_prefix("RTMAX") {
        return real_time(offset, 64).filter(|n| (34..=64).contains(n)).ok_or_else(unknown);
    }
    let short = match short {
        "POLL" => "IO",
        "CLD" => "CHLD",
        "IOT" => "ABRT",
        other => other,
    };
    format!("SIG{short}").parse::<Signal>().map(|signal| signal as i32).map_err(|_| unknown())
}

fn real_time(offset: &str, from: i32) -> Option<i32> {
    if offset.is_empty() {
        return Some(from);
    }
    offset.starts_with(['+', '-']).then(|| offset.parse::<i32>().ok()).flatten().map(|o| from + o)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_all_the_names_that_docker_knows() {
        for (name, number) in [
            ("", 15),
            ("SIGTERM", 15),
            ("term", 15),
            ("9", 9),
            ("SIGRTMIN", 34),
            ("RTMIN+3", 37),
            ("SIGRTMAX-1", 63),
            ("sigwinch", 28),
            ("POLL", 29),
        ] {
            assert_eq!(signal_number(name).ok(), Some(number), "{name}");
        }
        for name in ["SIGNAL", "0", "65", "-1", "RTMIN+31", "RTMAX+1", "RTMIN3"] {
            assert!(signal_number(name).is_err(), "{name}");
        }
    }
}
