//! Images from a registry.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::thread;

use super::auth::Shown;
use super::download::{Wanted, download};
use super::session::{Fetched, Place, Session};
use super::settings::{Progress, Registries, Watcher};
use super::trouble::Patience;
use crate::image::config::ConfigFile;
use crate::image::disk::locked;
use crate::image::document::{self, Descriptor, Index, Manifest, check_platform};
use crate::image::error::{ImageError, Result, bad};
use crate::image::index;
use crate::image::ingest::{Arrived, NewImage, Pool, with_pool};
use crate::image::layout::{may_run, no_platform};
use crate::image::reference::Reference;
use crate::image::staging::Staging;
use crate::image::store::{Image, Store};
use crate::model::Digest;

/// How many layers come at the same time.
const AT_ONCE: usize = 4;

impl Store {
    /// Gets an image from its registry: what its tag stands for now, or the one with its digest. What
    /// is here already is not fetched again; of an image that has not changed, only its digest is
    /// asked for. The name is given to the image when all of it is here and right.
    ///
    /// # Errors
    /// If the registry cannot be reached, does not have the image or asks for another login; if the
    /// image is not for this host, or is damaged. What has come is used by the next pull.
    pub fn pull(
        &self,
        reference: &str,
        registries: &Registries,
        watcher: &dyn Watcher,
    ) -> Result<Image> {
        let reference: Reference = reference.parse()?;
        if reference.digest.is_some()
            && let Some(here) = self.complete(&reference)?
        {
            return Ok(here);
        }
        let mut failure = None;
        for host in registries.hosts(&reference) {
            let place = Place {
                registries,
                registry: reference.registry.clone(),
                host,
                repository: reference.repository.clone(),
                actions: "pull",
                shown: Shown::default(),
            };
            match self.pull_from(&place, &reference, watcher) {
                Ok(image) => return Ok(image),
                Err(error) if watcher.cancelled() => return Err(error),
                // The next host may do better; the last one counts most.
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| ImageError::NotFound(reference.to_string())))
    }

    fn pull_from(
        &self,
        place: &Place<'_>,
        reference: &Reference,
        watcher: &dyn Watcher,
    ) -> Result<Image> {
        let session = Session::open(place)?;
        let digest = reference.digest.as_ref().map(Digest::to_string);
        let tag = digest.or_else(|| reference.tag.clone()).unwrap_or_default();
        if let Some(here) = self.unchanged(&session, reference, &tag, watcher)? {
            return Ok(here);
        }
        let patience = || Patience::new(place.registries.timeouts);
        let top = patience().retry(watcher, || session.manifest(&tag))?;
        let source = top.digest.clone();
        let (fetched, manifest) = for_host(&session, reference, top, &patience, watcher)?;
        let id = manifest.config.digest()?;
        let config = match self.small_blob(&id) {
            Ok(config) => config,
            Err(_) => patience().retry(watcher, || session.small_blob(&id))?,
        };
        self.check_before_layers(reference, &manifest, &config)?;
        let staging = self.stage()?;
        with_pool(|pool| {
            let arrived = layers(&staging, pool, place, &manifest, watcher)?;
            let image = NewImage {
                references: vec![reference.clone()],
                manifest: fetched.bytes,
                config,
                source: Some(source),
            };
            staging.commit(&[image], &arrived)
        })?;
        self.find(&reference.to_string())
    }

    /// The image that is here under this name, if the registry says that it is still the one.
    fn unchanged(
        &self,
        session: &Session<'_>,
        reference: &Reference,
        tag: &str,
        watcher: &dyn Watcher,
    ) -> Result<Option<Image>> {
        let Some(here) = self.complete(reference)? else { return Ok(None) };
        let index = self.index()?;
        let Some(entry) = index.manifests.iter().find(|d| index::is_named(d, reference)) else {
            return Ok(None);
        };
        let patience = Patience::new(session.timeouts());
        let Some(now) = patience.retry(watcher, || session.manifest_digest(tag))? else {
            return Ok(None);
        };
        let same = entry.digest == now.as_str() || index::source(entry) == Some(now);
        self.used_now(&here.id);
        Ok(same.then_some(here))
    }

    /// The image that is here under this name, if none of it is missing.
    fn complete(&self, reference: &Reference) -> Result<Option<Image>> {
        let Some(image) = self.resolve(&reference.to_string())? else { return Ok(None) };
        let there = image.chain().iter().all(|layer| self.has_layer(layer));
        Ok(there.then_some(image))
    }

