//! Images from archives: `docker save`, OCI archives, OCI layouts.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::archive::{Entry, Kind, TarReader};
use super::decode;
use super::document::{Index, digest_of};
use super::error::{Doing as _, ImageError, Result, bad};
use super::import::arrive;
use super::ingest::{Arrived, NewImage, Pool, with_pool};
use super::limits::{DOCUMENT, Limits};
use super::reference::Reference;
use super::spool::Spooled;
use super::staging::Staging;
use super::store::Store;
use super::{docker, layout};
use crate::model::Digest;

/// An image that was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Its names, in full; none if the archive gives it none.
    pub references: Vec<String>,
    /// Its id.
    pub id: Digest,
}

/// The most JSON documents of one archive, and their bytes together.
const DOCUMENTS: (usize, u64) = (20_000, 256 << 20);

/// What an archive holds.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// The JSON documents, by path.
    pub(super) documents: BTreeMap<String, Vec<u8>>,
    /// The digests of layers, by path.
    pub(super) layers: BTreeMap<String, Digest>,
    /// Other names of layers: old forms of `docker save` link to what they wrote before.
    pub(super) links: BTreeMap<String, String>,
    /// The layers themselves.
    pub(super) arrived: BTreeMap<Digest, Arrived>,
    /// Layers that the store had before, and that were not read.
    stored: BTreeMap<Digest, Spooled>,
    bytes: u64,
}

impl Store {
    /// Loads the images of an archive, as it comes: of `docker save` or `podman save`, or an OCI
    /// archive; the archive itself may be packed with gzip or zstd.
    ///
    /// # Errors
    /// If the archive is bad or of a kind that is not known, an image is not for this host, or the
    /// disk is full. No image is kept then.
    pub fn load(&self, archive: &mut (impl Read + Send)) -> Result<Vec<Loaded>> {
        let staging = self.stage()?;
        with_pool(|pool| {
            let contents = read_archive(&staging, pool, archive)?;
            let images = match contents.documents.contains_key("oci-layout") {
                true => layout::images(&contents)?,
                false => docker::images(&contents)?,
            };
            keep(&staging, &images, &contents.arrived)
        })
    }

    /// The same from a file, or from the directory of an OCI layout.
    ///
    /// # Errors
    /// If it cannot be read, and as for [`load`](Self::load).
    pub fn load_path(&self, path: &Path) -> Result<Vec<Loaded>> {
        if !path.is_dir() {
            let mut file = File::open(path).doing("open", path)?;
            return self.load(&mut file);
        }
        let staging = self.stage()?;
        with_pool(|pool| {
            let mut contents = Contents::default();
            let mut read = |name: &str, contents: &mut Contents| {
                let file = path.join(name);
                let mut opened = File::open(&file).doing("open", &file)?;
                let size = opened.metadata().doing("read", &file)?.len();
                contents.take(&staging, pool, (name, size), &mut opened)
            };
            read("oci-layout", &mut contents)?;
            read("index.json", &mut contents)?;
            layout::gather(&mut contents, &mut read)?;
            let images = layout::images(&contents)?;
            keep(&staging, &images, &contents.arrived)
        })
    }
}

fn keep(
    staging: &Staging,
    images: &[NewImage],
    arrived: &BTreeMap<Digest, Arrived>,
) -> Result<Vec<Loaded>> {
    let ids = staging.commit(images, arrived)?;
    let names = |image: &NewImage| image.references.iter().map(Reference::to_string).collect();
    Ok(images.iter().zip(ids).map(|(image, id)| Loaded { references: names(image), id }).collect())
}

fn read_archive(
    staging: &Staging,
    pool: &Pool,
    archive: &mut (impl Read + Send),
) -> Result<Contents> {
    let io = |source| ImageError::Io { doing: "read the archive".to_owned(), source };
    // An archive of archives may be larger than a layer; its layers have their own limits.
    let limits = Limits { ratio_from: u64::MAX, ..staging.store().shared.limits };
    let mut archive = TarReader::new(decode::unpacked(archive, limits).map_err(io)?, limits);
    let mut contents = Contents::default();
    while let Some(entry) = archive.next().map_err(io)? {
        let Some(name) = clean(&entry) else { continue };
        match entry.kind {
            Kind::File if entry.segments.is_none() => {
                contents.take(staging, pool, (&name, entry.size), &mut archive)?;
            }
            Kind::Symlink | Kind::HardLink => {
                if let Some(target) = target(&name, &entry) {
                    contents.links.insert(name, target);
                }
            }
            _ => {}
        }
    }
    Ok(contents)
}

