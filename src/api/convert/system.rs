//! Events, and the daemon itself.

use std::time::Duration;

use super::{BadMessage, all, each, nanos, parse, time, time_nanos};
use crate::api::control::{ContainerSpace, DiskUsage, ImageSpace, Info, Space, VolumeSpace};
use crate::api::message::{Event, SystemInfo, Version};
use crate::api::proto;
use crate::model::Instance;

impl From<Event> for proto::Event {
    fn from(event: Event) -> Self {
        let Event { time, action, stack, service, container, attributes } = event;
        let (time_nanos, container) = (time_nanos(time), container.map(|id| id.to_string()));
        Self { time_nanos, action, stack, service, container, attributes }
    }
}

impl TryFrom<proto::Event> for Event {
    type Error = BadMessage;

    fn try_from(message: proto::Event) -> Result<Self, BadMessage> {
        let container = message.container.as_deref().map(|id| parse("event.container", id));
        Ok(Self {
            time: time(message.time_nanos),
            action: message.action,
            stack: message.stack,
            service: message.service,
            container: container.transpose()?,
            attributes: message.attributes,
        })
    }
}

impl From<Version> for proto::VersionReply {
    fn from(Version { version, api }: Version) -> Self {
        Self { version, api }
    }
}

impl From<proto::VersionReply> for Version {
    fn from(proto::VersionReply { version, api }: proto::VersionReply) -> Self {
        Self { version, api }
    }
}

impl From<SystemInfo> for proto::InfoReply {
    fn from(system: SystemInfo) -> Self {
        let info = system.info;
        Self {
            version: system.version,
            root: info.instance.root.to_string_lossy().into_owned(),
            run: info.instance.run.to_string_lossy().into_owned(),
            pid: info.pid,
            started_nanos: time_nanos(info.started),
            hostname: info.hostname,
            kernel: info.kernel,
            cgroups: info.cgroups,
            no_user_namespaces: info.no_user_namespaces.unwrap_or_default(),
            cpus: info.cpus,
            memory: info.memory,
            warnings: info.warnings,
            stacks: system.stacks,
            containers: system.containers,
            running: system.running,
        }
    }
}

impl From<proto::InfoReply> for SystemInfo {
    fn from(message: proto::InfoReply) -> Self {
        let info = Info {
            instance: Instance { root: message.root.into(), run: message.run.into() },
            pid: message.pid,
            started: time(message.started_nanos),
            hostname: message.hostname,
            kernel: message.kernel,
            cgroups: message.cgroups,
            no_user_namespaces: Some(message.no_user_namespaces).filter(|why| !why.is_empty()),
            cpus: message.cpus,
            memory: message.memory,
            warnings: message.warnings,
        };
        Self {
            version: message.version,
            info,
            stacks: message.stacks,
            containers: message.containers,
            running: message.running,
        }
    }
}

impl From<DiskUsage> for proto::DiskUsageReply {
    fn from(usage: DiskUsage) -> Self {
        Self {
            images: Some(usage.images.into()),
            containers: Some(usage.containers.into()),
            volumes: Some(usage.volumes.into()),
            logs: Some(usage.logs.into()),
            image_list: each(usage.image_list),
            container_list: each(usage.container_list),
            volume_list: each(usage.volume_list),
            max_size: usage.max_size.unwrap_or(0),
        }
    }
}

impl TryFrom<proto::DiskUsageReply> for DiskUsage {
    type Error = BadMessage;

    fn try_from(message: proto::DiskUsageReply) -> Result<Self, BadMessage> {
        let space = |space: Option<proto::Space>| space.unwrap_or_default().into();
        Ok(Self {
            images: space(message.images),
            containers: space(message.containers),
            volumes: space(message.volumes),
            logs: space(message.logs),
            image_list: all(message.image_list)?,
            container_list: all(message.container_list)?,
            volume_list: each(message.volume_list),
            max_size: Some(message.max_size).filter(|size| *size > 0),
        })
    }
}

impl From<ImageSpace> for proto::ImageSpace {
    fn from(image: ImageSpace) -> Self {
        Self {
            id: image.id.to_string(),
            references: image.references,
            created_nanos: image.created.map(time_nanos),
            size: image.size,
            shared: image.shared,
            containers: image.containers,
            unused_nanos: nanos(image.unused_for),
        }
    }
}

impl TryFrom<proto::ImageSpace> for ImageSpace {
    type Error = BadMessage;

    fn try_from(message: proto::ImageSpace) -> Result<Self, BadMessage> {
        Ok(Self {
            id: parse("image.id", &message.id)?,
            references: message.references,
            created: message.created_nanos.map(time),
            size: message.size,
            shared: message.shared,
            containers: message.containers,
            unused_for: Duration::from_nanos(message.unused_nanos),
        })
    }
}

impl From<ContainerSpace> for proto::ContainerSpace {
    fn from(container: ContainerSpace) -> Self {
        let ContainerSpace { id, name, image, size, running } = container;
        Self { id: id.to_string(), name, image, size, running }
    }
}

impl TryFrom<proto::ContainerSpace> for ContainerSpace {
    type Error = BadMessage;

    fn try_from(message: proto::ContainerSpace) -> Result<Self, BadMessage> {
        let proto::ContainerSpace { id, name, image, size, running } = message;
        Ok(Self { id: parse("container.id", &id)?, name, image, size, running })
    }
}

impl From<VolumeSpace> for proto::VolumeSpace {
    fn from(VolumeSpace { name, containers, size }: VolumeSpace) -> Self {
        Self { name, containers, size }
    }
}

impl From<proto::VolumeSpace> for VolumeSpace {
    fn from(proto::VolumeSpace { name, containers, size }: proto::VolumeSpace) -> Self {
        Self { name, containers, size }
    }
}

impl From<Space> for proto::Space {
    fn from(Space { count, active, size, reclaimable }: Space) -> Self {
        Self { count, active, size, reclaimable }
    }
}

impl From<proto::Space> for Space {
    fn from(proto::Space { count, active, size, reclaimable }: proto::Space) -> Self {
        Self { count, active, size, reclaimable }
    }
}
