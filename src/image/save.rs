//! Images into archives that others read.

use std::collections::BTreeSet;
use std::io::{Read, Write};

use tar::{Builder, Header};

use super::decode;
use super::document::{
    self, Descriptor, DockerManifest, IMAGE_NAME, Index, Manifest, REF_NAME, media,
};
use super::error::{Doing as _, ImageError, Result, bad};
use super::reference::Reference;
use super::store::{Image, Store};
use crate::model::Digest;

/// A form of archive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// That of `docker save`: layers unpacked.
    #[default]
    Docker,
    /// An OCI image layout: blobs as they are, so that digests stay.
    Oci,
}

impl Store {
    /// Writes images into one archive, as a stream. An image given by name keeps this name in the
    /// archive, one given by id keeps all its names.
    ///
    /// # Errors
    /// If an image is not there, or something cannot be read or written.
    pub fn save(&self, references: &[String], format: Format, out: impl Write) -> Result<()> {
        let staging = self.stage()?;
        let mut images: Vec<(Image, Vec<Reference>)> = Vec::new();
        for reference in references {
            let image = self.find(reference)?;
            // Nothing of it is removed meanwhile.
            {
                let _lock = self.lock()?;
                staging.count_on([&image.id, &image.manifest])?;
            }
            self.layers(&image.id)?;
            let names = names(&image, reference);
            match images.iter_mut().find(|(known, _)| known.id == image.id) {
                Some((_, known)) => known.extend(names),
                None => images.push((image, names)),
            }
        }
        let mut saver = Saver { store: self, tar: Builder::new(out), written: BTreeSet::new() };
        match format {
            Format::Docker => saver.docker(&images)?,
            Format::Oci => saver.oci(&images)?,
        }
        saver.tar.into_inner().and_then(|mut out| out.flush()).doing("write", "the archive")
    }
}

fn names(image: &Image, reference: &str) -> Vec<Reference> {
    let all = image.references.iter().filter_map(|name| name.parse::<Reference>().ok());
    let mut all: Vec<_> = all.filter(|name| name.tag.is_some()).collect();
    if let Ok(asked) = reference.parse::<Reference>()
        && all.contains(&asked)
    {
        all = vec![asked];
    }
    all
}

struct Saver<'a, W: Write> {
    store: &'a Store,
    tar: Builder<W>,
    written: BTreeSet<String>,
}

impl<W: Write> Saver<'_, W> {
    fn docker(&mut self, images: &[(Image, Vec<Reference>)]) -> Result<()> {
        let layer = |diff_id: &Digest| format!("{}/layer.tar", diff_id.hex());
        let line = |(image, names): &(Image, Vec<Reference>)| DockerManifest {
            config: format!("{}.json", image.id.hex()),
            repo_tags: Some(names.iter().map(Reference::familiar).collect()),
            layers: image.layers.iter().map(layer).collect(),
        };
        let lines: Vec<_> = images.iter().map(line).collect();
        self.bytes("manifest.json", &document::write(&lines)?)?;
        for (image, _) in images {
            let config = self.store.small_blob(&image.id)?;
            self.bytes(&format!("{}.json", image.id.hex()), &config)?;
            let manifest: Manifest = self.store.document(&image.manifest)?;
            let layers = manifest.layers.iter().zip(&image.layers).zip(image.chain());
            for ((blob, diff_id), chain) in layers {
                let blob = blob.digest()?;
                let packed = self.store.layer_input(&blob)?;
                let unpacked = decode::unpacked(packed, self.store.shared.limits);
                let input = unpacked.doing("unpack layer", blob.as_str())?;
                let size = self.store.archive_size(&chain)?;
                self.stream(&layer(diff_id), input, size)?;
            }
        }
        Ok(())
    }

    fn oci(&mut self, images: &[(Image, Vec<Reference>)]) -> Result<()> {
        self.bytes("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        let mut index =
            Index { schema_version: 2, media_type: media::INDEX.to_owned(), manifests: Vec::new() };
        for (image, names) in images {
            let size = self.store.small_blob(&image.manifest)?.len() as u64;
            let plain = Descriptor::new(media::MANIFEST, &image.manifest, size);
            let named = names.iter().map(|name| {
                let mut descriptor = plain.clone();
                for key in [REF_NAME, IMAGE_NAME] {
                    descriptor.annotations.insert(key.to_owned(), name.to_string());
                }
                descriptor
            });
            index.manifests.extend(named);
            if names.is_empty() {
                index.manifests.push(plain);
            }
        }
        self.bytes("index.json", &document::write(&index)?)?;
        for (image, _) in images {
            let manifest: Manifest = self.store.document(&image.manifest)?;
            for digest in [&image.manifest, &image.id] {
                let bytes = self.store.small_blob(digest)?;
                self.bytes(&format!("blobs/sha256/{}", digest.hex()), &bytes)?;
            }
            for layer in &manifest.layers {
                let digest = layer.digest()?;
                let input = self.store.layer_input(&digest)?;
                self.stream(&format!("blobs/sha256/{}", digest.hex()), input, layer.size)?;
            }
        }
        Ok(())
    }

    fn bytes(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.stream(name, bytes, bytes.len() as u64)
    }

    /// Writes one file of the archive, unless it is there already.
    fn stream(&mut self, name: &str, input: impl Read, size: u64) -> Result<()> {
        if !self.written.insert(name.to_owned()) {
            return Ok(());
        }
        let mut header = Header::new_ustar();
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(size);
        let mut input = Exactly { input: input.take(size), missing: size };
        self.tar.append_data(&mut header, name, &mut input).map_err(|source| ImageError::Io {
            doing: format!("write {name} to the archive"),
            source,
        })?;
        match input.missing {
            0 => Ok(()),
            _ => Err(bad(name, "it is shorter than it should be; fetch the image again")),
        }
    }
}

/// Counts what is still to come.
struct Exactly<R> {
    input: R,
    missing: u64,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let got = self.input.read(buffer)?;
        self.missing -= got as u64;
        Ok(got)
    }
}
