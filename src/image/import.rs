//! Images from the archive of a root file system.

use std::collections::BTreeMap;
use std::io::Read;

use super::config::ConfigFile;
use super::document::{self, Descriptor, Manifest, digest_of, media};
use super::error::{ImageError, Result};
use super::ingest::{Arrived, NewImage, Pool, with_pool};
use super::reference::Reference;
use super::spool::Spooled;
use super::staging::{Staging, fill};
use super::store::{Image, Store};
use crate::model::ImageConfig;

impl Store {
    /// Makes an image with one layer, of the root file system in the archive `tar`: plain, or packed
    /// with gzip or zstd. It is called `reference`; an image that was called so loses the name.
    ///
    /// # Errors
    /// If the reference is none, the archive is bad, or the disk is full. Nothing is kept then.
    pub fn import(&self, tar: impl Read, reference: &str, config: ImageConfig) -> Result<Image> {
        let name: Reference = reference.parse()?;
        if name.digest.is_some() {
            let reason = "a digest follows from the content; give a name and a tag";
            return Err(ImageError::BadReference { reference: reference.to_owned(), reason });
        }
        let staging = self.stage()?;
        let mut tar = tar;
        let arrived = with_pool(|pool| arrive(&staging, pool, &mut tar, "the archive"))?;
        let unpacked = arrived.wait()?;
        let created = now();
        let config = ConfigFile::new(&config, &unpacked.diff_id, created, "orca image import");
        let config = document::write(&config)?;
        let manifest = document::write(&manifest(&config, std::slice::from_ref(&arrived.blob)))?;
        let image = NewImage { references: vec![name], manifest, config, source: None };
        let digest = arrived.blob.digest.clone();
        let (done, unpacking) = std::sync::mpsc::channel();
        drop(done.send(Ok(unpacked)));
        let arrived = BTreeMap::from([(digest, Arrived { unpacking, ..arrived })]);
        staging.commit(&[image], &arrived)?;
        self.find(reference)
    }
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
