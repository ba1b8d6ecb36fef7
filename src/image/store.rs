//! The store: where things are, and who may change them when.
//!
//! ```text
//! <root>/images/
//!   oci-layout, index.json   an OCI image layout: the references
//!   blobs/sha256/<hex>       manifests, configurations and layers as they came
//!   layers/<chain id>/fs     layers unpacked, made from the blobs
//!   partial/<hex>            blobs of which only the beginning has come from a registry
//!   staging/<n>/             what is being loaded; whoever makes it holds its lock
//!   unsettled                there as long as blobs may not be on the disk for sure
//!   used/<id>                when an image was used last: the time of the file
//!   lock                     held while the index or what it points at changes
//! ```

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use rustix::fs::FlockOperation;
use serde::Serialize;

use super::builtin;
use super::config::{ConfigFile, HistoryEntry};
use super::disk::{hold, locked, set_private, spread, write_atomic};
use super::document::{self, Manifest, Platform, chain_ids};
use super::error::{Doing as _, ImageError, Result};
use super::index;
use super::limits::{DOCUMENT, Limits};
use super::reference::Reference;
use crate::model::{Digest, ImageConfig};

/// The images of an instance. Cheap to clone; many threads and processes may use one store at once.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    /// The instance's root.
    pub(super) root: PathBuf,
    /// `<root>/images`.
    pub(super) images: PathBuf,
    pub(super) limits: Limits,
    /// What was read of images: manifests never change.
    parsed: Mutex<HashMap<Digest, Arc<Image>>>,
    pub(super) index: Mutex<Option<index::Known>>,
    /// Whether a thread waits to make new layers last.
    pub(super) settling: AtomicBool,
}

/// An image of the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Image {
    /// The digest of its configuration: what docker calls the image's id.
    pub id: Digest,
    /// The digest of its manifest: what a registry calls it.
    pub manifest: Digest,
    /// Its full names, such as `docker.io/library/nginx:latest`.
    pub references: Vec<String>,
    /// What a container needs of the configuration.
    pub config: ImageConfig,
    /// Its layers' diff ids, the bottom one first.
    pub layers: Vec<Digest>,
    /// When it was made, as RFC 3339; empty if it does not say.
    pub created: String,
    /// Bytes of its layers as they came.
    pub size: u64,
    /// Such as `amd64`.
    pub architecture: String,
    /// Such as `linux`.
    pub os: String,
}

impl Store {
    /// Opens the store of the instance whose root is `root`, and makes it if it is not there.
    /// Sweeps away what loads that were cut off have left.
    ///
    /// # Errors
    /// If the files cannot be made or read.
    pub fn open(root: &Path) -> Result<Self> {
        Self::with_limits(root, Limits::default())
    }

    /// The same, with other limits on layers.
    ///
    /// # Errors
    /// If the files cannot be made or read.
    pub fn with_limits(root: &Path, limits: Limits) -> Result<Self> {
        let root = std::path::absolute(root).doing("find", root)?;
        let images = root.join("images");
        for dir in ["blobs/sha256", "layers", "partial", "staging", "used"] {
            let dir = images.join(dir);
            fs::create_dir_all(&dir).doing("make", &dir)?;
        }
        let containers = root.join("containers");
        fs::create_dir_all(&containers).doing("make", &containers)?;
        spread(&images.join("staging"));
        // What is in images and containers, setuid programs too, is not for the host's users
        // (CVE-2021-41091).
        set_private(&images)?;
        set_private(&containers)?;
        let (parsed, index, settling) =
            (Mutex::default(), Mutex::default(), AtomicBool::new(false));
        let shared = Shared { root, images, limits, parsed, index, settling };
        let store = Self { shared: Arc::new(shared) };
        let layout = store.path("oci-layout");
        if !layout.exists() {
            write_atomic(&layout, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        }
        store.sweep()?;
        Ok(store)
    }

    /// The image that `reference` means: a name as docker reads it, an id, or the beginning of one.
    ///
    /// # Errors
    /// If it is no name, a beginning that several ids have, or the store cannot be read.
    pub fn resolve(&self, reference: &str) -> Result<Option<Image>> {
        let named = match reference.strip_prefix("sha256:") {
            Some(_) => None,
            None => self.named(reference)?,
        };
        match named {
            Some(image) => Ok(Some(image)),
            None if self.is_builtin(reference) => self.named(builtin::NAME),
            None => self.by_id(reference),
        }
    }

    /// The image that `reference` means, which must be there.
    ///
    /// # Errors
    /// [`ImageError::NotFound`], and those of [`resolve`](Self::resolve).
    pub fn find(&self, reference: &str) -> Result<Image> {
        self.resolve(reference)?.ok_or_else(|| ImageError::NotFound(reference.to_owned()))
    }

    /// The image with this id.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn get(&self, id: &Digest) -> Result<Option<Image>> {
        Ok(self.images()?.into_iter().find(|image| image.id == *id))
    }

    /// All images, by id. One that is there in several forms (packed differently) is there once.
    pub(super) fn images(&self) -> Result<Vec<Image>> {
        let index = self.index()?;
        let mut images: BTreeMap<Digest, Image> = BTreeMap::new();
        for descriptor in &index.manifests {
            // One damaged image must not hide the others.
            let image = match descriptor.digest().and_then(|manifest| self.parsed(&manifest)) {
                Ok(image) => image,
                Err(error) => {
                    tracing::warn!(manifest = descriptor.digest, %error, "skipping a damaged image");
                    continue;
                }
            };
            let names = index::names(descriptor);
            let known = images.entry(image.id.clone()).or_insert_with(|| Image::clone(&image));
            known.references.extend(names);
        }
        Ok(images.into_values().collect())
    }

