//! Names, lists and removal.

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;

use super::document::{Descriptor, Index};
use super::error::{ImageError, Result};
use super::index;
use super::reference::Reference;
use super::store::{Image, Store};
use crate::model::{ContainerId, Digest};

/// One line of the list of images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageSummary {
    /// Its id.
    pub id: Digest,
    /// The digest of its manifest.
    pub manifest: Digest,
    /// Its full names.
    pub references: Vec<String>,
    /// When it was made, as RFC 3339; empty if it does not say.
    pub created: String,
    /// Bytes of its layers, unpacked. Layers that images share count in each.
    pub size: u64,
    /// How many containers use it.
    pub containers: usize,
    /// Its names with the digests that registries have them under.
    pub digests: Vec<String>,
}

/// What became of an image that was to go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// The names that were taken away.
    pub untagged: Vec<String>,
    /// The image, if it is gone.
    pub deleted: Option<Digest>,
}

impl Store {
    /// All images, the ones with names first, by name.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn list(&self) -> Result<Vec<ImageSummary>> {
        let users = self.users()?;
        let mut list: Vec<_> =
            self.images()?.into_iter().map(|image| self.summary(image, &users)).collect();
        let key = |image: &ImageSummary| (image.references.is_empty(), image.references.clone());
        list.sort_by_key(key);
        Ok(list)
    }

    fn summary(&self, image: Image, users: &BTreeMap<Digest, Vec<ContainerId>>) -> ImageSummary {
        let size = image.chain().iter().map(|layer| self.layer_size(layer)).sum();
        let containers = users.get(&image.id).map_or(0, Vec::len);
        let digests = self.digests(&image.id).unwrap_or_default();
        let Image { id, manifest, references, created, .. } = image;
        ImageSummary { id, manifest, references, created, size, containers, digests }
    }

    /// The names of an image with the digests that registries have them under: that of the manifest,
    /// or of the index it came from.
    fn digests(&self, id: &Digest) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for entry in &self.index()?.manifests {
            let manifest = entry.digest()?;
            if self.parsed(&manifest).is_ok_and(|image| image.id == *id) {
                let digest = index::source(entry).map_or(manifest, |source| source.digest);
                let names = index::names(entry).filter_map(|name| name.parse::<Reference>().ok());
                found.extend(names.map(|name| format!("{}@{digest}", name.name())));
            }
        }
        found.sort();
        found.dedup();
        Ok(found)
    }

    /// Gives an image one more name, which whoever had it loses.
    ///
    /// # Errors
    /// If the image is not there, or the name is none.
    pub fn tag(&self, image: &str, name: &str) -> Result<()> {
        let reference: Reference = name.parse()?;
        if reference.digest.is_some() {
            let reason = "a digest cannot be given to an image";
            return Err(ImageError::BadReference { reference: name.to_owned(), reason });
        }
        let _lock = self.lock()?;
        let manifest = self.find(image)?.manifest;
        let index = self.index()?;
        let known = index.manifests.iter().find(|d| d.digest == manifest.as_str()).cloned();
        let descriptor = known.ok_or_else(|| ImageError::NotFound(image.to_owned()))?;
        self.write_index(|index| index::put(index, descriptor, Some(&reference)))
    }

    /// Takes a name away from an image, and removes the image with its last name; or removes the image
    /// that has this id.
    ///
    /// # Errors
    /// If it is not there. Without `force`: if it would go and a container uses it, or if it was given
    /// by id and has several names. With `force` it loses its names, and goes unless it is in use.
    pub fn remove(&self, reference: &str, force: bool) -> Result<Removed> {
        if let Some(removed) = self.remove_damaged(reference)? {
            return Ok(removed);
        }
        let image = self.find(reference)?;
        let by_name = reference.parse::<Reference>().ok().map(|name| name.to_string());
        let one = by_name.filter(|name| image.references.contains(name));
        if one.is_none() && image.references.len() > 1 && !force {
            let others = image.references.join(", ");
            return Err(ImageError::OtherNames { reference: reference.to_owned(), others });
        }
        let last = one.is_none() || image.references.len() == 1;
        let lock = self.lock()?;
        let user = self.users()?.remove(&image.id).and_then(|users| users.into_iter().next());
        if let Some(container) = user.as_ref().filter(|_| last && !force) {
            let (reference, container) = (reference.to_owned(), container.short().to_owned());
            return Err(ImageError::InUse { reference, container });
        }
        let untagged = one.map_or(image.references, |name| vec![name]);
        let gone = last && user.is_none();
        self.write_index(|index| {
            for name in &untagged {
                index::forget(index, name);
            }
            if gone {
                self.drop_image(index, &image.id);
            }
        })?;
        drop(lock);
        if gone {
            // If somebody loads just now, the files go with the next removal.
            self.collect()?;
        }
        Ok(Removed { untagged, deleted: gone.then_some(image.id) })
    }

    /// Takes the name away from an image that cannot be read any more. `None` if it can.
    fn remove_damaged(&self, reference: &str) -> Result<Option<Removed>> {
        let Ok(name) = reference.parse::<Reference>() else { return Ok(None) };
        let _lock = self.lock()?;
        let index = self.index()?;
        let found = index.manifests.iter().find(|entry| index::is_named(entry, &name)).cloned();
        let Some(found) = found.filter(|entry| self.is_damaged(entry)) else { return Ok(None) };
        self.write_index(|index| index.manifests.retain(|entry| *entry != found))?;
        Ok(Some(Removed { untagged: index::names(&found).collect(), deleted: None }))
    }

    /// Whether the manifest or the configuration of an entry is gone or not what it was.
    pub(super) fn is_damaged(&self, entry: &Descriptor) -> bool {
        match entry.digest().and_then(|manifest| self.parsed(&manifest)) {
            Ok(_) => false,
            Err(ImageError::Io { source, .. }) => source.kind() == io::ErrorKind::NotFound,
            Err(_) => true,
        }
    }

    /// The containers that use each image.
    pub(super) fn users(&self) -> Result<BTreeMap<Digest, Vec<ContainerId>>> {
        let mut users: BTreeMap<Digest, Vec<ContainerId>> = BTreeMap::new();
        for container in self.roots()? {
            for image in self.images_of_root(&container)? {
                users.entry(image).or_default().push(container.clone());
            }
        }
        Ok(users)
    }

    /// Takes all entries of an image out of the index.
    pub(super) fn drop_image(&self, index: &mut Index, id: &Digest) {
        let is =
            |d: &Descriptor| d.digest().and_then(|m| self.parsed(&m)).is_ok_and(|i| i.id == *id);
        index.manifests.retain(|descriptor| !is(descriptor));
    }
}
