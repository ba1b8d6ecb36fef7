//! Images.

use std::io;
use std::path::Path;

use super::chunks::{Arriving, Leaving};
use super::{Daemon, blocking, images_in_use};
use crate::api::control::{
    Answer, ArchiveFormat, Chunks, ControlError, ErrorKind, ImageDetail, ImageHistory,
    ImageSummary, ImportImage, LoadedImage, RemovedImages, SaveImages,
};
use crate::daemon::SELF;
use crate::image::{self, Image, ImageError, Store};
use crate::model::{Agreed, Timestamp};

impl Daemon {
    pub(super) async fn load(&self, archive: Chunks) -> Answer<Vec<LoadedImage>> {
        let images = self.hands().images.clone();
        blocking(move || {
            let loaded = images.load(&mut Arriving::new(archive)).map_err(refused)?;
            let image =
                |image: image::Loaded| LoadedImage { id: image.id, references: image.references };
            Ok(loaded.into_iter().map(image).collect())
        })
        .await
    }

    pub(super) async fn import(
        &self,
        request: ImportImage,
        archive: Chunks,
    ) -> Answer<LoadedImage> {
        let images = self.hands().images.clone();
        blocking(move || {
            let tar = Arriving::new(archive);
            let image = images.import(tar, &request.reference, request.config).map_err(refused)?;
            Ok(LoadedImage { id: image.id, references: image.references })
        })
        .await
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
        let (mut leaving, chunks) = Leaving::new();
        tokio::task::spawn_blocking(move || {
            let saved = images.save(&request.references, format, &mut leaving);
            leaving.finish(saved.map_err(io::Error::other));
        });
        Ok(chunks)
    }

    pub(super) async fn list_images(&self) -> Answer<Vec<ImageSummary>> {
        let images = self.hands().images.clone();
        let agreed = self.agreed();
        blocking(move || {
            let all = images.list().map_err(refused)?;
            Ok(all.iter().map(|image| summary(image, &agreed)).collect())
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
            Ok(ImageDetail {
                summary: summary(&image, &agreed),
                config: image.config,
                layers: image.layers,
                history: history.into_iter().rev().map(history_line).collect(),
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
            let users = users(&image, &agreed);
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

    pub(super) async fn delete_unused_images(&self, all: bool) -> Answer<RemovedImages> {
        let _applying = self.applying.lock().await;
        let images = self.hands().images.clone();
        let mut needed = images_in_use(&self.agreed());
        blocking(move || {
            if !all {
                let named = |image: &Image| !image.references.is_empty();
                let kept = images.list().map_err(refused)?;
                needed.extend(kept.into_iter().filter(named).map(|image| image.id));
            }
            Ok(taken(images.prune(&needed).map_err(refused)?))
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

fn refused(error: ImageError) -> ControlError {
    let kind = match &error {
        ImageError::Io { .. } => ErrorKind::Internal,
        ImageError::NotFound(_) => ErrorKind::NotFound,
        ImageError::OtherNames { .. } | ImageError::InUse { .. } => ErrorKind::Conflict,
        ImageError::Busy => ErrorKind::Unavailable,
        _ => ErrorKind::InvalidInput,
    };
    ControlError::caused_by(kind, &error)
}

fn users(image: &Image, agreed: &Agreed) -> Vec<String> {
    let uses = |stack: &crate::model::Stack| stack.images.values().any(|pin| pin.id == image.id);
    let stacks = agreed.stacks.iter().filter(|(_, stack)| uses(stack));
    stacks.map(|(name, _)| name.clone()).collect()
}

fn summary(image: &Image, agreed: &Agreed) -> ImageSummary {
    ImageSummary {
        id: image.id.clone(),
        references: image.references.clone(),
        created: timestamp(&image.created),
        size: image.size,
        platform: format!("{}/{}", image.os, image.architecture),
        used_by: users(image, agreed),
    }
}

fn history_line(entry: image::HistoryEntry) -> ImageHistory {
    ImageHistory {
        created: entry.created.as_deref().and_then(timestamp),
        created_by: entry.created_by.unwrap_or_default(),
        comment: entry.comment.unwrap_or_default(),
        empty_layer: entry.empty_layer,
        size: None,
    }
}

/// A time as images write it (RFC 3339); `None` if it is not one.
fn timestamp(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp(
        std::time::Duration::try_from(time.duration_since(jiff::Timestamp::UNIX_EPOCH)).ok()?,
    ))
}

fn taken(removed: image::Removed) -> RemovedImages {
    RemovedImages { untagged: removed.untagged, deleted: removed.deleted, freed: removed.freed }
}