    /// Refuses what cannot run here before its layers are fetched.
    fn check_before_layers(
        &self,
        reference: &Reference,
        manifest: &Manifest,
        config: &[u8],
    ) -> Result<()> {
        let name = reference.familiar();
        let config: ConfigFile = document::read(&format!("the configuration of {name}"), config)?;
        config.check(&name, manifest.layers.len())?;
        check_platform(&name, &config.platform())?;
        let limit = self.shared.limits.bytes;
        if manifest.layers.iter().any(|layer| layer.size > limit) {
            let (what, limit) = (format!("a layer of {name}"), format!("{limit} bytes"));
            return Err(ImageError::TooLarge { what, limit });
        }
        Ok(())
    }
}

/// The manifest for this host: of an index, the one it has for us.
fn for_host(
    session: &Session<'_>,
    reference: &Reference,
    top: Fetched,
    patience: &dyn Fn() -> Patience,
    watcher: &dyn Watcher,
) -> Result<(Fetched, Manifest)> {
    let name = reference.familiar();
    let mut fetched = top;
    // An index in an index is rare, a longer chain is a trap.
    for _ in 0..3 {
        let (what, media_type) = (format!("the manifest of {name}"), fetched.media_type.as_str());
        let index: Index = document::read(&what, &fetched.bytes)?;
        let descriptor = Descriptor { media_type: media_type.to_owned(), ..Descriptor::default() };
        if !descriptor.is_index() && index.manifests.is_empty() {
            let manifest: Manifest = document::read(&what, &fetched.bytes)?;
            check_kind(&what, &fetched, &manifest)?;
            return Ok((fetched, manifest));
        }
        let ours = index.manifests.iter().find(|entry| may_run(entry));
        let ours = ours.ok_or_else(|| no_platform(&name, &index))?.digest()?;
        fetched = patience().retry(watcher, || session.manifest(ours.as_str()))?;
    }
    Err(bad(name, "an index in an index in an index …"))
}

/// Refuses manifests of other things than container images.
fn check_kind(what: &str, fetched: &Fetched, manifest: &Manifest) -> Result<()> {
    if manifest.schema_version != 2 {
        let reason = "it is of the old schema 1, which registries have given up; push the image again \
                      with a current docker";
        return Err(bad(what, reason));
    }
    let kind = manifest.config.media_type.as_str();
    let known =
        kind.is_empty() || kind.contains("image.config") || kind.contains("container.image");
    if !known {
        return Err(bad(what, format!("this is no container image, but a `{kind}`")));
    }
    if manifest.layers.iter().any(|layer| layer.media_type.contains(".foreign.")) {
        let reason = "some of its layers are not in the registry (foreign layers)";
        return Err(bad(what, format!("{reason}; digest {}", fetched.digest)));
    }
    Ok(())
}

/// Gets the layers that are not here, several at once.
fn layers(
    staging: &Staging,
    pool: &Pool,
    place: &Place<'_>,
    manifest: &Manifest,
    watcher: &dyn Watcher,
) -> Result<BTreeMap<Digest, Arrived>> {
    let mut wanted = VecDeque::new();
    let mut all = Vec::new();
    for layer in &manifest.layers {
        let (digest, size) = (layer.digest()?, layer.size);
        if all.iter().any(|(known, _)| *known == digest) {
            continue;
        }
        all.push((digest.clone(), size));
        if !staging.has_blob(&digest, Some(size))? {
            wanted.push_back(Wanted { digest, size });
        }
    }
    watcher.progress(Progress::Layers(all.clone()));
    for (digest, _) in all.into_iter().filter(|(d, _)| !wanted.iter().any(|w| w.digest == *d)) {
        watcher.progress(Progress::Exists(digest));
    }
    let threads = wanted.len().min(AT_ONCE);
    let (wanted, arrived) = (Mutex::new(wanted), Mutex::new(BTreeMap::new()));
    let failure: Mutex<Option<ImageError>> = Mutex::new(None);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let work = || -> Result<()> {
                    let session = Session::open(place)?;
                    // Ends when nothing is wanted any more, or another thread has failed.
                    while locked(&failure).is_none() {
                        let Some(next) = locked(&wanted).pop_front() else { break };
                        let patience = Patience::new(place.registries.timeouts);
                        let got = download(staging, pool, &session, &next, patience, watcher)?;
                        if let Some(layer) = got {
                            locked(&arrived).insert(next.digest, layer);
                        }
                    }
                    Ok(())
                };
                if let Err(error) = work() {
                    locked(&failure).get_or_insert(error);
                }
            });
        }
    });
    match failure.into_inner().unwrap_or_default() {
        Some(error) => Err(error),
        None => Ok(arrived.into_inner().unwrap_or_default()),
    }
}
