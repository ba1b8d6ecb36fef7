//! Images.

use std::time::Duration;

use super::{BadMessage, all, each, nanos, parse, time, time_nanos};
use crate::api::control::{
    ArchiveFormat, ImageDetail, ImageHistory, ImageSummary, ImportImage, LabelFilter, LoadedImage,
    PruneFilter, PruneImages, RemovedImages, SaveImages,
};
use crate::api::proto;
use crate::model::{Digest, HealthCheck, ImageConfig, Probe};

impl From<ImportImage> for proto::ImportHeader {
    fn from(import: ImportImage) -> Self {
        let ImportImage { reference, config, platform, message } = import;
        Self { reference, config: Some(config.into()), platform, message }
    }
}

impl TryFrom<proto::ImportHeader> for ImportImage {
    type Error = BadMessage;

    fn try_from(header: proto::ImportHeader) -> Result<Self, BadMessage> {
        let proto::ImportHeader { reference, config, platform, message } = header;
        let config = config.unwrap_or_default().try_into()?;
        Ok(Self { reference, config, platform, message })
    }
}

impl From<SaveImages> for proto::SaveRequest {
    fn from(save: SaveImages) -> Self {
        let format = match save.format {
            ArchiveFormat::Docker => proto::ArchiveFormat::Docker,
            ArchiveFormat::Oci => proto::ArchiveFormat::Oci,
        };
        Self { references: save.references, format: format.into() }
    }
}

impl From<proto::SaveRequest> for SaveImages {
    fn from(message: proto::SaveRequest) -> Self {
        let format = match message.format() {
            proto::ArchiveFormat::Docker => ArchiveFormat::Docker,
            proto::ArchiveFormat::Oci => ArchiveFormat::Oci,
        };
        Self { references: message.references, format }
    }
}

impl From<LoadedImage> for proto::LoadedImage {
    fn from(image: LoadedImage) -> Self {
        Self { id: image.id.to_string(), references: image.references }
    }
}

impl TryFrom<proto::LoadedImage> for LoadedImage {
    type Error = BadMessage;

    fn try_from(message: proto::LoadedImage) -> Result<Self, BadMessage> {
        Ok(Self { id: parse("image.id", &message.id)?, references: message.references })
    }
}

impl From<ImageSummary> for proto::ImageSummary {
    fn from(image: ImageSummary) -> Self {
        Self {
            id: image.id.to_string(),
            references: image.references,
            created_nanos: image.created.map(time_nanos),
            size: image.size,
            platform: image.platform,
            used_by: image.used_by,
            manifest: image.manifest.to_string(),
            labels: image.labels.into_iter().collect(),
            containers: image.containers,
            digests: image.digests,
        }
    }
}

impl TryFrom<proto::ImageSummary> for ImageSummary {
    type Error = BadMessage;

    fn try_from(message: proto::ImageSummary) -> Result<Self, BadMessage> {
        Ok(Self {
            id: parse("image.id", &message.id)?,
            references: message.references,
            created: message.created_nanos.map(time),
            size: message.size,
            platform: message.platform,
            used_by: message.used_by,
            manifest: parse("image.manifest", &message.manifest)?,
            labels: message.labels.into_iter().collect(),
            containers: message.containers,
            digests: message.digests,
        })
    }
}

impl From<ImageDetail> for proto::ImageDetail {
    fn from(image: ImageDetail) -> Self {
        Self {
            summary: Some(image.summary.into()),
            config: Some(image.config.into()),
            layers: texts(&image.layers),
            history: each(image.history),
        }
    }
}

impl TryFrom<proto::ImageDetail> for ImageDetail {
    type Error = BadMessage;

    fn try_from(message: proto::ImageDetail) -> Result<Self, BadMessage> {
        let summary = message.summary.ok_or(BadMessage::missing("image.summary"))?;
        Ok(Self {
            summary: summary.try_into()?,
            config: message.config.unwrap_or_default().try_into()?,
            layers: digests("image.layers", &message.layers)?,
            history: each(message.history),
        })
    }
}

impl From<ImageHistory> for proto::ImageHistory {
    fn from(step: ImageHistory) -> Self {
        let ImageHistory { created, created_by, comment, empty_layer, size } = step;
        Self { created_nanos: created.map(time_nanos), created_by, comment, empty_layer, size }
    }
}

impl From<proto::ImageHistory> for ImageHistory {
    fn from(message: proto::ImageHistory) -> Self {
        let proto::ImageHistory { created_nanos, created_by, comment, empty_layer, size } = message;
        Self { created: created_nanos.map(time), created_by, comment, empty_layer, size }
    }
}

impl From<RemovedImages> for proto::RemovedImages {
    fn from(removed: RemovedImages) -> Self {
        let deleted = texts(&removed.deleted);
        Self { untagged: removed.untagged, deleted, freed: removed.freed }
    }
}

impl TryFrom<proto::RemovedImages> for RemovedImages {
    type Error = BadMessage;

    fn try_from(message: proto::RemovedImages) -> Result<Self, BadMessage> {
        let deleted = digests("deleted", &message.deleted)?;
        Ok(Self { untagged: message.untagged, deleted, freed: message.freed })
    }
}