    /// The image that has this name.
    pub(super) fn named(&self, reference: &str) -> Result<Option<Image>> {
        let wanted: Reference = reference.parse()?;
        let index = self.index()?;
        let found = index.manifests.iter().find(|descriptor| index::is_named(descriptor, &wanted));
        let Some(found) = found else { return Ok(None) };
        let id = self.parsed(&found.digest()?)?.id.clone();
        self.get(&id)
    }

    fn by_id(&self, text: &str) -> Result<Option<Image>> {
        let (digits, exact) = match text.strip_prefix("sha256:") {
            Some(digits) => (digits, true),
            None => (text, false),
        };
        let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        if digits.len() < 2 || digits.len() > 64 || !digits.chars().all(hex) {
            return if exact {
                let reason = "an id has up to 64 hexadecimal digits";
                Err(ImageError::BadReference { reference: text.to_owned(), reason })
            } else {
                Ok(None)
            };
        }
        let fits = |digest: &Digest| digest.hex().starts_with(digits);
        let mut found = self.images()?;
        found.retain(|image| fits(&image.id) || (digits.len() == 64 && fits(&image.manifest)));
        match found.len() {
            0 => Ok(None),
            1 => Ok(found.pop()),
            _ => Err(ImageError::Ambiguous(text.to_owned())),
        }
    }

    /// The image of a manifest, without names.
    pub(super) fn parsed(&self, manifest: &Digest) -> Result<Arc<Image>> {
        if let Some(image) = locked(&self.shared.parsed).get(manifest) {
            return Ok(image.clone());
        }
        let read: Manifest = self.document(manifest)?;
        let id = read.config.digest()?;
        let config: ConfigFile = self.document(&id)?;
        config.check(id.as_str(), read.layers.len())?;
        let image = Arc::new(Image {
            id,
            manifest: manifest.clone(),
            references: Vec::new(),
            config: config.for_containers(),
            size: read.layers.iter().map(|layer| layer.size).sum(),
            created: config.created.clone().unwrap_or_default(),
            layers: config.rootfs.diff_ids.clone(),
            architecture: config.architecture,
            os: config.os,
        });
        let mut parsed = locked(&self.shared.parsed);
        if parsed.len() > 4096 {
            parsed.clear();
        }
        parsed.insert(manifest.clone(), image.clone());
        Ok(image)
    }

    /// Refuses an image that is not for the platform that is wanted, or that this host cannot run.
    ///
    /// # Errors
    /// If it is so, or `platform` is none.
    pub fn check_runs(&self, image: &Image, platform: Option<&str>) -> Result<()> {
        let found = Platform::of(&image.os, &image.architecture);
        let name = image.references.first().map_or(image.id.as_str(), String::as_str);
        if let Some(wanted) = platform.map(str::parse::<Platform>).transpose()?
            && !found.runs_on(&wanted)
        {
            let (found, wanted) = (found.to_string(), wanted.to_string());
            return Err(ImageError::OtherPlatform { image: name.to_owned(), found, wanted });
        }
        if found.is_emulated() { Ok(()) } else { document::check_platform(name, &found) }
    }

    /// How an image came to be, the newest first.
    ///
    /// # Errors
    /// If it is not there or cannot be read.
    pub fn history(&self, reference: &str) -> Result<Vec<HistoryEntry>> {
        let image = self.find(reference)?;
        let config: ConfigFile = self.document(&image.id)?;
        let mut history = config.history.unwrap_or_default();
        history.reverse();
        Ok(history)
    }

    /// The whole configuration of an image, as it is in its blob.
    ///
    /// # Errors
    /// If it is not there or cannot be read.
    pub fn inspect(&self, reference: &str) -> Result<serde_json::Value> {
        let image = self.find(reference)?;
        self.document(&image.id)
    }

    /// A JSON document among the blobs.
    pub(super) fn document<T: serde::de::DeserializeOwned>(&self, digest: &Digest) -> Result<T> {
        document::read(digest.as_str(), &self.small_blob(digest)?)
    }

    /// A blob that is small enough to hold, checked.
    pub(super) fn small_blob(&self, digest: &Digest) -> Result<Vec<u8>> {
        let path = self.blob(digest);
        let mut bytes = Vec::new();
        let file = File::open(&path).doing("open", &path)?;
        file.take(DOCUMENT + 1).read_to_end(&mut bytes).doing("read", &path)?;
        if bytes.len() as u64 > DOCUMENT {
            let limit = format!("{DOCUMENT} bytes");
            return Err(ImageError::TooLarge { what: path.display().to_string(), limit });
        }
        let found = document::digest_of(&bytes);
        if found != *digest {
            let (what, wanted) = (path.display().to_string(), digest.clone());
            return Err(ImageError::WrongDigest { what, found, wanted });
        }
        Ok(bytes)
    }

    /// A file or directory of the store.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.shared.images.join(name)
    }

    /// Where a blob is.
    pub(super) fn blob(&self, digest: &Digest) -> PathBuf {
        self.shared.images.join("blobs/sha256").join(digest.hex())
    }

    /// Alone with the index, the blobs and the layers, until the file is dropped.
    pub(super) fn lock(&self) -> Result<File> {
        hold(&self.path("lock"), FlockOperation::LockExclusive)
    }
}

impl Image {
    /// The chain ids of its layers, the bottom one first.
    pub(super) fn chain(&self) -> Vec<Digest> {
        chain_ids(&self.layers)
    }
}
