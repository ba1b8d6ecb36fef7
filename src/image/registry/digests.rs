//! What names stand for, without fetching it.

use super::session::{Place, Session};
use super::settings::{Registries, Watcher};
use super::trouble::Patience;
use crate::image::error::{ImageError, Result};
use crate::image::reference::Reference;

impl Registries {
    /// The full name of an image by the digest that its registry gives for it now, as in
    /// `docker.io/library/nginx:1@sha256:…`. Of one that has a digest already nobody is asked; its tag says
    /// nothing more, and goes.
    ///
    /// # Errors
    /// If it is no name, the registry cannot be reached, does not have it or asks for another login.
    pub fn pinned(&self, reference: &str, watcher: &dyn Watcher) -> Result<String> {
        let name: Reference = reference.parse()?;
        if name.digest.is_some() {
            return Ok(Reference { tag: None, ..name }.to_string());
        }
        let mut failure = None;
        for host in self.hosts(&name) {
            let place = Place {
                registries: self,
                registry: name.registry.clone(),
                host,
                repository: name.repository.clone(),
                actions: "pull",
                sources: Vec::new(),
                watcher,
            };
            match digest(&place, &name) {
                Ok(digest) => return Ok(Reference { digest: Some(digest), ..name }.to_string()),
                // The next host may do better; the last one counts most.
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| ImageError::NotFound(reference.to_owned())))
    }
}

fn digest(place: &Place<'_>, name: &Reference) -> Result<crate::model::Digest> {
    let session = Session::open(place)?;
    let tag = name.tag.as_deref().unwrap_or("latest");
    let patience = || Patience::new(session.timeouts());
    match patience().retry(place.watcher, || session.manifest_digest(tag))? {
        Some(digest) => Ok(digest),
        // Some registries say it only of what they send; and one that refuses says why.
        None => Ok(patience().retry(place.watcher, || session.manifest(tag))?.digest),
    }
}
