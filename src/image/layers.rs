//! Layers unpacked on the disk.
//!
//! A layer is made from its blob, so it need not be on the disk for sure when a load is done: it says
//! in which boot it was made, and one of an earlier boot that was never made to last is dropped and
//! unpacked again. That keeps the wait for the disk, which is long for many small files, out of loads.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::decode::{self, Packing};
use super::disk::write_atomic;
use super::document::{self, Manifest, finished};
use super::error::{Doing as _, ImageError, Result, bad};
use super::limits::Limits;
use super::spool::{SpoolReader, Sum};
use super::staging::{Staging, check, remove};
use super::store::Store;
use super::unpack::{Applied, Applier, Halt, Merged, settle};
use crate::model::Digest;
use crate::sys::clock;

/// A layer that is unpacked, but not yet in its place.
#[derive(Debug)]
pub(super) struct Unpacked {
    /// The directory with `fs` in it.
    dir: PathBuf,
    /// The digest of the unpacked archive.
    pub(super) diff_id: Digest,
    /// `None` if it has to be unpacked again, over the layers below it.
    applied: Option<Applied>,
}

/// What is known of a layer that is in its place.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LayerInfo {
    diff_id: Digest,
    size: u64,
    /// Bytes of the unpacked archive.
    archive: u64,
    /// Device nodes that were left out.
    devices: u64,
    /// Bytes that it takes on the disk; `None` of layers made before this was noted.
    #[serde(default)]
    disk: Option<u64>,
    /// The boot it was made in, until it is on the disk for sure.
    boot: Option<String>,
}

/// Unpacks the layer that `input` is the blob of into `dir`, which is made.
pub(super) fn unpack(
    dir: &Path,
    input: impl Read + Send,
    below: Option<Merged>,
    limits: Limits,
) -> Result<Unpacked> {
    put(dir, decode::unpacked(input, limits).map_err(broken)?, below, limits, None)
}

/// The same of a blob that is being written. Who writes it takes its digest; of one that is not packed
/// that is the digest of the archive too.
pub(super) fn unpack_arriving(dir: &Path, blob: SpoolReader, limits: Limits) -> Result<Unpacked> {
    let sum = blob.sum();
    let (packing, input) = decode::told(blob, limits).map_err(broken)?;
    put(dir, input, None, limits, (packing == Packing::Plain).then_some(sum))
}

/// Puts the files of an archive into `dir`. `sum` has its digest, if somebody else takes that.
fn put(
    dir: &Path,
    input: impl Read,
    below: Option<Merged>,
    limits: Limits,
    sum: Option<Sum>,
) -> Result<Unpacked> {
    let root = dir.join("fs");
    fs::create_dir_all(&root).doing("make", &root)?;
    let mut input = Measured { input, hash: sum.is_none().then(Sha256::new), count: 0 };
    let applier = Applier::new(&root, below, limits).doing("open", &root)?;
    let mut applied = match applier.apply(&mut input) {
        Ok(applied) => Some(applied),
        Err(Halt::NeedsBelow) => None,
        Err(Halt::Failed { path, error }) => return Err(failed(&path, error)),
    };
    io::copy(&mut input, &mut io::sink()).map_err(broken)?;
    if let Some(applied) = &mut applied {
        applied.archive = input.count;
    }
    let diff_id = match sum {
        Some(sum) => sum.get().map_err(broken)?,
        None => finished(&input.hash.unwrap_or_default().finalize()),
    };
    Ok(Unpacked { dir: dir.to_owned(), diff_id, applied })
}

impl Unpacked {
    /// Bytes of the unpacked archive; 0 if it has to be unpacked again.
    pub(super) fn archive(&self) -> u64 {
        self.applied.as_ref().map_or(0, |applied| applied.archive)
    }
}

fn failed(path: &str, source: io::Error) -> ImageError {
    ImageError::Io { doing: format!("unpack {path}"), source }
}

fn broken(source: io::Error) -> ImageError {
    failed("the archive", source)
}

/// Counts what is read, and may take its digest.
struct Measured<R> {
    input: R,
    hash: Option<Sha256>,
    count: u64,
}

impl<R: Read> Read for Measured<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.input.read(buffer)?;
        if let Some(hash) = &mut self.hash {
            hash.update(&buffer[..got]);
        }
        self.count += got as u64;
        Ok(got)
    }
}

impl Store {
    /// The directories of an image's layers, the top one first, ready to be stacked. Layers that are
    /// not unpacked are unpacked now.
    ///
    /// # Errors
    /// If the image is not there, or a layer cannot be unpacked.
    pub fn layers(&self, image: &Digest) -> Result<Vec<PathBuf>> {
        let found = self.get(image)?.ok_or_else(|| ImageError::NotFound(image.to_string()))?;
        let chain = found.chain();
        if !chain.iter().all(|layer| self.has_layer(layer)) {
            let staging = self.stage()?;
            let manifest: Manifest = self.document(&found.manifest)?;
            for (at, layer) in manifest.layers.iter().enumerate() {
                staging.keep_layer(&chain[..=at], &found.layers[at], &layer.digest()?, None)?;
            }
            self.settle_later();
        }
        Ok(chain.iter().rev().map(|layer| self.layer(layer).join("fs")).collect())
    }

    /// Bytes of the files of each layer of an image, the bottom one first; 0 of one that is not
    /// unpacked.
    ///
    /// # Errors
    /// If the image is not there.
    pub fn layer_sizes(&self, image: &Digest) -> Result<Vec<u64>> {
        let found = self.get(image)?.ok_or_else(|| ImageError::NotFound(image.to_string()))?;
        Ok(found.chain().iter().map(|layer| self.layer_size(layer)).collect())
    }

