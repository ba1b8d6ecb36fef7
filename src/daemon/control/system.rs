//! The daemon itself, and its host.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::timeout;
use tracing::warn;

use super::images::timestamp;
use super::volumes::{stacks_that_name, users};
use super::{Daemon, blocking, images_in_use, internal};
use crate::api::control::{
    Answer, ContainerSpace, DiskUsage, ImageSpace, Info, Space, VolumeSpace,
};
use crate::engine::linux::Hands;
use crate::image;
use crate::model::{Agreed, Command, ContainerId, Digest};
use crate::runtime::ContainerPhase;
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
            no_user_namespaces: self.hands().runtime.user_namespaces().err().map(str::to_owned),
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
        let max_size = self.settings.images.max_size;
        blocking(move || {
            let images = hands.images.disk_usage().map_err(internal)?;
            let container_list = container_list(&hands, &images);
            let volume_list = volume_list(&hands, &agreed)?;
            Ok(DiskUsage {
                images: image_space(&images, &agreed),
                containers: container_space(&container_list),
                volumes: volume_space(&volume_list, &agreed),
                logs: directories(&root.join("logs"), |_| true, agreed.tasks.len() as u64),
                image_list: images.images.into_iter().map(image_row).collect(),
                container_list,
                volume_list,
                max_size,
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

fn image_space(usage: &image::DiskUsage, agreed: &Agreed) -> Space {
    let needed = images_in_use(agreed);
    let in_use = |image: &&image::ImageUsage| image.containers > 0 || needed.contains(&image.id);
    let (active, unused): (Vec<_>, Vec<_>) = usage.images.iter().partition(in_use);
    let unused = unused.into_iter().map(|image| image.id.clone()).collect();
    Space {
        count: usage.images.len() as u64,
        active: active.len() as u64,
        size: usage.size(),
        reclaimable: image::Store::reclaimable(usage, &unused),
    }
}

fn image_row(image: image::ImageUsage) -> ImageSpace {
    ImageSpace {
        created: timestamp(&image.created),
        containers: u32::try_from(image.containers).unwrap_or(u32::MAX),
        id: image.id,
        references: image.references,
        size: image.size,
        shared: image.shared,
        unused_for: image.unused_for,
    }
}

fn container_list(hands: &Hands, usage: &image::DiskUsage) -> Vec<ContainerSpace> {
    let name_of = |id: &Digest| {
        let image = usage.images.iter().find(|image| image.id == *id);
        let name = image.and_then(|image| image.references.first().cloned());
        name.unwrap_or_else(|| id.to_string())
    };
    let containers = hands.runtime.containers().into_iter();
    let row = |(id, record): (ContainerId, crate::runtime::ContainerRecord)| ContainerSpace {
        size: hands.images.root_usage(&id),
        name: record.container.name.clone(),
        image: name_of(&record.container.image),
        running: matches!(record.phase, ContainerPhase::Running { .. }),
        id,
    };
    containers.map(row).collect()
}

fn container_space(containers: &[ContainerSpace]) -> Space {
    let size_of = |stopped: bool| {
        let chosen = containers.iter().filter(|container| !container.running || !stopped);
        chosen.map(|container| container.size).sum()
    };
    Space {
        count: containers.len() as u64,
        active: containers.iter().filter(|container| container.running).count() as u64,
        size: size_of(false),
        reclaimable: size_of(true),
    }
}

fn volume_list(hands: &Hands, agreed: &Agreed) -> Answer<Vec<VolumeSpace>> {
    let volumes = hands.volumes.list().map_err(internal)?;
    let row = |volume: crate::volume::VolumeRecord| VolumeSpace {
        containers: u32::try_from(users(agreed, &volume.name).len()).unwrap_or(u32::MAX),
        size: hands.volumes.disk_usage(&volume.name).unwrap_or(0),
        name: volume.name,
    };
    Ok(volumes.into_iter().map(row).collect())
}

fn volume_space(volumes: &[VolumeSpace], agreed: &Agreed) -> Space {
    let needed = |volume: &&VolumeSpace| {
        volume.containers > 0 || !stacks_that_name(agreed, &volume.name).is_empty()
    };
    let free = volumes.iter().filter(|volume| !needed(volume));
    Space {
        count: volumes.len() as u64,
        active: volumes.iter().filter(needed).count() as u64,
        size: volumes.iter().map(|volume| volume.size).sum(),
        reclaimable: free.map(|volume| volume.size).sum(),
    }
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
