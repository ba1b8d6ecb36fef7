//! Images from a registry.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::thread;

use super::download::{Wanted, download};
use super::policy::Policy;
use super::session::{Fetched, Place, Session};
use super::settings::{Registries, Watcher};
use super::trouble::Patience;
use crate::image::config::ConfigFile;
use crate::image::disk::locked;
use crate::image::document::{self, Descriptor, Index, Manifest, Platform, check_platform};
use crate::image::error::{ImageError, Result, bad};
use crate::image::index::{self, Source};
use crate::image::ingest::{Arrived, NewImage, Pool, with_pool};
use crate::image::layout::{choose, no_platform, platforms};
use crate::image::reference::Reference;
use crate::image::staging::Staging;
use crate::image::store::{Image, Store};
use crate::model::{Digest, Progress, PullPolicy};
use crate::sys::clock;

/// How many layers come at the same time.
const AT_ONCE: usize = 4;

/// An image that is wanted.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Its name.
    pub reference: String,
    /// When to ask its registry.
    pub policy: PullPolicy,
    /// The platform wanted, such as `linux/arm64`; this host's own if nothing is said.
    pub platform: Option<String>,
}

/// An image that is here now.
#[derive(Debug, Clone)]
pub struct Pulled {
    /// The image.
    pub image: Image,
    /// What its registry calls it: the digest of the index or manifest that its name stands for.
    pub digest: Digest,
    /// Whether anything of it came just now.
    pub came: bool,
    /// What the user should know.
    pub warning: Option<String>,
}

/// What is wanted, read and understood.
struct Target<'a> {
    /// As the user wrote it: it may be an id.
    written: &'a str,
    reference: Reference,
    platform: Option<Platform>,
    policy: PullPolicy,
    registries: &'a Registries,
    watcher: &'a dyn Watcher,
}

impl Store {
    /// Gets an image from its registry: what its tag stands for now, or the one with its digest. What
    /// is here already is not fetched again; of an image that has not changed, only its digest is
    /// asked for. The name is given to the image when all of it is here and right.
    ///
    /// # Errors
    /// If the registry cannot be reached, does not have the image or asks for another login; if the
    /// image is not for this host, is refused by the policy, or is damaged. What has come is used by
    /// the next pull.
    pub fn pull(
        &self,
        reference: &str,
        registries: &Registries,
        watcher: &dyn Watcher,
    ) -> Result<Image> {
        let reference = reference.to_owned();
        let wish = Wish { reference, policy: PullPolicy::Always, platform: None };
        Ok(self.obtain(&wish, registries, watcher)?.image)
    }

    /// The image that is wished for, from its registry if the wish asks for that.
    ///
    /// # Errors
    /// As [`pull`](Self::pull); and if it is not here and must not be fetched.
    pub fn obtain(
        &self,
        wish: &Wish,
        registries: &Registries,
        watcher: &dyn Watcher,
    ) -> Result<Pulled> {
        let target = Target {
            written: &wish.reference,
            reference: wish.reference.parse()?,
            platform: wish.platform.as_deref().map(str::parse).transpose()?,
            policy: wish.policy,
            registries,
            watcher,
        };
        registries.policy.admit(&target.reference)?;
        let here = self.here(&target)?;
        match here {
            Some(here) if target.is_satisfied_by(&here) => Ok(here.pulled(false)),
            None if target.policy == PullPolicy::Never => {
                Err(ImageError::NotPulled(wish.reference.clone()))
            }
            here => self.fetch(&target).or_else(|error| match here {
                // A look now and then is a wish, not a condition: a registry that is away must not
                // keep down what runs from images that are here.
                Some(here) if target.may_do_with(&here) && !watcher.cancelled() => {
                    let warning = format!("{error}; going on with the image that is here");
                    Ok(Pulled { warning: Some(warning), ..here.pulled(false) })
                }
                _ => Err(error),
            }),
        }
    }

    fn fetch(&self, target: &Target<'_>) -> Result<Pulled> {
        let Target { reference, registries, watcher, .. } = target;
        let mut failure = None;
        for host in registries.hosts(reference) {
            let place = Place {
                registries,
                registry: reference.registry.clone(),
                host,
                repository: reference.repository.clone(),
                actions: "pull",
                sources: Vec::new(),
                watcher: *watcher,
            };
            match self.pull_from(&place, target) {
                Ok(pulled) => return Ok(pulled),
                Err(error) if watcher.cancelled() => return Err(error),
                // The next host may do better; the last one counts most.
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| ImageError::NotFound(reference.to_string())))
    }

