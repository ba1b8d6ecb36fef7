//! Hearing of containers: those that were just started, and those that were there before.

use std::path::Path;
use std::str::FromStr as _;
use std::time::Duration;

use super::super::cgroup::Cgroup;
use super::super::protocol::{Reply, Request, Status};
use super::super::record::{self, Asked};
use super::packets::Packets;
use super::start::failed;
use super::{ContainerPhase, Entry, Runtime, RuntimeError};
use crate::model::{Boottime, ContainerId, Exit};
use crate::sys::clock;

/// How long a shim has to say how its container is doing.
const PATIENCE: Duration = Duration::from_secs(2);
/// The exit status of a container whose end nobody saw.
const UNSEEN: i32 = 255;

impl Runtime {
    /// Finds every container that has a record.
    pub(super) async fn adopt(&self) -> Result<(), RuntimeError> {
        let records = self.records();
        let entries =
            std::fs::read_dir(&records).map_err(|source| failed("read", &records, source))?;
        let mut first_words = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|source| failed("read", &records, source))?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(record::GONE) {
                // Nobody needs it; the next daemon tries again.
                drop(std::fs::remove_dir_all(entry.path()));
            }
            let Ok(id) = ContainerId::from_str(&name) else { continue };
            match record::read_asked(&entry.path()) {
                Ok(asked) if was_never_begun(&entry.path()) => {
                    self.forget_unfinished(&id, Some(asked));
                }
                Ok(asked) => first_words.push(self.adopt_one(id, asked)),
                Err(_) if is_free(&entry.path()) => self.forget_unfinished(&id, None),
                Err(error) => tracing::warn!("container {id} has a shim and no record: {error}"),
            }
        }
        futures_util::future::join_all(first_words).await;
        Ok(())
    }

    async fn adopt_one(&self, id: ContainerId, asked: Asked) {
        let dir = self.record_dir(&id);
        let phase = match (record::read_exit(&dir), record::read_started(&dir)) {
            (Some(exit), _) => ContainerPhase::Exited(exit),
            (None, Some(started)) => ContainerPhase::Running {
                pid: started.pid.unsigned_abs(),
                since: started.since,
                stopping: false,
                paused: false,
            },
            (None, None) => ContainerPhase::Creating,
        };
        let ended = matches!(phase, ContainerPhase::Exited(_));
        self.lock().insert(id.clone(), Entry::new(asked, phase));
        self.note_change();
        if !ended {
            self.reconnect(&id).await;
        }
    }

    /// Connects to a shim and hears its first words; without a shim, finds out how it ended.
    async fn reconnect(&self, id: &ContainerId) {
        let dir = self.record_dir(id);
        let Ok(packets) = Packets::ask(&dir, record::SOCKET, &Request::Watch, &[]) else {
            self.settle(id).await;
            return;
        };
        match tokio::time::timeout(PATIENCE, packets.receive()).await {
            Ok(Ok(Some((Reply::Status(status), _)))) if !status.ended => self.heard(id, status),
            // It is slow: what the record says must do for now.
            Err(_) => {}
            Ok(_) => {
                self.settle(id).await;
                return;
            }
        }
        self.watch(id.clone(), packets);
    }

    /// Removes what an earlier daemon made for a container and handed to no shim: nothing of it ever ran,
    /// and whoever wants it asks for it again.
    fn forget_unfinished(&self, id: &ContainerId, asked: Option<Asked>) {
        let dir = self.record_dir(id);
        let removed = match asked {
            Some(asked) => Cgroup::from_parts(asked.cgroup).remove(),
            None => {
                let default = || format!("{}/{id}", self.inner.instance.kernel_name());
                let path = record::read_place(&dir).unwrap_or_else(default);
                self.inner.cgroups.remove_base(&path)
            }
        };
        if let Err(error) = removed {
            tracing::warn!("cannot remove what is left of container {id}: {error}");
        }
        if let Err(error) = std::fs::remove_dir_all(&dir) {
            tracing::warn!("cannot remove what is left of container {id}: {error}");
        }
    }

    /// Waits until the program of a container that is being made runs, whoever asked for it: perhaps an
    /// earlier daemon, which was killed meanwhile. Its shim goes on alone.
    ///
    /// # Errors
    /// If it has ended, or there is no such container (any more).
    pub async fn running(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let mut changed = self.changed();
        loop {
            changed.mark_unchanged();
            match self.entry(id)?.phase {
                ContainerPhase::Running { .. } => return Ok(()),
                ContainerPhase::Exited(_) => return Err(RuntimeError::NotRunning(id.clone())),
                ContainerPhase::Creating => {}
            }
            // The sender lives as long as this runtime.
            drop(changed.changed().await);
        }
    }

    /// Listens for as long as the shim lives.
    pub(super) fn watch(&self, id: ContainerId, packets: Packets) {
        let runtime = self.clone();
        tokio::spawn(async move {
            while let Ok(Some((reply, _))) = packets.receive().await {
                match reply {
                    Reply::Status(status) if !status.ended => runtime.heard(&id, status),
                    _ => break,
                }
            }
            runtime.settle(&id).await;
        });
    }

    pub(super) fn heard(&self, id: &ContainerId, status: Status) {
        let phase = if status.pid == 0 {
            ContainerPhase::Creating
        } else {
            ContainerPhase::Running {
                pid: status.pid.unsigned_abs(),
                since: Boottime(Duration::from_nanos(status.since)),
                stopping: status.stopping,
                paused: status.paused,
            }
        };
        self.set_phase(id, phase);
    }

    /// Finds out how a container ended whose shim is silent. If the shim is dead, the container is
    /// killed; if it only lost the connection, it is heard again.
    pub(super) async fn settle(&self, id: &ContainerId) -> Exit {
        let dir = self.record_dir(id);
        let mut wait = Duration::from_millis(1);
        loop {
            if let Some(exit) = record::read_exit(&dir) {
                self.set_phase(id, ContainerPhase::Exited(exit.clone()));
                return exit;
            }
            if is_free(&dir) {
                // The record may have been written between the two looks.
                if record::read_exit(&dir).is_none() {
                    self.bury(id).await;
                }
                continue;
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(Duration::from_secs(1));
            if wait > Duration::from_millis(100)
                && let Ok(packets) = Packets::ask(&dir, record::SOCKET, &Request::Watch, &[])
            {
                let _end = packets.receive().await;
            }
        }
    }

    /// The shim was killed: so is the container, and that is its end.
    async fn bury(&self, id: &ContainerId) {
        let runtime = self.clone();
        let of = id.clone();
        let buried = super::blocking(move || {
            let dir = runtime.record_dir(&of);
            let started = record::read_started(&dir);
            if let Ok(entry) = runtime.entry(&of) {
                let cgroup = Cgroup::from_parts(entry.asked.cgroup.clone());
                cgroup.kill()?;
                wait_until_empty(&cgroup);
            }
            let at = clock::boottime();
            let exit = Exit {
                code: UNSEEN,
                error: started.is_none().then(|| "its start was cut off".to_owned()),
                at,
                ran: started.map(|started| at.since(started.since)).unwrap_or_default(),
                ..Exit::default()
            };
            record::write_exit(&dir, &exit)
                .map_err(|source| failed("write a record in", &dir, source))
        })
        .await;
        if let Err(error) = buried {
            tracing::error!("cannot end container {id}, whose shim is dead: {error}");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

/// Killed processes are dying, not gone.
fn wait_until_empty(cgroup: &Cgroup) {
    for _ in 0..1000 {
        if cgroup.pids().is_ok_and(|pids| pids.is_empty()) {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether there is no shim, and never was one that got as far as making the first process. With the
/// lock free nothing is written any more, so it is looked at first.
fn was_never_begun(dir: &Path) -> bool {
    is_free(dir) && !record::is_begun(dir)
}

/// Whether no shim holds the lock.
fn is_free(dir: &Path) -> bool {
    let Ok(lock) = std::fs::File::open(dir.join(record::LOCK)) else { return true };
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockShared).is_ok()
}
