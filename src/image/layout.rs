//! OCI image layouts, as archives and as directories: an `index.json` that points at blobs.
//! <https://github.com/opencontainers/image-spec/blob/main/image-layout.md>

use super::document::{
    self, Descriptor, DockerManifest, IMAGE_NAME, Index, Manifest, Platform, REF_NAME,
};
use super::error::{ImageError, Result, bad};
use super::ingest::NewImage;
use super::load::Contents;
use super::reference::Reference;
use crate::model::Digest;

/// How deep an index may lie in an index.
const DEPTH: u32 = 4;
/// The most images of one layout.
const MOST: usize = 10_000;

/// The images of a layout: of each entry the one for this host.
pub(super) fn images(contents: &Contents) -> Result<Vec<NewImage>> {
    let index = contents.index()?;
    if index.manifests.is_empty() || index.manifests.len() > MOST {
        return Err(bad("index.json", format!("it must have 1 to {MOST} images")));
    }
    let mut images: Vec<NewImage> = Vec::new();
    for entry in &index.manifests {
        let digest = for_host(contents, entry, DEPTH)?;
        let bytes = contents.blob(&digest)?.to_vec();
        let manifest: Manifest = document::read(digest.as_str(), &bytes)?;
        let config = manifest.config.digest()?;
        let names = names(contents, entry, &config)?;
        match images.iter_mut().find(|image| image.manifest == bytes) {
            Some(known) => known.references.extend(names),
            None => {
                check_layers(contents, &manifest)?;
                let config = contents.blob(&config)?.to_vec();
                images.push(NewImage { references: names, manifest: bytes, config, source: None });
            }
        }
    }
    Ok(images)
}

/// Reads the documents and layers of a layout that is a directory: only those that its images need.
pub(super) fn gather(
    contents: &mut Contents,
    read: &mut impl FnMut(&str, &mut Contents) -> Result<()>,
) -> Result<()> {
    let mut todo: Vec<(Descriptor, u32)> = Vec::new();
    todo.extend(contents.index()?.manifests.into_iter().map(|entry| (entry, DEPTH)));
    while let Some((entry, depth)) = todo.pop() {
        let digest = entry.digest()?;
        fetch(contents, read, &digest)?;
        if entry.is_index() && depth > 0 {
            let index: Index = document::read(digest.as_str(), contents.blob(&digest)?)?;
            // The files of other platforms may be missing in a layout that was copied for one.
            let ours = index.manifests.into_iter().filter(may_run);
            todo.extend(ours.map(|entry| (entry, depth - 1)));
            continue;
        }
        let manifest: Manifest = document::read(digest.as_str(), contents.blob(&digest)?)?;
        for part in [&manifest.config].into_iter().chain(&manifest.layers) {
            fetch(contents, read, &part.digest()?)?;
        }
    }
    Ok(())
}

fn fetch(
    contents: &mut Contents,
    read: &mut impl FnMut(&str, &mut Contents) -> Result<()>,
    digest: &Digest,
) -> Result<()> {
    let path = format!("blobs/sha256/{}", digest.hex());
    if contents.documents.contains_key(&path) || contents.layers.contains_key(&path) {
        return Ok(());
    }
    read(&path, contents)
}

/// The digest of the manifest that `entry` means on this host.
fn for_host(contents: &Contents, entry: &Descriptor, depth: u32) -> Result<Digest> {
    let digest = entry.digest()?;
    if !entry.is_index() {
        return Ok(digest);
    }
    let index: Index = document::read(digest.as_str(), contents.blob(&digest)?)?;
    match choose(&index, None) {
        Some(ours) if depth > 0 => for_host(contents, ours, depth - 1),
        Some(_) => Err(bad("index.json", "an index in an index in an index …")),
        None => Err(no_platform(digest.as_str(), &index)),
    }
}

/// Whether an entry of an index may be for this host.
fn may_run(entry: &Descriptor) -> bool {
    let host = Platform::host();
    entry.platform.as_ref().is_none_or(|platform| platform.runs_on(&host))
}

/// The entry of an index that fits `wanted` best; without a wish, this host.
pub(super) fn choose<'a>(index: &'a Index, wanted: Option<&Platform>) -> Option<&'a Descriptor> {
    let host = Platform::host();
    let wanted = wanted.unwrap_or(&host);
    let fitting = index.manifests.iter().filter_map(|entry| {
        let rank = entry.platform.as_ref().map_or(Some(3), |platform| platform.rank(wanted))?;
        Some((rank, entry))
    });
    // The first of the best: images list what they prefer first.
    fitting.min_by_key(|(rank, _)| *rank).map(|(_, entry)| entry)
}

/// The error for an image that is only there for other hosts.
pub(super) fn no_platform(image: &str, index: &Index) -> ImageError {
    let (image, host) = (image.to_owned(), Platform::host().to_string());
    ImageError::Platform { image, found: platforms(index), host }
}

/// The platforms of an index, for people.
pub(super) fn platforms(index: &Index) -> String {
    let platforms = index.manifests.iter().filter_map(|entry| entry.platform.as_ref());
    let known = platforms.filter(|platform| platform.os != "unknown").map(Platform::to_string);
    known.collect::<Vec<_>>().join(", ")
}

/// Refuses a manifest with layers that did not come.
fn check_layers(contents: &Contents, manifest: &Manifest) -> Result<()> {
    for layer in &manifest.layers {
        let wanted = layer.digest()?;
        let found = contents.layer(&format!("blobs/sha256/{}", wanted.hex()))?;
        super::staging::check(&format!("layer {wanted}"), &found, &wanted)?;
    }
    Ok(())
}

/// What an entry is called. A name with its registry (containerd, docker) counts most; then the tags
/// that docker writes beside the layout; then the name of the layout, which is often a tag alone.
fn names(contents: &Contents, entry: &Descriptor, config: &Digest) -> Result<Vec<Reference>> {
    if let Some(name) = entry.annotations.get(IMAGE_NAME) {
        return Ok(vec![name.parse()?]);
    }
    if let Some(list) = contents.documents.get("manifest.json") {
        let list: Vec<DockerManifest> = document::read("manifest.json", list)?;
        let mine = list.iter().find(|line| line.config.contains(config.hex()));
        if let Some(tags) = mine.and_then(|line| line.repo_tags.as_ref()) {
            return tags.iter().map(|tag| tag.parse()).collect();
        }
    }
    let name = entry.annotations.get(REF_NAME).map(String::as_str).unwrap_or_default();
    let versions = |c: char| c.is_ascii_digit();
    let tag_alone = name.is_empty()
        || name == "latest"
        || (!name.contains([':', '/']) && name.trim_start_matches('v').starts_with(versions));
    // A name that is none (any text may stand there) leaves the image without one.
    Ok(if tag_alone { Vec::new() } else { name.parse().into_iter().collect() })
}