    fn pull_from(&self, place: &Place<'_>, target: &Target<'_>) -> Result<Pulled> {
        let session = Session::open(place)?;
        let Target { reference, watcher, .. } = target;
        let digest = reference.digest.as_ref().map(Digest::to_string);
        let tag = digest.or_else(|| reference.tag.clone()).unwrap_or_default();
        if let Some(here) = self.unchanged(&session, target, &tag)? {
            return Ok(here.pulled(false));
        }
        let patience = || Patience::new(place.registries.timeouts);
        let top = patience().retry(*watcher, || session.manifest(&tag))?;
        let digest = top.digest.clone();
        let (fetched, manifest) = for_target(&session, target, top, &patience)?;
        let signed_by = verify(&session, target, &[&digest, &fetched.digest])?;
        let id = manifest.config.digest()?;
        let config = match self.small_blob(&id) {
            Ok(config) => config,
            Err(_) => patience().retry(*watcher, || session.small_blob(&id))?,
        };
        self.check_before_layers(target, &manifest, &config)?;
        let staging = self.stage()?;
        with_pool(|pool| {
            let arrived = layers(&staging, pool, place, &manifest, *watcher)?;
            let foreign = target.platform.is_some();
            let source =
                Source { digest: digest.clone(), asked: clock::wall(), signed_by, foreign };
            let image = NewImage {
                references: vec![reference.clone()],
                manifest: fetched.bytes,
                config,
                source: Some(source),
            };
            staging.commit(&[image], &arrived)
        })?;
        let image = self.find(&reference.to_string())?;
        Ok(Pulled { image, digest, came: true, warning: None })
    }

    /// The image that is here under this name, if the registry says that it is still the one.
    fn unchanged(
        &self,
        session: &Session<'_>,
        target: &Target<'_>,
        tag: &str,
    ) -> Result<Option<Here>> {
        let Some(here) = self.here(target)? else { return Ok(None) };
        let patience = Patience::new(session.timeouts());
        let now = match &target.reference.digest {
            Some(_) => here.digest.clone(),
            None => {
                let now = patience.retry(target.watcher, || session.manifest_digest(tag))?;
                let Some(now) = now else { return Ok(None) };
                now
            }
        };
        self.used_now(&here.image.id);
        if now != here.digest && now != here.image.manifest {
            return Ok(None);
        }
        let mut source = here.source.clone();
        if !target.trusts(&here) {
            let signed = verify(session, target, &[&here.digest, &here.image.manifest])?;
            source.signed_by = signed;
        }
        if matches!(target.policy, PullPolicy::Every(_)) {
            source.asked = clock::wall();
        }
        if source != here.source {
            let _lock = self.lock()?;
            self.write_index(|index| index::set_source(index, &target.reference, &source))?;
        }
        Ok(Some(here))
    }

    /// The image that is here under the name and for the platform that are wanted, if none of it is
    /// missing.
    fn here(&self, target: &Target<'_>) -> Result<Option<Here>> {
        let reference = &target.reference;
        let (image, by_id) = match self.resolve(&reference.to_string())? {
            Some(image) => (image, false),
            None => match self.resolve(target.written)? {
                Some(image) => (image, true),
                None => return Ok(None),
            },
        };
        let found = Platform::of(&image.os, &image.architecture);
        let fits = match &target.platform {
            Some(wanted) => found.runs_on(wanted),
            None => true,
        };
        if !fits || !image.chain().iter().all(|layer| self.has_layer(layer)) {
            return Ok(None);
        }
        let source = self.source(reference)?.unwrap_or_else(|| Source::of(&image.manifest));
        Ok(Some(Here { digest: source.digest.clone(), image, source, by_id }))
    }

    /// Refuses an image that is here if the policy does not accept it.
    ///
    /// # Errors
    /// [`ImageError::Refused`].
    pub fn check_policy(&self, reference: &str, policy: &Policy) -> Result<()> {
        let reference: Reference = reference.parse()?;
        policy.admit(&reference)?;
        let source = self.source(&reference)?;
        if policy.trusts(&reference, source.and_then(|source| source.signed_by).as_ref()) {
            return Ok(());
        }
        let reason = "it must be signed, and nobody has looked at its signature; pull it";
        Err(policy.refused(&reference, reason.to_owned()))
    }

