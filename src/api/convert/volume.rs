//! Volumes and networks.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{BadMessage, parse, time, time_nanos};
use crate::api::control::{CreateVolume, PruneVolumes, RemovedVolumes, VolumeSummary};
use crate::api::message::NetworkSummary;
use crate::api::proto;

impl From<VolumeSummary> for proto::Volume {
    fn from(volume: VolumeSummary) -> Self {
        Self {
            name: volume.name,
            stack: volume.stack,
            path: volume.path.to_string_lossy().into_owned(),
            created_nanos: volume.created.map(time_nanos),
            driver_opts: volume.driver_opts,
            labels: volume.labels,
            used_by: volume.used_by,
            size: volume.size,
        }
    }
}

impl From<proto::Volume> for VolumeSummary {
    fn from(message: proto::Volume) -> Self {
        Self {
            name: message.name,
            stack: message.stack,
            path: PathBuf::from(message.path),
            created: message.created_nanos.map(time),
            driver_opts: message.driver_opts,
            labels: message.labels,
            used_by: message.used_by,
            size: message.size,
        }
    }
}

impl From<PruneVolumes> for proto::PruneVolumesRequest {
    fn from(PruneVolumes { all, filter }: PruneVolumes) -> Self {
        Self { all, filter: Some(filter.into()) }
    }
}

impl From<proto::PruneVolumesRequest> for PruneVolumes {
    fn from(message: proto::PruneVolumesRequest) -> Self {
        Self { all: message.all, filter: message.filter.unwrap_or_default().into() }
    }
}

impl From<CreateVolume> for proto::CreateVolumeRequest {
    fn from(CreateVolume { name, driver_opts, labels }: CreateVolume) -> Self {
        Self {
            name,
            driver_opts: driver_opts.into_iter().collect(),
            labels: labels.into_iter().collect(),
        }
    }
}

impl From<proto::CreateVolumeRequest> for CreateVolume {
    fn from(message: proto::CreateVolumeRequest) -> Self {
        Self {
            name: message.name,
            driver_opts: message.driver_opts.into_iter().collect(),
            labels: message.labels.into_iter().collect(),
        }
    }
}

impl From<RemovedVolumes> for proto::RemovedVolumes {
    fn from(RemovedVolumes { names, freed }: RemovedVolumes) -> Self {
        Self { names, freed }
    }
}

impl From<proto::RemovedVolumes> for RemovedVolumes {
    fn from(proto::RemovedVolumes { names, freed }: proto::RemovedVolumes) -> Self {
        Self { names, freed }
    }
}

impl From<NetworkSummary> for proto::Network {
    fn from(network: NetworkSummary) -> Self {
        let containers = network.containers.into_iter();
        Self {
            name: network.name,
            stack: network.stack,
            key: network.key,
            subnet: network.subnet.to_string(),
            gateway: network.gateway.to_string(),
            subnet6: network.subnet6.map(|(subnet, _)| subnet.to_string()),
            gateway6: network.subnet6.map(|(_, gateway)| gateway.to_string()),
            internal: network.internal,
            containers: containers.map(|(name, address)| (name, address.to_string())).collect(),
        }
    }
}

impl TryFrom<proto::Network> for NetworkSummary {
    type Error = BadMessage;

    fn try_from(message: proto::Network) -> Result<Self, BadMessage> {
        let subnet6 = match (&message.subnet6, &message.gateway6) {
            (Some(subnet), Some(gateway)) => {
                Some((parse("network.subnet6", subnet)?, parse("network.gateway6", gateway)?))
            }
            _ => None,
        };
        let mut containers = BTreeMap::new();
        for (name, address) in message.containers {
            containers.insert(name, parse("network.containers", &address)?);
        }
        Ok(Self {
            name: message.name,
            stack: message.stack,
            key: message.key,
            subnet: parse("network.subnet", &message.subnet)?,
            gateway: parse("network.gateway", &message.gateway)?,
            subnet6,
            internal: message.internal,
            containers,
        })
    }
}
