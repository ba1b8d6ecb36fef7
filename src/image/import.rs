//! Images from the archive of a root file system.

use std::collections::BTreeMap;
use std::io::Read;

use super::config::{ConfigFile, HistoryEntry};
use super::document::{self, Descriptor, Manifest, Platform, check_platform, digest_of, media};
use super::error::{ImageError, Result};
use super::ingest::{Arrived, NewImage, Pool, with_pool};
use super::reference::Reference;
use super::spool::Spooled;
use super::staging::{Staging, fill};
use super::store::{Image, Store};
use crate::model::ImageConfig;

/// What an imported image says of itself.
#[derive(Debug, Clone, Default)]
pub struct Import {
    /// What a container needs of it.
    pub config: ImageConfig,
    /// A line for its history.
    pub message: Option<String>,
    /// `os/architecture[/variant]`; `None` is this host's.
    pub platform: Option<String>,
}

impl Store {
    /// Makes an image with one layer, of the root file system in the archive `tar`: plain, or packed
    /// with gzip or zstd. It is called `reference`; an image that was called so loses the name.
    ///
    /// # Errors
    /// If the reference is none, the archive is bad, or the disk is full. Nothing is kept then.
    pub fn import(&self, tar: impl Read, reference: &str, config: ImageConfig) -> Result<Image> {
        self.import_as(tar, reference, &Import { config, ..Import::default() })
    }

    /// The same with more said of it; with an empty `reference` it has no name.
    ///
    /// # Errors
    /// As for [`import`](Self::import), or if it is for another kind of machine.
    pub fn import_as(&self, tar: impl Read, reference: &str, import: &Import) -> Result<Image> {
        let names = import_names(reference)?;
        let platform = import.platform.as_deref().map_or(Ok(Platform::host()), str::parse)?;
        check_platform(if reference.is_empty() { "the archive" } else { reference }, &platform)?;
        let staging = self.stage()?;
        let mut tar = tar;
        let arrived = with_pool(|pool| arrive(&staging, pool, &mut tar, "the archive"))?;
        let unpacked = arrived.wait()?;
        let by = HistoryEntry {
            created: Some(now()),
            created_by: Some("orca image import".to_owned()),
            comment: import.message.clone(),
            ..HistoryEntry::default()
        };
        let config = ConfigFile::new(&import.config, platform, &unpacked.diff_id, by);
        let config = document::write(&config)?;
        let manifest = document::write(&manifest(&config, std::slice::from_ref(&arrived.blob)))?;
        let id = digest_of(&config);
        let image = NewImage { references: names, manifest, config, source: None };
        let digest = arrived.blob.digest.clone();
        let (done, unpacking) = std::sync::mpsc::channel();
        drop(done.send(Ok(unpacked)));
        let arrived = BTreeMap::from([(digest, Arrived { unpacking, ..arrived })]);
        staging.commit(&[image], &arrived)?;
        self.find(id.as_str())
    }
}

fn import_names(reference: &str) -> Result<Vec<Reference>> {
    if reference.is_empty() {
        return Ok(Vec::new());
    }
    let name: Reference = reference.parse()?;
    if name.digest.is_some() {
        let reason = "a digest follows from the content; give a name and a tag";
        return Err(ImageError::BadReference { reference: reference.to_owned(), reason });
    }
    Ok(vec![name])
}

/// Takes in the blob of a layer, unpacking it as it comes.
pub(super) fn arrive(
    staging: &Staging,
    pool: &Pool,
    input: &mut impl Read,
    what: &str,
) -> Result<Arrived> {
    let mut spool = staging.spool()?;
    let unpacking = pool.unpack(staging, &spool);
    match fill(&mut spool, input, what) {
        Ok(()) => Ok(Arrived { blob: spool.finish(), unpacking }),
        Err(error) if spool.abandoned() => {
            drop(spool);
            match unpacking.recv() {
                Ok(Err(cause)) => Err(cause),
                _ => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

/// The manifest for a configuration and layers as they are stored.
pub(super) fn manifest(config: &[u8], layers: &[Spooled]) -> Manifest {
    let config = Descriptor::new(media::CONFIG, &digest_of(config), config.len() as u64);
    let layers =
        layers.iter().map(|blob| Descriptor::new(blob.media_type(), &blob.digest, blob.size));
    let layers = layers.collect();
    Manifest { schema_version: 2, media_type: media::MANIFEST.to_owned(), config, layers }
}

/// The wall time as RFC 3339.
pub(super) fn now() -> String {
    let wall = crate::sys::clock::wall().0;
    let seconds = i64::try_from(wall.as_secs()).unwrap_or(0);
    jiff::Timestamp::from_second(seconds).unwrap_or_default().to_string()
}
