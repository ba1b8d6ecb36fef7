//! The daemon itself, and its host.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::timeout;
use tracing::warn;

use super::{Daemon, blocking, images_in_use, internal};
use crate::api::control::{Answer, DiskUsage, Info, Space};
use crate::model::{Agreed, Command};
use crate::runtime::cgroup::{Cgroups, Version};

/// How long programs may take to end when the daemon is told to stop them, beyond their own grace.
const STOP_WAIT: Duration = Duration::from_secs(90);

impl Daemon {
    pub(super) async fn describe(&self) -> Answer<Info> {
        let host = nix::sys::utsname::uname().map_err(internal)?;
        let cgroups = Cgroups::detect().map_err(internal)?;
        let cgroups = match cgroups.version() {
            Version::V1 => "v1",
            Version::V2 => "v2",
        };
        Ok(Info {
            instance: self.instance.clone(),
            pid: std::process::id(),
            started: self.started,
            hostname: host.nodename().to_string_lossy().into_owned(),
            kernel: host.release().to_string_lossy().into_owned(),
            cgroups: cgroups.to_owned(),
            cpus: std::thread::available_parallelism()
                .map_or(1, |cpus| u32::try_from(cpus.get()).unwrap_or(u32::MAX)),
            memory: memory(),
            warnings: self
                .engine
                .view()
                .borrow()
                .problems
                .iter()
                .map(|problem| problem.message.clone())
                .collect(),
        })
    }

    pub(super) async fn measure_disk(&self) -> Answer<DiskUsage> {
        let agreed = self.agreed();
        let hands = self.hands().clone();
        let root = self.instance.root.clone();
        let running = self.hands().runtime.containers().len() as u64;
        blocking(move || {
            Ok(DiskUsage {
                images: image_space(&hands.images, &agreed)?,
                containers: directories(&root.join("containers"), |_| true, running),
                volumes: volume_space(&root.join("volumes"), &agreed),
                logs: directories(&root.join("logs"), |_| true, agreed.tasks.len() as u64),
            })
        })
        .await
    }

    pub(super) async fn end(&self, containers: bool) -> Answer<()> {
        if containers {
            self.end_containers().await?;
        }
        self.stop.send_replace(true);
        Ok(())
    }

    /// Takes every stack down to nothing that runs. What is agreed stays as it is: the next daemon
    /// starts it all again, as after a reboot.
    async fn end_containers(&self) -> Answer<()> {
        self.commit(Command::Suspend(true)).await?;
        let mut view = self.engine.view();
        let quiet = view.wait_for(|view| {
            // What has ended goes as well: while a container is known, the launcher stays for it.
            view.observed.containers.is_empty() && view.observed.sandboxes.is_empty()
        });
        if timeout(STOP_WAIT, quiet).await.is_err() {
            warn!("some containers have not ended; they are left to their shims");
        }
        Ok(())
    }
}

fn memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

fn image_space(images: &crate::image::Store, agreed: &Agreed) -> Answer<Space> {
    let needed = images_in_use(agreed);
    let mut space = Space::default();
    for image in images.list().map_err(internal)? {
        space.count += 1;
        space.size += image.size;
        if needed.contains(&image.id) {
            space.active += 1;
        } else {
            space.reclaimable += image.size;
        }
    }
    Ok(space)
}

fn volume_space(volumes: &Path, agreed: &Agreed) -> Space {
    let named = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let all = agreed.stacks.values().flat_map(|stack| stack.project.volumes.values());
        all.into_iter().any(|volume| volume.name == name)
    };
    let active = entries(volumes).filter(|path| named(path)).count() as u64;
    directories(volumes, named, active)
}

/// What the directories in `parent` hold; those that are not `needed` could be removed.
fn directories(parent: &Path, needed: impl Fn(&Path) -> bool, active: u64) -> Space {
    let mut space = Space { active, ..Space::default() };
    for path in entries(parent) {
        let size = size(&path);
        space.count += 1;
        space.size += size;
        if !needed(&path) {
            space.reclaimable += size;
        }
    }
    space
}

fn entries(parent: &Path) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(parent).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// The bytes of all files below a path. Links are not followed.
pub(super) fn size(path: &Path) -> u64 {
    let mut total = 0;
    let mut left = vec![path.to_owned()];
    while let Some(path) = left.pop() {
        match std::fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => left.extend(entries(&path)),
            Ok(metadata) => total += metadata.len(),
            Err(_) => {}
        }
    }
    total
}
