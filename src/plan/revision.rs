//! What a service's containers are made of, as one short text: two revisions that are equal need no
//! restart.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::model::{
    Deploy, FileSource, MountSource, Network, PinnedImage, Project, PullPolicy, Service, Volume,
    hex,
};

/// Everything that a container is made of.
#[derive(Serialize)]
struct Template<'a> {
    service: Service,
    images: BTreeMap<&'a str, &'a str>,
    networks: BTreeMap<&'a str, &'a Network>,
    volumes: BTreeMap<&'a str, &'a Volume>,
    configs: BTreeMap<&'a str, &'a FileSource>,
    secrets: BTreeMap<&'a str, &'a FileSource>,
    from: BTreeMap<&'a str, String>,
}

/// The hash of all that a service's containers are made of: sixteen hexadecimal digits. Not in it is
/// what can change while they run: how many there are, when they are restarted, how they are updated,
/// what they wait for, when images are looked for, the labels of the service.
///
/// A service that is not in the project has the hash of nothing.
pub fn revision(
    project: &Project,
    service: &str,
    images: &BTreeMap<String, PinnedImage>,
) -> String {
    let template = template(project, service, images, project.services.len());
    let digest = Sha256::digest(template.unwrap_or_default());
    hex(&digest[..8])
}

fn template(
    project: &Project,
    name: &str,
    images: &BTreeMap<String, PinnedImage>,
    depth: usize,
) -> Option<Vec<u8>> {
    let service = project.services.get(name)?;
    let mounted = |mount: &crate::model::Mount| match &mount.source {
        MountSource::Image { image, .. } => Some(image.clone()),
        _ => None,
    };
    let references: Vec<String> =
        service.mounts.iter().filter_map(mounted).chain([service.image.clone()]).collect();
    let images_used = references
        .iter()
        .filter_map(|reference| images.get_key_value(reference))
        .map(|(reference, image)| (reference.as_str(), image.id.as_str()))
        .collect();
    let volumes = service.mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::Volume { volume, .. } => project.volumes.get_key_value(volume),
        _ => None,
    });
    let networks = service.networks.keys().filter_map(|key| project.networks.get_key_value(key));
    let configs = service.configs.iter().filter_map(|f| project.configs.get_key_value(&f.source));
    let secrets = service.secrets.iter().filter_map(|f| project.secrets.get_key_value(&f.source));
    // What is mounted from another service changes with that service's mounts.
    let from = service.volumes_from.iter().filter(|_| depth > 0).filter_map(|from| {
        let other = template(project, &from.service, images, depth - 1)?;
        Some((from.service.as_str(), hex(&Sha256::digest(other))))
    });
    let template = Template {
        service: lasting(service),
        images: images_used,
        networks: networks.map(|(key, network)| (key.as_str(), network)).collect(),
        volumes: volumes.map(|(key, volume)| (key.as_str(), volume)).collect(),
        configs: configs.map(|(key, source)| (key.as_str(), source)).collect(),
        secrets: secrets.map(|(key, source)| (key.as_str(), source)).collect(),
        from: from.collect(),
    };
    // Cannot fail: these are plain values with text keys. Its maps are sorted and its fields have an
    // order, so that equal values are equal texts.
    serde_json::to_vec(&template).ok()
}

/// The service with everything at its default that a running container does not show.
fn lasting(service: &Service) -> Service {
    Service {
        pull_policy: PullPolicy::default(),
        depends_on: BTreeMap::new(),
        deploy: Deploy { mode: service.deploy.mode, ..Deploy::default() },
        service_labels: BTreeMap::new(),
        ports: Vec::new(),
        expose: Vec::new(),
        links: Vec::new(),
        orca: crate::model::OrcaOptions::default(),
        ..service.clone()
    }
}
