//! Images to a registry.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Mutex;
use std::thread;

use super::http::Sent;
use super::session::{Place, Session};
use super::settings::{Registries, Watcher};
use super::trouble::{Patience, Tried, Trouble, cancelled};
use crate::image::disk::locked;
use crate::image::document::{Descriptor, Manifest, media};
use crate::image::error::{ImageError, Result};
use crate::image::reference::Reference;
use crate::image::store::{Image, Store};
use crate::model::{Digest, Progress};

/// How many layers go at the same time.
const AT_ONCE: usize = 4;

impl Store {
    /// Sends an image to the registry of `reference`, which is one of its names. Layers that are there
    /// are not sent; those that another repository of the registry has are taken over. Gives the
    /// digest of its manifest, by which it can be pulled.
    ///
    /// # Errors
    /// If the image is not here, or the registry cannot be reached or asks for another login.
    pub fn push(
        &self,
        reference: &str,
        registries: &Registries,
        watcher: &dyn Watcher,
    ) -> Result<Digest> {
        let name: Reference = reference.parse()?;
        let Some(tag) = name.tag.clone() else {
            let reason = "an image is pushed by a tag; give it one with `orca image tag`";
            return Err(ImageError::BadReference { reference: reference.to_owned(), reason });
        };
        // Held so that nothing of it is removed meanwhile.
        let _staging = self.stage()?;
        let image = self.find(reference)?;
        let manifest: Manifest = self.document(&image.manifest)?;
        // Mirrors are for reading.
        let own = Registries { mirrors: BTreeMap::new(), ..registries.clone() };
        let Some(host) = own.hosts(&name).pop() else {
            return Err(ImageError::NotFound(reference.to_owned()));
        };
        let place = Place {
            registries: &own,
            registry: name.registry.clone(),
            host,
            repository: name.repository.clone(),
            actions: "pull,push",
            sources: siblings(&image, &name),
            watcher,
        };
        let session = Session::open(&place)?;
        self.send_layers(&place, &manifest, watcher)?;
        let upload = Upload { store: self, session: &session, sources: &[], watcher };
        upload.blob(&manifest.config)?;
        let bytes = self.small_blob(&image.manifest)?;
        let media_type = match manifest.media_type.as_str() {
            "" => media::MANIFEST,
            other => other,
        };
        let patience = Patience::new(own.timeouts);
        patience.retry(watcher, || session.put_manifest(&tag, media_type, &bytes))?;
        Ok(image.manifest)
    }

    fn send_layers(
        &self,
        place: &Place<'_>,
        manifest: &Manifest,
        watcher: &dyn Watcher,
    ) -> Result<()> {
        let mut seen = BTreeSet::new();
        let mut todo: VecDeque<Descriptor> = manifest.layers.iter().cloned().collect();
        todo.retain(|layer| seen.insert(layer.digest.clone()));
        let sizes = todo.iter().map(|layer| Ok((layer.digest()?, layer.size)));
        watcher.progress(Progress::Layers(sizes.collect::<Result<_>>()?));
        let threads = todo.len().min(AT_ONCE);
        let (todo, failure) = (Mutex::new(todo), Mutex::new(None::<ImageError>));
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let work = || -> Result<()> {
                        let session = Session::open(place)?;
                        let sources = &place.sources;
                        let upload = Upload { store: self, session: &session, sources, watcher };
                        // Ends when nothing is left to send, or another thread has failed.
                        while locked(&failure).is_none() {
                            let Some(next) = locked(&todo).pop_front() else { break };
                            upload.blob(&next)?;
                        }
                        Ok(())
                    };
                    if let Err(error) = work() {
                        locked(&failure).get_or_insert(error);
                    }
                });
            }
        });
        failure.into_inner().unwrap_or_default().map_or(Ok(()), Err)
    }
}

/// Other repositories of the same registry that have this image, as far as its names tell.
fn siblings(image: &Image, name: &Reference) -> Vec<String> {
    let names = image.references.iter().filter_map(|name| name.parse::<Reference>().ok());
    let others = names.filter(|other| other.registry == name.registry);
    let mut found: Vec<_> =
        others.map(|other| other.repository).filter(|other| *other != name.repository).collect();
    found.dedup();
    found.truncate(2);
    found
}

/// Sends blobs over one session.
struct Upload<'a> {
    store: &'a Store,
    session: &'a Session<'a>,
    sources: &'a [String],
    watcher: &'a dyn Watcher,
}

impl Upload<'_> {
    fn blob(&self, blob: &Descriptor) -> Result<()> {
        let digest = blob.digest()?;
        let patience = Patience::new(self.session.timeouts());
        patience.retry(self.watcher, || self.once(&digest, blob.size))
    }

    fn once(&self, digest: &Digest, size: u64) -> Tried<()> {
        cancelled(self.watcher)?;
        if self.session.has_blob(digest)? {
            self.watcher.progress(Progress::Exists(digest.clone()));
            return Ok(());
        }
        let mut to = None;
        for from in self.sources {
            to = match self.session.begin_upload(digest, Some(from)) {
                // It may not be ours to take from; then it is sent.
                Err(Trouble::Final(_)) => continue,
                begun => begun?,
            };
            if to.is_none() {
                self.watcher.progress(Progress::Exists(digest.clone()));
                return Ok(());
            }
        }
        // A registry that does not take it over has begun an upload instead.
        if to.is_none() {
            to = self.session.begin_upload(digest, None)?;
        }
        if let Some(to) = to {
            let input = self.store.layer_input(digest)?;
            let report =
                |done| self.watcher.progress(Progress::Moved { layer: digest.clone(), done });
            self.session.upload(to, digest, Sent::Stream(input, size), &report)?;
        }
        self.watcher.progress(Progress::Done(digest.clone()));
        Ok(())
    }
}
