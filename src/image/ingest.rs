//! From blobs that have arrived to images of the store: all or nothing.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;

use super::config::ConfigFile;
use super::disk::locked;
use super::document::{self, Descriptor, Manifest, chain_ids, check_platform, media};
use super::error::{Result, bad};
use super::index::{self, Source};
use super::layers::{Unpacked, unpack_arriving};
use super::reference::Reference;
use super::spool::{Spool, Spooled};
use super::staging::{Staging, check};
use crate::model::Digest;

/// An image that is to be kept.
#[derive(Debug)]
pub(super) struct NewImage {
    /// What to call it.
    pub(super) references: Vec<Reference>,
    /// Its manifest as it came, or was made.
    pub(super) manifest: Vec<u8>,
    /// Its configuration as it came.
    pub(super) config: Vec<u8>,
    /// Where it came from, if that is a registry.
    pub(super) source: Option<Source>,
}

/// A layer that has arrived.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) blob: Spooled,
    pub(super) unpacking: Receiver<Result<Unpacked>>,
}

/// Threads that unpack.
#[derive(Debug)]
pub(super) struct Pool {
    jobs: Sender<Job>,
}

type Job = Box<dyn FnOnce() + Send>;

/// Runs `work` with threads beside it, one for each processor, which end with it.
pub(super) fn with_pool<T>(work: impl FnOnce(&Pool) -> T) -> T {
    let (jobs, queue) = mpsc::channel::<Job>();
    let queue = Arc::new(Mutex::new(queue));
    let threads = thread::available_parallelism().map_or(2, usize::from).clamp(2, 8);
    thread::scope(|scope| {
        for _ in 0..threads {
            // Ends when the pool is dropped: then nobody sends any more.
            scope.spawn(|| {
                loop {
                    let job = locked(&queue).recv();
                    match job {
                        Ok(job) => job(),
                        Err(_) => break,
                    }
                }
            });
        }
        let pool = Pool { jobs };
        work(&pool)
    })
}

impl Pool {
    /// Unpacks what arrives in `spool`, while it arrives.
    pub(super) fn unpack(&self, staging: &Staging, spool: &Spool) -> Receiver<Result<Unpacked>> {
        let (done, result) = mpsc::channel();
        let (dir, input) = (staging.fresh(), spool.reader());
        let limits = staging.store().shared.limits;
        let job = move || drop(done.send(unpack_arriving(&dir, input, limits)));
        // The threads live as long as the pool; if they did not, the result would be missing.
        drop(self.jobs.send(Box::new(job)));
        result
    }
}

impl Arrived {
    /// The layer, once it is unpacked.
    pub(super) fn wait(&self) -> Result<Unpacked> {
        let stopped = |_| bad("a layer", "it was not unpacked");
        self.unpacking.recv().map_err(stopped).flatten()
    }
}

impl Staging {
    /// Checks `images`, whose layers have `arrived` (or are here already), and keeps them. Gives
    /// their ids.
    pub(super) fn commit(
        &self,
        images: &[NewImage],
        arrived: &BTreeMap<Digest, Arrived>,
    ) -> Result<Vec<Digest>> {
        let mut unpacked: BTreeMap<Digest, Unpacked> = BTreeMap::new();
        let mut blobs = Vec::new();
        let mut checked = Vec::new();
        for image in images {
            let manifest: Manifest = document::read("the manifest of an image", &image.manifest)?;
            let config = self.checked(&manifest, image, arrived, &mut unpacked)?;
            blobs.push(self.blob(&image.config)?);
            blobs.push(self.blob(&image.manifest)?);
            let layers =
                manifest.layers.iter().map(Descriptor::digest).collect::<Result<Vec<_>>>()?;
            blobs.extend(layers.iter().filter_map(|l| arrived.get(l)).map(|a| a.blob.clone()));
            checked.push((image, layers, config));
        }
        let chains: Vec<_> =
            checked.iter().map(|(.., config)| chain_ids(&config.rootfs.diff_ids)).collect();
        {
            let _lock = self.store().lock()?;
            self.count_on(chains.iter().flatten())?;
            self.keep(&blobs)?;
        }
        for ((_, layers, config), chain) in checked.iter().zip(&chains) {
            let diff_ids = &config.rootfs.diff_ids;
            for (at, layer) in layers.iter().enumerate() {
                let ready = unpacked.remove(layer);
                self.keep_layer(&chain[..=at], &diff_ids[at], layer, ready)?;
            }
        }
        self.name(images)?;
        self.store().settle_later();
        let ids: Vec<_> = images.iter().map(|image| document::digest_of(&image.config)).collect();
        for id in &ids {
            self.store().used_now(id);
        }
        Ok(ids)
    }

    /// The configuration of an image whose parts all fit together.
    fn checked(
        &self,
        manifest: &Manifest,
        image: &NewImage,
        arrived: &BTreeMap<Digest, Arrived>,
        unpacked: &mut BTreeMap<Digest, Unpacked>,
    ) -> Result<ConfigFile> {
        let id = document::digest_of(&image.config);
        let name = image.references.first().map_or_else(|| id.to_string(), Reference::familiar);
        check(&format!("the configuration of {name}"), &id, &manifest.config.digest()?)?;
        let config: ConfigFile =
            document::read(&format!("the configuration of {name}"), &image.config)?;
        config.check(&name, manifest.layers.len())?;
        // What was asked for by its platform may be for another host: to be sent on, or emulated.
        if !image.source.as_ref().is_some_and(|source| source.foreign) {
            check_platform(&name, &config.platform())?;
        }
        for (layer, diff_id) in manifest.layers.iter().zip(&config.rootfs.diff_ids) {
            let digest = layer.digest()?;
            match (arrived.get(&digest), unpacked.get(&digest)) {
                (_, Some(ready)) => {
                    check(&format!("layer {digest} of {name}"), &ready.diff_id, diff_id)?;
                }
                (Some(layer), None) => {
                    let ready = layer.wait()?;
                    check(&format!("layer {digest} of {name}"), &ready.diff_id, diff_id)?;
                    unpacked.insert(digest, ready);
                }
                (None, None) if self.has_blob(&digest, Some(layer.size))? => {}
                (None, None) => return Err(bad(name, format!("layer {digest} is missing"))),
            }
        }
        Ok(config)
    }

    fn name(&self, images: &[NewImage]) -> Result<()> {
        let _lock = self.store().lock()?;
        self.store().write_index(|known| {
            for image in images {
                let digest = document::digest_of(&image.manifest);
                let size = image.manifest.len() as u64;
                let mut descriptor = Descriptor::new(media::MANIFEST, &digest, size);
                if let Some(source) = &image.source {
                    source.write(&mut descriptor);
                }
                if image.references.is_empty() {
                    index::put(known, descriptor.clone(), None);
                }
                for reference in &image.references {
                    index::put(known, descriptor.clone(), Some(reference));
                }
            }
        })
    }
}