impl Contents {
    /// Takes in one file: a JSON document, or a layer, which begins to be unpacked. What is neither is
    /// passed over.
    fn take(
        &mut self,
        staging: &Staging,
        pool: &Pool,
        (name, size): (&str, u64),
        input: &mut impl Read,
    ) -> Result<()> {
        let io = |source| ImageError::Io { doing: format!("read {name}"), source };
        let mut start = Vec::new();
        input.by_ref().take(512).read_to_end(&mut start).map_err(io)?;
        let mut input = start.as_slice().chain(input);
        if is_document(&start) {
            let mut document = Vec::new();
            input.take(DOCUMENT + 1).read_to_end(&mut document).map_err(io)?;
            self.bytes += document.len() as u64;
            let too_many = self.documents.len() >= DOCUMENTS.0 || self.bytes > DOCUMENTS.1;
            if too_many || document.len() as u64 > DOCUMENT {
                let limit = format!("{DOCUMENT} bytes each, {} bytes together", DOCUMENTS.1);
                return Err(ImageError::TooLarge { what: format!("the document {name}"), limit });
            }
            self.documents.insert(name.to_owned(), document);
        } else if is_layer(&start) && !self.known(staging, name, size)? {
            let layer = arrive(staging, pool, &mut input, name)?;
            self.layers.insert(name.to_owned(), layer.blob.digest.clone());
            self.arrived.insert(layer.blob.digest.clone(), layer);
        }
        Ok(())
    }

    /// Whether a file is named by its digest, and the store has that blob.
    fn known(&mut self, staging: &Staging, name: &str, size: u64) -> Result<bool> {
        let digest = name.strip_prefix("blobs/sha256/").and_then(|hex| Digest::sha256(hex).ok());
        let Some(digest) = digest else { return Ok(false) };
        if !staging.has_blob(&digest, Some(size))? {
            return Ok(false);
        }
        let path = staging.store().blob(&digest);
        self.layers.insert(name.to_owned(), digest.clone());
        self.stored.insert(digest.clone(), Spooled { path, digest, size });
        Ok(true)
    }

    /// The blob of a layer.
    pub(super) fn layer_blob(&self, digest: &Digest) -> Option<Spooled> {
        let arrived = self.arrived.get(digest).map(|arrived| &arrived.blob);
        arrived.or_else(|| self.stored.get(digest)).cloned()
    }

    /// The digest of the layer at `path`.
    pub(super) fn layer(&self, path: &str) -> Result<Digest> {
        let mut path = path;
        // A chain of links is as long as there are links at most.
        for _ in 0..=self.links.len() {
            if let Some(digest) = self.layers.get(path) {
                return Ok(digest.clone());
            }
            match self.links.get(path) {
                Some(target) => path = target,
                None => break,
            }
        }
        Err(bad("the archive", format!("layer {path} is missing, or is no tar archive")))
    }

    /// The document at `path`.
    pub(super) fn document(&self, path: &str) -> Result<&[u8]> {
        let document = self.documents.get(path).map(Vec::as_slice);
        document.ok_or_else(|| bad("the archive", format!("{path} is missing")))
    }

    /// The document with this digest, of an OCI layout.
    pub(super) fn blob(&self, digest: &Digest) -> Result<&[u8]> {
        let document = self.document(&format!("blobs/sha256/{}", digest.hex()))?;
        super::staging::check("a document of the archive", &digest_of(document), digest)?;
        Ok(document)
    }

    /// The index of an OCI layout.
    pub(super) fn index(&self) -> Result<Index> {
        super::document::read("index.json", self.document("index.json")?)
    }
}

fn is_document(start: &[u8]) -> bool {
    matches!(start.trim_ascii_start().first(), Some(b'{' | b'['))
}

/// A packed file or a tar archive; an empty archive is all zeros.
fn is_layer(start: &[u8]) -> bool {
    use super::decode::Packing;
    let plain = start.len() == 512
        && (start.iter().all(|b| *b == 0)
            || start.get(257..262) == Some(b"ustar")
            || start[148..156].iter().all(|b| b.is_ascii_digit() || matches!(b, b' ' | 0)));
    plain || Packing::of(start) != Packing::Plain
}

/// The path of an entry without `./`; `None` if it leads out of the archive.
fn clean(entry: &Entry) -> Option<String> {
    let path = String::from_utf8(entry.path.clone()).ok()?;
    join("", &path)
}

/// Where a link leads, in the archive.
fn target(name: &str, entry: &Entry) -> Option<String> {
    let link = str::from_utf8(&entry.link).ok()?;
    let dir = match entry.kind {
        Kind::Symlink => name.rsplit_once('/').map_or("", |(dir, _)| dir),
        _ => "",
    };
    join(dir, link)
}

fn join(dir: &str, path: &str) -> Option<String> {
    let mut names: Vec<&str> = dir.split('/').filter(|name| !name.is_empty()).collect();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()?),
            name => names.push(name),
        }
    }
    Some(names.join("/"))
}
