//! Images.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::chunks::{Arriving, Opened};
use super::{Daemon, blocking, images_in_use};
use crate::api::control::{
    Answer, ArchiveFormat, ChunkWriter, Chunks, ControlError, ErrorKind, ImageDetail, ImageHistory,
    ImageSummary, ImportImage, LoadedImage, PruneImages, RemovedImages, SaveImages,
};
use crate::daemon::SELF;
use crate::image::{self, Image, ImageError, Store};
use crate::model::{Agreed, Digest, Timestamp};

impl Daemon {
    pub(super) async fn load(&self, archive: Chunks) -> Answer<Vec<LoadedImage>> {
        self.load_from(Arriving::new(archive)).await
    }

    pub(super) async fn load_opened(&self, archive: File) -> Answer<Vec<LoadedImage>> {
        // Dropped with this call, when the caller goes.
        let (archive, _caller) = Opened::new(archive);
        self.load_from(archive).await
    }

    async fn load_from(&self, mut archive: impl Read + Send + 'static) -> Answer<Vec<LoadedImage>> {
        let images = self.hands().images.clone();
        blocking(move || {
            let loaded = images.load(&mut archive).map_err(refused)?;
            let image =
                |image: image::Loaded| LoadedImage { id: image.id, references: image.references };
            Ok(loaded.into_iter().map(image).collect::<Vec<_>>())
        })
        .await
        .inspect(|loaded| self.came(loaded.iter().map(|image| &image.id)))
    }

    pub(super) async fn import(
        &self,
        request: ImportImage,
        archive: Chunks,
    ) -> Answer<LoadedImage> {
        let images = self.hands().images.clone();
        blocking(move || {
            let tar = Arriving::new(archive);
            let ImportImage { reference, config, platform, message } = request;
            let import = image::Import { config, message, platform };
            let image = images.import_as(tar, &reference, &import).map_err(refused)?;
            Ok(LoadedImage { id: image.id, references: image.references })
        })
        .await
        .inspect(|image| self.came([&image.id]))
    }

    /// Images have come: others may have to go.
    pub(super) fn came<'a>(&self, images: impl IntoIterator<Item = &'a Digest>) {
        self.upkeep.came(images.into_iter().cloned(), std::time::Duration::ZERO);
    }

    /// Removes images that nothing needs until all together are within the budget, but none of those
    /// that have `just_come`: whoever brought them is about to use them.
    pub(in crate::daemon) async fn keep_within_budget(
        &self,
        just_come: BTreeSet<Digest>,
    ) -> Answer<RemovedImages> {
        // No stack may come to need an image meanwhile.
        let _applying = self.applying.lock().await;
        let images = self.hands().images.clone();
        let (mut keep, budget) = (images_in_use(&self.agreed()), self.settings.images);
        keep.extend(just_come);
        blocking(move || Ok(taken_all(images.shrink(&keep, budget).map_err(refused)?))).await
    }

    pub(super) async fn save(&self, request: SaveImages) -> Answer<Chunks> {
        let images = self.hands().images.clone();
        let format = match request.format {
            ArchiveFormat::Docker => image::Format::Docker,
            ArchiveFormat::Oci => image::Format::Oci,
        };
        let (store, references) = (images.clone(), request.references.clone());
        // What is not there is told as an error of the call, not in the middle of the stream.
        blocking(move || {
            for reference in &references {
                find(&store, reference)?;
            }
            Ok(())
        })
        .await?;
        let (mut writer, chunks) = ChunkWriter::new();
        tokio::task::spawn_blocking(move || {
            let saved = images.save(&request.references, format, &mut writer);
            writer.finish(saved.map_err(io::Error::other));
        });
        Ok(chunks)
    }

    pub(super) async fn list_images(&self) -> Answer<Vec<ImageSummary>> {
        let images = self.hands().images.clone();
        let agreed = self.agreed();
        blocking(move || {
            let all = images.list().map_err(refused)?;
            Ok(all.into_iter().map(|image| summary(image, &images, &agreed)).collect())
        })
        .await
    }

    pub(super) async fn inspect_image(&self, reference: &str) -> Answer<ImageDetail> {
        let images = self.hands().images.clone();
        let agreed = self.agreed();
        let reference = reference.to_owned();
        blocking(move || {
            let image = find(&images, &reference)?;
            let history = images.history(image.id.as_str()).map_err(refused)?;
            let listed = images.list().map_err(refused)?.into_iter().find(|i| i.id == image.id);
            let listed = listed.ok_or_else(|| refused(ImageError::NotFound(reference.clone())))?;
            Ok(ImageDetail {
                summary: summary(listed, &images, &agreed),
                config: image.config,
                layers: image.layers,
                history: history_lines(history, &images.layer_sizes(&image.id).map_err(refused)?),
            })
        })
        .await
    }

    pub(super) async fn delete_image(&self, reference: &str, force: bool) -> Answer<RemovedImages> {
        let _applying = self.applying.lock().await;
        let images = self.hands().images.clone();
        let agreed = self.agreed();
        let reference = reference.to_owned();
        blocking(move || {
            let image = find(&images, &reference)?;
            let users = users(&image.id, &agreed);
            if !users.is_empty() && (force || image.references.len() < 2) {
                let message = format!("image {reference} is needed by stack {}", users.join(", "));
                return Err(ControlError::conflict(message).with_hint("take the stack down first"));
            }
            let removed = images.remove(&reference, force).map_err(refused)?;
            Ok(taken(removed))
        })
        .await
    }

    pub(super) async fn add_tag(&self, source: &str, target: &str) -> Answer<()> {
        let images = self.hands().images.clone();
        let (source, target) = (source.to_owned(), target.to_owned());
        blocking(move || {
            find(&images, &source)?;
            images.tag(&source, &target).map_err(refused)?;
            Ok(())
        })
        .await
    }

    pub(super) async fn delete_unused_images(&self, request: PruneImages) -> Answer<RemovedImages> {
        let _applying = self.applying.lock().await;
        let images = self.hands().images.clone();
        let needed = images_in_use(&self.agreed());
        let PruneImages { all, filter, max_size } = request;
        let may_go = move |image: &Image| {
            (all || image.references.is_empty())
                && filter.fits(timestamp(&image.created), &image.config.labels)
        };
        let budget = image::Budget { max_size, max_age: None };
        blocking(move || {
            let pruned = match max_size {
                None => images.prune_where(&needed, may_go),
                Some(_) => images.shrink_where(&needed, budget, may_go),
            };
            Ok(taken_all(pruned.map_err(refused)?))
        })
        .await
    }
}