impl From<PruneImages> for proto::PruneImagesRequest {
    fn from(PruneImages { all, filter, max_size }: PruneImages) -> Self {
        Self { all, filter: Some(filter.into()), max_size }
    }
}

impl From<proto::PruneImagesRequest> for PruneImages {
    fn from(message: proto::PruneImagesRequest) -> Self {
        let filter = message.filter.unwrap_or_default().into();
        Self { all: message.all, filter, max_size: message.max_size }
    }
}

impl From<PruneFilter> for proto::PruneFilter {
    fn from(filter: PruneFilter) -> Self {
        let label =
            |LabelFilter { key, value, without }| proto::LabelFilter { key, value, without };
        Self {
            before_nanos: filter.before.map(time_nanos),
            labels: filter.labels.into_iter().map(label).collect(),
        }
    }
}

impl From<proto::PruneFilter> for PruneFilter {
    fn from(message: proto::PruneFilter) -> Self {
        let label =
            |proto::LabelFilter { key, value, without }| LabelFilter { key, value, without };
        Self {
            before: message.before_nanos.map(time),
            labels: message.labels.into_iter().map(label).collect(),
        }
    }
}

impl From<ImageConfig> for proto::ImageConfig {
    fn from(config: ImageConfig) -> Self {
        Self {
            env: config.env,
            entrypoint: config.entrypoint,
            cmd: config.cmd,
            working_dir: config.working_dir,
            user: config.user,
            stop_signal: config.stop_signal,
            exposed_ports: config.exposed_ports,
            volumes: config.volumes,
            labels: config.labels,
            healthcheck: config.healthcheck.map(Into::into),
        }
    }
}

impl TryFrom<proto::ImageConfig> for ImageConfig {
    type Error = BadMessage;

    fn try_from(message: proto::ImageConfig) -> Result<Self, BadMessage> {
        Ok(Self {
            env: message.env,
            entrypoint: message.entrypoint,
            cmd: message.cmd,
            working_dir: message.working_dir,
            user: message.user,
            stop_signal: message.stop_signal,
            exposed_ports: message.exposed_ports,
            volumes: message.volumes,
            labels: message.labels,
            healthcheck: message.healthcheck.map(TryInto::try_into).transpose()?,
        })
    }
}

impl From<HealthCheck> for proto::HealthCheck {
    fn from(check: HealthCheck) -> Self {
        Self {
            test: check.test.map(words_of).unwrap_or_default(),
            interval_nanos: check.interval.map(nanos),
            timeout_nanos: check.timeout.map(nanos),
            retries: check.retries,
            start_period_nanos: check.start_period.map(nanos),
            start_interval_nanos: check.start_interval.map(nanos),
            disable: check.disable,
        }
    }
}

impl TryFrom<proto::HealthCheck> for HealthCheck {
    type Error = BadMessage;

    fn try_from(message: proto::HealthCheck) -> Result<Self, BadMessage> {
        let length = |nanos: Option<u64>| nanos.map(Duration::from_nanos);
        Ok(Self {
            test: probe_of(message.test)?,
            interval: length(message.interval_nanos),
            timeout: length(message.timeout_nanos),
            retries: message.retries,
            start_period: length(message.start_period_nanos),
            start_interval: length(message.start_interval_nanos),
            disable: message.disable,
        })
    }
}

/// A probe as compose writes it.
fn words_of(probe: Probe) -> Vec<String> {
    let words = |kind: &str, rest: Vec<String>| [vec![kind.to_owned()], rest].concat();
    match probe {
        Probe::None => words("NONE", Vec::new()),
        Probe::Exec(args) => words("CMD", args),
        Probe::Shell(line) => words("CMD-SHELL", vec![line]),
        Probe::Http(url) => words("HTTP", vec![url]),
        Probe::Tcp(port) => words("TCP", vec![port.to_string()]),
    }
}

/// Back from [`words_of`].
fn probe_of(mut test: Vec<String>) -> Result<Option<Probe>, BadMessage> {
    if test.is_empty() {
        return Ok(None);
    }
    let rest = test.split_off(1);
    let probe = match (test[0].as_str(), rest.as_slice()) {
        ("NONE", []) => Probe::None,
        ("CMD", [_, ..]) => Probe::Exec(rest),
        ("CMD-SHELL", [line]) => Probe::Shell(line.clone()),
        ("HTTP", [url]) => Probe::Http(url.clone()),
        ("TCP", [port]) => Probe::Tcp(parse("healthcheck.test", port)?),
        (kind, _) => {
            let problem = format!("no such probe: {kind} with {} words", rest.len());
            return Err(BadMessage { field: "healthcheck.test", problem });
        }
    };
    Ok(Some(probe))
}

fn texts(digests: &[Digest]) -> Vec<String> {
    digests.iter().map(Digest::to_string).collect()
}

fn digests(field: &'static str, texts: &[String]) -> Result<Vec<Digest>, BadMessage> {
    texts.iter().map(|text| parse(field, text)).collect()
}

impl From<Vec<LoadedImage>> for proto::LoadReply {
    fn from(images: Vec<LoadedImage>) -> Self {
        Self { images: each(images) }
    }
}

impl TryFrom<proto::LoadReply> for Vec<LoadedImage> {
    type Error = BadMessage;

    fn try_from(reply: proto::LoadReply) -> Result<Self, BadMessage> {
        all(reply.images)
    }
}