    /// Where a layer is, by chain id.
    pub(super) fn layer(&self, chain: &Digest) -> PathBuf {
        self.shared.images.join("layers").join(chain.hex())
    }

    /// Bytes of the files of a layer; 0 if it is not unpacked.
    pub(super) fn layer_size(&self, chain: &Digest) -> u64 {
        read_info(&self.layer(chain)).map_or(0, |info| info.size)
    }

    /// Bytes of the archive of a layer, unpacked.
    pub(super) fn archive_size(&self, chain: &Digest) -> Result<u64> {
        Ok(read_info(&self.layer(chain))?.archive)
    }

    pub(super) fn has_layer(&self, chain: &Digest) -> bool {
        self.layer(chain).join("layer.json").exists()
    }

    /// Drops layers of an earlier boot that may not be whole on the disk.
    pub(super) fn sweep_layers(&self) -> Result<()> {
        let boot = clock::boot_id().0;
        let mut unsettled = false;
        for dir in self.layer_dirs()? {
            match read_info(&dir) {
                Ok(info) => match info.boot {
                    Some(made_in) if made_in != boot => remove(&dir)?,
                    Some(_) => unsettled = true,
                    None => {}
                },
                Err(_) => remove(&dir)?,
            }
        }
        if unsettled {
            self.settle_later();
        }
        Ok(())
    }

    pub(super) fn layer_dirs(&self) -> Result<Vec<PathBuf>> {
        let layers = self.path("layers");
        let read = || fs::read_dir(&layers)?.map(|entry| Ok(entry?.path())).collect();
        let found: io::Result<Vec<PathBuf>> = read();
        found.doing("read", &layers)
    }

    /// The layers of this boot that may not be on the disk.
    pub(super) fn unsettled_layers(&self) -> Result<Vec<(PathBuf, LayerInfo)>> {
        let boot = clock::boot_id().0;
        let mut new = Vec::new();
        for dir in self.layer_dirs()? {
            if let Ok(info) = read_info(&dir)
                && info.boot.as_ref() == Some(&boot)
            {
                new.push((dir, info));
            }
        }
        Ok(new)
    }

    /// Says of layers that they are on the disk for sure.
    pub(super) fn layers_are_settled(&self, layers: Vec<(PathBuf, LayerInfo)>) -> Result<()> {
        for (dir, mut info) in layers {
            info.boot = None;
            // One that was removed meanwhile needs nothing.
            if dir.exists() {
                write_atomic(&dir.join("layer.json"), &document::write(&info)?)?;
            }
        }
        Ok(())
    }
}

/// Bytes that the layer in `dir` takes on the disk; `None` if it is none, or does not say.
pub(super) fn disk_size(dir: &Path) -> Option<u64> {
    read_info(dir).ok()?.disk
}

fn read_info(dir: &Path) -> Result<LayerInfo> {
    let path = dir.join("layer.json");
    document::read(&path.display().to_string(), &fs::read(&path).doing("read", &path)?)
}

impl Staging {
    /// Puts the top layer of `chain` (the bottom one first) in its place, over the others, which are
    /// there: as it was unpacked, or else from its blob, which is kept already.
    pub(super) fn keep_layer(
        &self,
        chain: &[Digest],
        diff_id: &Digest,
        blob: &Digest,
        unpacked: Option<Unpacked>,
    ) -> Result<()> {
        let Some((top, below)) = chain.split_last() else { return Ok(()) };
        let store = self.store();
        if store.has_layer(top) {
            return Ok(());
        }
        let below = below.iter().rev().map(|layer| store.layer(layer).join("fs"));
        let below = Merged::open(below).doing("read", store.path("layers"))?;
        let mut ready = None;
        if let Some(Unpacked { dir, applied: Some(applied), .. }) = unpacked {
            let fits = settle(&dir.join("fs"), &applied, &below).doing("finish", &dir)?;
            ready = fits.then_some((dir, applied));
        }
        let (dir, applied) = match ready {
            Some(ready) => ready,
            None => self.unpack_over(&below, diff_id, blob)?,
        };
        let boot = Some(clock::boot_id().0);
        let Applied { size, archive, devices, disk, .. } = applied;
        let (diff_id, disk) = (diff_id.clone(), Some(disk));
        let info = LayerInfo { diff_id, size, archive, devices, disk, boot };
        let info = document::write(&info)?;
        let file = dir.join("layer.json");
        fs::write(&file, info).doing("write", &file)?;
        let _lock = store.lock()?;
        let place = store.layer(top);
        if !store.has_layer(top) {
            remove(&place)?;
            fs::rename(&dir, &place).doing("keep", &place)?;
        }
        Ok(())
    }

    /// Unpacks a layer that needs the ones below it, or whose first unpacking is gone.
    fn unpack_over(
        &self,
        below: &Merged,
        diff_id: &Digest,
        blob: &Digest,
    ) -> Result<(PathBuf, Applied)> {
        let dir = self.fresh();
        let input = self.store().layer_input(blob)?;
        let unpacked = unpack(&dir, input, Some(below.clone()), self.store().shared.limits)?;
        check(&format!("layer {blob}"), &unpacked.diff_id, diff_id)?;
        let applied = unpacked.applied.ok_or_else(|| bad("a layer", "it was not unpacked"))?;
        settle(&dir.join("fs"), &applied, below).doing("finish", &dir)?;
        Ok((dir, applied))
    }
}
