//! The built-in image: orca itself, so that a first stack needs no registry and no file.

use std::fs::{self, File};
use std::io::{self, Cursor, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tar::{EntryType, Header};

use super::config::{ConfigFile, HistoryEntry};
use super::disk::write_atomic;
use super::document::{self, Descriptor, Manifest, Platform, media};
use super::error::{Doing as _, Result, bad};
use super::import::now;
use super::index;
use super::layers::unpack;
use super::reference::Reference;
use super::store::{Image, Store};
use crate::model::{Digest, ImageConfig};

/// What is called `orca` in a stack.
pub(super) const NAME: &str = "orca/builtin:latest";

/// What a stack writes to mean the built-in image, which is made when it is first asked for.
pub const BUILTIN: &str = "orca/builtin";

/// Whether `reference` means the built-in image.
pub fn is_builtin(reference: &str) -> bool {
    let named = |name: &str| name.parse::<Reference>().ok();
    reference == Store::BUILTIN || named(reference).is_some_and(|r| Some(r) == named(NAME))
}

/// Which program the image was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Made {
    exe: PathBuf,
    inode: u64,
    device: u64,
    size: u64,
    modified: (i64, i64),
    id: Digest,
}

impl Store {
    /// The short name of the built-in image: what a stack writes.
    pub const BUILTIN: &str = "orca";

    /// Whether `reference` means the built-in image: its name, or the short one as long as no other
    /// image is called so.
    pub fn is_builtin(&self, reference: &str) -> bool {
        let named = |text: &str| text.parse::<Reference>().ok();
        let wanted = named(reference);
        wanted == named(NAME)
            || (wanted == named(Self::BUILTIN) && self.named(reference).is_ok_and(|i| i.is_none()))
    }

    /// The built-in image, with the program `exe` (a static binary: orca itself) as `/bin/orca`. Made
    /// on first use, and again when the program has changed. Called `orca/builtin:latest`.
    ///
    /// # Errors
    /// If the program cannot be read or the image cannot be made.
    pub fn builtin(&self, exe: &Path) -> Result<Image> {
        let file = File::open(exe).doing("open", exe)?;
        let meta = file.metadata().doing("read", exe)?;
        let record = self.path("builtin.json");
        let known =
            fs::read(&record).ok().and_then(|bytes| serde_json::from_slice::<Made>(&bytes).ok());
        let made = |id| Made {
            exe: exe.to_owned(),
            inode: meta.ino(),
            device: meta.dev(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            id,
        };
        if let Some(known) = known
            && known == made(known.id.clone())
            && let Some(image) = self.get(&known.id)?
            && image.chain().iter().all(|layer| self.has_layer(layer))
            && self.named_now(&image)
        {
            return Ok(image);
        }
        let id = self.make_builtin(file)?;
        write_atomic(&record, &document::write(&made(id.clone()))?)?;
        self.find(id.as_str())
    }

    fn named_now(&self, image: &Image) -> bool {
        NAME.parse::<Reference>().is_ok_and(|name| image.references.contains(&name.to_string()))
    }

    fn make_builtin(&self, exe: File) -> Result<Digest> {
        let staging = self.stage()?;
        let dir = staging.fresh();
        let unpacked = unpack(&dir, archive(exe)?, None, self.shared.limits)?;
        let layer = unpacked.diff_id.clone();
        let size = unpacked.archive();
        let image_config = ImageConfig {
            entrypoint: vec!["/bin/orca".to_owned()],
            env: vec![
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
            ],
            ..ImageConfig::default()
        };
        let by = HistoryEntry {
            created: Some(now()),
            created_by: Some("orca".to_owned()),
            ..HistoryEntry::default()
        };
        let config = ConfigFile::new(&image_config, Platform::host(), &layer, by);
        let config = document::write(&config)?;
        let config = staging.blob(&config)?;
        let manifest = document::write(&Manifest {
            schema_version: 2,
            media_type: media::MANIFEST.to_owned(),
            config: Descriptor::new(media::CONFIG, &config.digest, config.size),
            layers: vec![Descriptor::new(media::LAYER, &layer, size)],
        })?;
        let manifest = staging.blob(&manifest)?;
        let (name, blobs) = (NAME.parse()?, [config, manifest]);
        {
            let _lock = self.lock()?;
            staging.count_on([&layer])?;
            staging.keep(&blobs)?;
        }
        let [config, manifest] = blobs;
        staging.keep_layer(std::slice::from_ref(&layer), &layer, &layer, Some(unpacked))?;
        let descriptor = Descriptor::new(media::MANIFEST, &manifest.digest, manifest.size);
        let _lock = self.lock()?;
        self.write_index(|known| index::put(known, descriptor, Some(&name)))?;
        self.settle_later();
        self.used_now(&config.digest);
        Ok(config.digest)
    }

    /// The bytes of a layer as they are in a registry: its blob. The built-in layer has none (it would
    /// be a second copy of the program): it is packed anew, always to the same bytes.
    pub(super) fn layer_input(&self, blob: &Digest) -> Result<Box<dyn Read + Send>> {
        let path = self.blob(blob);
        match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => return Ok(Box::new(done.doing("open", &path)?)),
        }
        let unpacked = self.layer(blob).join("fs/bin/orca");
        let record = fs::read(self.path("builtin.json")).ok();
        let made = record.and_then(|bytes| serde_json::from_slice::<Made>(&bytes).ok());
        for exe in [Some(unpacked), made.map(|made| made.exe)].into_iter().flatten() {
            if let Ok(file) = File::open(exe) {
                return Ok(Box::new(archive(file)?));
            }
        }
        Err(bad(format!("layer {blob}"), "its blob is gone; load or pull the image again"))
    }
}

/// The built-in layer as a tar stream. The same program gives the same bytes.
fn archive(exe: File) -> Result<impl Read + Send> {
    let size = exe.metadata().doing("read", "the program")?.len();
    let mut start = Vec::new();
    for (name, mode) in [
        ("bin", 0o755),
        ("dev", 0o755),
        ("etc", 0o755),
        ("home", 0o755),
        ("proc", 0o555),
        ("root", 0o700),
        ("run", 0o755),
        ("sys", 0o555),
        ("tmp", 0o1777),
        ("usr", 0o755),
        ("var", 0o755),
        ("var/tmp", 0o1777),
    ] {
        entry(&mut start, &format!("{name}/"), mode, EntryType::Directory, 0)?;
    }
    for (name, text) in [
        ("etc/group", "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n"),
        (
            "etc/passwd",
            "root:x:0:0:root:/root:/bin/false\nnobody:x:65534:65534:nobody:/:/bin/false\n",
        ),
    ] {
        entry(&mut start, name, 0o644, EntryType::Regular, text.len() as u64)?;
        start.extend_from_slice(text.as_bytes());
        start.resize(start.len().next_multiple_of(512), 0);
    }
    entry(&mut start, "bin/orca", 0o755, EntryType::Regular, size)?;
    let end = usize::try_from(size.wrapping_neg() % 512).unwrap_or(0) + 1024;
    Ok(Cursor::new(start).chain(exe.take(size)).chain(Cursor::new(vec![0; end])))
}

fn entry(to: &mut Vec<u8>, name: &str, mode: u32, kind: EntryType, size: u64) -> Result<()> {
    let mut header = Header::new_ustar();
    header.set_path(name).doing("name", name)?;
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_entry_type(kind);
    header.set_cksum();
    to.extend_from_slice(header.as_bytes());
    Ok(())
}
