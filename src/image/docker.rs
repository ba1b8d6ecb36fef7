//! The archives of `docker save` and `podman save`: a `manifest.json` that names the files.

use super::document::{self, DockerManifest};
use super::error::{Result, bad};
use super::import;
use super::ingest::NewImage;
use super::load::Contents;
use super::reference::Reference;

/// The images of an archive.
pub(super) fn images(contents: &Contents) -> Result<Vec<NewImage>> {
    let Some(list) = contents.documents.get("manifest.json") else {
        let reason = "it has neither a manifest.json nor an oci-layout: this is no archive of images; \
                      for the archive of a root file system use `orca image import`";
        return Err(bad("the archive", reason));
    };
    let list: Vec<DockerManifest> = document::read("manifest.json", list)?;
    if list.is_empty() {
        return Err(bad("the archive", "it has no images"));
    }
    list.iter().map(|line| image(contents, line)).collect()
}

fn image(contents: &Contents, line: &DockerManifest) -> Result<NewImage> {
    let config = contents.document(&line.config)?.to_vec();
    let mut layers = Vec::new();
    for path in &line.layers {
        let digest = contents.layer(path)?;
        let blob = contents.layer_blob(&digest);
        layers.push(blob.ok_or_else(|| bad("the archive", format!("layer {path} is missing")))?);
    }
    let manifest = document::write(&import::manifest(&config, &layers))?;
    let names = line.repo_tags.iter().flatten().map(|name| name.parse::<Reference>());
    Ok(NewImage { references: names.collect::<Result<_>>()?, manifest, config, source: None })
}