/// The image, which is made first if it is the built-in one.
fn find(images: &Store, reference: &str) -> Answer<Image> {
    if image::is_builtin(reference) {
        return images.builtin(Path::new(SELF)).map_err(refused);
    }
    images.find(reference).map_err(refused)
}

pub(super) fn refused(error: ImageError) -> ControlError {
    let kind = match &error {
        ImageError::Io { .. } => ErrorKind::Internal,
        ImageError::Registry { .. } | ImageError::NotPulled(_) | ImageError::Refused { .. } => {
            ErrorKind::FailedPrecondition
        }
        ImageError::NotFound(_) => ErrorKind::NotFound,
        ImageError::OtherNames { .. } | ImageError::InUse { .. } => ErrorKind::Conflict,
        _ => ErrorKind::InvalidInput,
    };
    ControlError::caused_by(kind, &error)
}

fn users(id: &Digest, agreed: &Agreed) -> Vec<String> {
    let uses = |stack: &crate::model::Stack| stack.images.values().any(|pin| pin.id == *id);
    let stacks = agreed.stacks.iter().filter(|(_, stack)| uses(stack));
    stacks.map(|(name, _)| name.clone()).collect()
}

fn summary(image: image::ImageSummary, images: &Store, agreed: &Agreed) -> ImageSummary {
    let known = images.get(&image.id).ok().flatten();
    let platform = known.as_ref().map(|image| format!("{}/{}", image.os, image.architecture));
    ImageSummary {
        used_by: users(&image.id, agreed),
        created: timestamp(&image.created),
        platform: platform.unwrap_or_default(),
        labels: known.map(|image| image.config.labels).unwrap_or_default(),
        containers: u32::try_from(image.containers).unwrap_or(u32::MAX),
        id: image.id,
        references: image.references,
        size: image.size,
        manifest: image.manifest,
        digests: image.digests,
    }
}

/// How an image came to be, the oldest first: each step that made a layer has the next of `sizes`.
fn history_lines(history: Vec<image::HistoryEntry>, sizes: &[u64]) -> Vec<ImageHistory> {
    let mut sizes = sizes.iter().copied();
    let line = |entry: image::HistoryEntry| ImageHistory {
        created: entry.created.as_deref().and_then(timestamp),
        created_by: entry.created_by.unwrap_or_default(),
        comment: entry.comment.unwrap_or_default(),
        empty_layer: entry.empty_layer,
        size: if entry.empty_layer { None } else { sizes.next() },
    };
    history.into_iter().rev().map(line).collect()
}

/// A time as images write it (RFC 3339); `None` if it is not one.
pub(super) fn timestamp(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp(
        std::time::Duration::try_from(time.duration_since(jiff::Timestamp::UNIX_EPOCH)).ok()?,
    ))
}

fn taken(removed: image::Removed) -> RemovedImages {
    RemovedImages {
        untagged: removed.untagged,
        deleted: removed.deleted.into_iter().collect(),
        freed: 0,
    }
}

fn taken_all(pruned: image::Pruned) -> RemovedImages {
    let mut all = RemovedImages { freed: pruned.bytes, ..RemovedImages::default() };
    for image in pruned.images {
        all.untagged.extend(image.untagged);
        all.deleted.extend(image.deleted);
    }
    all
}
