//! What a container mounts, and which volumes that takes.

use sha2::{Digest as _, Sha256};

use crate::model::{
    ContainerMount, ContainerMountSource, FileMount, FileSource, Mount, MountSource, PinnedImage,
    Service, Stack, TaskId, Volume, hex,
};

use super::StartVolume;
use super::container::first_task;
use super::look::Look;

/// The mounts of a task's container, outer ones first, and the volumes among them; or why they cannot
/// be had.
pub(super) fn mounts(
    look: &Look<'_>,
    stack: &Stack,
    service: &Service,
    image: &PinnedImage,
    id: TaskId,
) -> Result<(Vec<ContainerMount>, Vec<StartVolume>), String> {
    let mut all = Mounts { look, stack, mounts: Vec::new(), volumes: Vec::new() };
    for from in &service.volumes_from {
        let (other, _) = first_task(look, stack, &from.service)?;
        let giver = stack.project.services.get(&from.service).ok_or("volumes_from is gone")?;
        let image = stack.images.get(&giver.image);
        all.add_service(giver, image, other, from.read_only)?;
    }
    all.add_service(service, Some(image), id, false)?;
    let project = &stack.project;
    for (files, sources) in
        [(&service.configs, &project.configs), (&service.secrets, &project.secrets)]
    {
        for file in files {
            all.add(file_mount(file, sources.get(&file.source))?);
        }
    }
    // A mount on a directory of another one has to come after it.
    all.mounts.sort_by_key(|mount| mount.target.split('/').filter(|part| !part.is_empty()).count());
    Ok((all.mounts, all.volumes))
}

struct Mounts<'a> {
    look: &'a Look<'a>,
    stack: &'a Stack,
    mounts: Vec<ContainerMount>,
    volumes: Vec<StartVolume>,
}

impl Mounts<'_> {
    /// Adds a service's mounts, as the container of task `id` has them.
    fn add_service(
        &mut self,
        service: &Service,
        image: Option<&PinnedImage>,
        id: TaskId,
        read_only: bool,
    ) -> Result<(), String> {
        let mut index = 0;
        for mount in &service.mounts {
            let source = self.source(mount, id, &mut index)?;
            let target = mount.target.clone();
            self.add(ContainerMount { target, read_only: read_only || mount.read_only, source });
        }
        let declared = image.map_or(&[][..], |image| &image.config.volumes);
        for target in declared {
            let covered = service.mounts.iter().any(|mount| same_path(&mount.target, target));
            if !covered {
                let source = self.anonymous(id, &mut index);
                self.add(ContainerMount { target: target.clone(), read_only, source });
            }
        }
        Ok(())
    }

    /// Adds a mount; the later one at a target counts.
    fn add(&mut self, mount: ContainerMount) {
        self.mounts.retain(|other| !same_path(&other.target, &mount.target));
        self.mounts.push(mount);
    }

    fn source(
        &mut self,
        mount: &Mount,
        id: TaskId,
        index: &mut u32,
    ) -> Result<ContainerMountSource, String> {
        Ok(match &mount.source {
            MountSource::Bind { path, create, propagation, recursive } => {
                ContainerMountSource::Bind {
                    path: path.clone(),
                    create: *create,
                    propagation: propagation.clone(),
                    recursive: *recursive,
                }
            }
            MountSource::Volume { volume: key, subpath, nocopy } => {
                let volume = self.stack.project.volumes.get(key);
                let volume = volume.ok_or_else(|| format!("volume {key} is not declared"))?;
                self.use_volume(volume.clone());
                ContainerMountSource::Volume {
                    name: volume.name.clone(),
                    subpath: subpath.clone(),
                    nocopy: *nocopy,
                }
            }
            MountSource::Anonymous => self.anonymous(id, index),
            MountSource::Tmpfs { size, mode, options } => {
                ContainerMountSource::Tmpfs { size: *size, mode: *mode, options: options.clone() }
            }
            MountSource::Image { image: reference, subpath } => {
                let image = self.stack.images.get(reference);
                let image = image.ok_or_else(|| format!("image {reference} is not there"))?;
                ContainerMountSource::Image { image: image.id.clone(), subpath: subpath.clone() }
            }
        })
    }

    fn anonymous(&mut self, id: TaskId, index: &mut u32) -> ContainerMountSource {
        let name = anonymous(&self.look.agreed.identity, id, *index);
        *index += 1;
        self.use_volume(Volume { name: name.clone(), ..Volume::default() });
        ContainerMountSource::Volume { name, subpath: None, nocopy: false }
    }

    fn use_volume(&mut self, volume: Volume) {
        if self.volumes.iter().any(|other| other.name == volume.name) {
            return;
        }
        let (name, stack) = (volume.name.clone(), self.stack.project.name.clone());
        self.volumes.push(StartVolume { name, stack, volume });
    }
}

fn same_path(a: &str, b: &str) -> bool {
    a.trim_end_matches('/') == b.trim_end_matches('/')
}

fn file_mount(file: &FileMount, source: Option<&FileSource>) -> Result<ContainerMount, String> {
    let name = &file.source;
    let content = match source {
        Some(FileSource::Content(content)) => content.clone(),
        Some(FileSource::File(path)) => {
            return Err(format!(
                "{name}: {} was not read when the stack was applied",
                path.display()
            ));
        }
        Some(FileSource::External(external)) => {
            return Err(format!("{name}: there is no config or secret called {external}"));
        }
        None => return Err(format!("{name} is not declared")),
    };
    let (uid, gid, mode) = (file.uid, file.gid, file.mode);
    let source = ContainerMountSource::File { content, uid, gid, mode };
    Ok(ContainerMount { target: file.target.clone(), read_only: true, source })
}

/// The name of a task's anonymous volume. It says whose it is, and only this store can have made it.
fn anonymous(identity: &str, task: TaskId, index: u32) -> String {
    let proof = Sha256::digest(format!("{identity}/{task}/{index}/volume"));
    format!("anonymous.{task}.{index}.{}", hex(&proof[..8]))
}

/// Whether a volume is an anonymous one of this store, of a task for which `which` holds.
pub(super) fn is_anonymous_of(identity: &str, name: &str, which: impl Fn(TaskId) -> bool) -> bool {
    let parse = || {
        let mut parts = name.strip_prefix("anonymous.t")?.split('.');
        Some((TaskId(parts.next()?.parse().ok()?), parts.next()?.parse().ok()?))
    };
    parse().is_some_and(|(task, index)| which(task) && anonymous(identity, task, index) == name)
}