    /// What the registry calls an image that is here, if it came from one.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn digest(&self, reference: &str) -> Result<Option<Digest>> {
        Ok(self.source(&reference.parse()?)?.map(|source| source.digest))
    }

    fn source(&self, reference: &Reference) -> Result<Option<Source>> {
        let index = self.index()?;
        let entry = index.manifests.iter().find(|entry| index::is_named(entry, reference));
        Ok(entry.and_then(index::source))
    }

    /// Refuses what cannot run here before its layers are fetched.
    fn check_before_layers(
        &self,
        target: &Target<'_>,
        manifest: &Manifest,
        config: &[u8],
    ) -> Result<()> {
        let name = target.reference.familiar();
        let config: ConfigFile = document::read(&format!("the configuration of {name}"), config)?;
        config.check(&name, manifest.layers.len())?;
        match &target.platform {
            None => check_platform(&name, &config.platform())?,
            Some(wanted) if config.platform().runs_on(wanted) => {}
            Some(wanted) => {
                let (found, host) = (config.platform().to_string(), wanted.to_string());
                return Err(ImageError::OtherPlatform { image: name, found, wanted: host });
            }
        }
        let limit = self.shared.limits.bytes;
        if manifest.layers.iter().any(|layer| layer.size > limit) {
            let (what, limit) = (format!("a layer of {name}"), format!("{limit} bytes"));
            return Err(ImageError::TooLarge { what, limit });
        }
        Ok(())
    }
}

/// An image of the store, and what is known of where it came from.
struct Here {
    image: Image,
    digest: Digest,
    source: Source,
    /// Whether it was named by its id, of which no registry knows.
    by_id: bool,
}

impl Here {
    fn pulled(self, came: bool) -> Pulled {
        Pulled { image: self.image, digest: self.digest, came, warning: None }
    }
}

impl Target<'_> {
    /// Whether nobody has to be asked for what is here.
    fn is_satisfied_by(&self, here: &Here) -> bool {
        let enough = match self.policy {
            _ if here.by_id => true,
            PullPolicy::Missing | PullPolicy::Build | PullPolicy::Never => true,
            // What a digest names never changes.
            PullPolicy::Always => self.reference.digest.is_some(),
            PullPolicy::Every(time) => {
                let age = clock::wall().0.checked_sub(here.source.asked.0);
                self.reference.digest.is_some() || age.is_some_and(|age| age < time)
            }
        };
        // What must not be fetched cannot be looked at again either: it is refused where it is used.
        enough && (self.trusts(here) || self.policy == PullPolicy::Never)
    }

    /// Whether what is here will do when its registry cannot be asked.
    fn may_do_with(&self, here: &Here) -> bool {
        matches!(self.policy, PullPolicy::Every(_)) && self.trusts(here)
    }

    fn trusts(&self, here: &Here) -> bool {
        self.registries.policy.trusts(&self.reference, here.source.signed_by.as_ref())
    }
}

/// The manifest for the platform that is wanted: of an index, the best it has.
fn for_target(
    session: &Session<'_>,
    target: &Target<'_>,
    top: Fetched,
    patience: &dyn Fn() -> Patience,
) -> Result<(Fetched, Manifest)> {
    let name = target.reference.familiar();
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
        let best = choose(&index, target.platform.as_ref());
        let best = best.ok_or_else(|| match &target.platform {
            None => no_platform(&name, &index),
            Some(wanted) => {
                let (image, wanted) = (name.clone(), wanted.to_string());
                ImageError::OtherPlatform { image, found: platforms(&index), wanted }
            }
        })?;
        let best = best.digest()?;
        fetched = patience().retry(target.watcher, || session.manifest(best.as_str()))?;
    }
    Err(bad(name, "an index in an index in an index …"))
}

/// Finds who has signed the image, if somebody must have: the fingerprint of the key.
fn verify(
    session: &Session<'_>,
    target: &Target<'_>,
    digests: &[&Digest],
) -> Result<Option<Digest>> {
    let Target { registries, reference, watcher, .. } = target;
    let Some(keys) = registries.policy.keys(reference) else { return Ok(None) };
    let mut seen = 0;
    for (at, digest) in digests.iter().enumerate() {
        // Without an index both are the same.
        if digests[..at].contains(digest) {
            continue;
        }
        let patience = Patience::new(session.timeouts());
        let statements = patience.retry(*watcher, || session.signatures(digest))?;
        seen += statements.len();
        let key = statements.iter().find_map(|statement| statement.by(keys, digests));
        if let Some(key) = key {
            return Ok(Some(key.fingerprint()));
        }
    }
    let reason = match seen {
        0 => "it must be signed, and has no signature".to_owned(),
        1 => "its signature is not by a key that the policy names".to_owned(),
        seen => format!("none of its {seen} signatures is by a key that the policy names"),
    };
    Err(registries.policy.refused(reference, reason))
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
                        let patience = || Patience::new(place.registries.timeouts);
                        let got = download(staging, pool, &session, &next, &patience, watcher)?;
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
