//! The names of images: the `index.json` of the layout.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::Duration;

use super::disk::{locked, write_atomic};
use super::document::{self, Descriptor, IMAGE_NAME, Index, REF_NAME, media};
use super::error::{Doing as _, Result};
use super::reference::Reference;
use super::store::Store;
use crate::model::{Digest, Timestamp};

/// Where an image came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    /// What its name stands for in its registry: the digest of an index, or of the manifest.
    pub(super) digest: Digest,
    /// When the registry was last asked.
    pub(super) asked: Timestamp,
    /// The fingerprint of the key that has signed it, as far as somebody asked.
    pub(super) signed_by: Option<Digest>,
    /// Whether it was asked for by its platform, which may not be this host's.
    pub(super) foreign: bool,
}

/// Where an entry says what its source is.
const DIGEST: &str = "dev.orca.source";
const ASKED: &str = "dev.orca.asked";
const SIGNED_BY: &str = "dev.orca.signed-by";

/// The index as it was read, and which file that was.
#[derive(Debug)]
pub(super) struct Known {
    file: (u64, i64, i64, u64),
    index: Arc<Index>,
}

impl Store {
    /// The index as it is now. Each change is a new file, so an unchanged one is not read again.
    pub(super) fn index(&self) -> Result<Arc<Index>> {
        let path = self.path("index.json");
        let mut known = locked(&self.shared.index);
        let meta = match fs::metadata(&path) {
            Ok(meta) => meta,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Arc::default()),
            Err(error) => return Err(error).doing("read", &path),
        };
        let file = (meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.size());
        if let Some(known) = known.as_ref().filter(|known| known.file == file) {
            return Ok(known.index.clone());
        }
        let bytes = fs::read(&path).doing("read", &path)?;
        let index: Arc<Index> = Arc::new(document::read(&path.display().to_string(), &bytes)?);
        *known = Some(Known { file, index: index.clone() });
        Ok(index)
    }

    /// Changes the index. The caller has the lock.
    pub(super) fn write_index(&self, change: impl FnOnce(&mut Index)) -> Result<()> {
        let mut index = Index::clone(&*self.index()?);
        change(&mut index);
        index.schema_version = 2;
        media::INDEX.clone_into(&mut index.media_type);
        write_atomic(&self.path("index.json"), &document::write(&index)?)?;
        *locked(&self.shared.index) = None;
        Ok(())
    }
}

/// Gives `manifest` the name `reference`, which whoever had it loses; or none.
pub(super) fn put(index: &mut Index, manifest: Descriptor, reference: Option<&Reference>) {
    let mut manifest = manifest;
    manifest.annotations.retain(|key, _| [DIGEST, ASKED, SIGNED_BY].contains(&key.as_str()));
    match reference {
        Some(reference) => {
            let name = reference.to_string();
            forget(index, &name);
            // A manifest that has a name needs no entry without one.
            index
                .manifests
                .retain(|d| d.digest != manifest.digest || d.annotations.contains_key(REF_NAME));
            manifest.annotations.insert(REF_NAME.to_owned(), name.clone());
            manifest.annotations.insert(IMAGE_NAME.to_owned(), name);
        }
        None if index.manifests.iter().any(|d| d.digest == manifest.digest) => return,
        None => {}
    }
    index.manifests.push(manifest);
}

/// Takes the name away from its image, which stays, without a name if it has no other.
pub(super) fn forget(index: &mut Index, name: &str) {
    let Some(at) = index.manifests.iter().position(|d| names(d).any(|n| n == name)) else { return };
    let mut old = index.manifests.remove(at);
    old.annotations.remove(REF_NAME);
    put(index, old, None);
}

/// Where the image of an entry came from, if that was a registry.
pub(super) fn source(descriptor: &Descriptor) -> Option<Source> {
    let get = |key| descriptor.annotations.get(key);
    let seconds = get(ASKED).and_then(|text| text.parse().ok()).unwrap_or(0);
    Some(Source {
        digest: get(DIGEST)?.parse().ok()?,
        asked: Timestamp(Duration::from_secs(seconds)),
        signed_by: get(SIGNED_BY).and_then(|text| text.parse().ok()),
        foreign: false,
    })
}

/// Writes down anew where the image of a name came from.
pub(super) fn set_source(index: &mut Index, name: &Reference, source: &Source) {
    if let Some(entry) = index.manifests.iter_mut().find(|entry| is_named(entry, name)) {
        source.write(entry);
    }
}

impl Source {
    /// One of an image that did not come from a registry, which may have it all the same.
    pub(super) fn of(manifest: &Digest) -> Self {
        let digest = manifest.clone();
        Self { digest, asked: Timestamp::default(), signed_by: None, foreign: false }
    }

    /// Writes it into an entry.
    pub(super) fn write(&self, entry: &mut Descriptor) {
        let mut put =
            |key: &str, text: String| drop(entry.annotations.insert(key.to_owned(), text));
        put(DIGEST, self.digest.to_string());
        put(ASKED, self.asked.0.as_secs().to_string());
        if let Some(key) = &self.signed_by {
            put(SIGNED_BY, key.to_string());
        }
    }
}

/// The name of an entry; none or one.
pub(super) fn names(descriptor: &Descriptor) -> impl Iterator<Item = String> {
    descriptor.annotations.get(REF_NAME).cloned().into_iter()
}

/// Whether `wanted` means this entry: the same name, or the same repository and the digest asked for.
pub(super) fn is_named(descriptor: &Descriptor, wanted: &Reference) -> bool {
    let Some(name) = names(descriptor).next() else { return false };
    let Some(digest) = &wanted.digest else { return name == wanted.to_string() };
    let Ok(known) = name.parse::<Reference>() else { return false };
    let same = known.digest.as_ref() == Some(digest)
        || descriptor.digest == digest.as_str()
        || source(descriptor).is_some_and(|source| source.digest == *digest);
    same && known.name() == wanted.name()
}
