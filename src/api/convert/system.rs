//! Events, and the daemon itself.

use super::{BadMessage, parse, time, time_nanos};
use crate::api::control::{DiskUsage, Info, Space};
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
        }
    }
}

impl From<proto::DiskUsageReply> for DiskUsage {
    fn from(message: proto::DiskUsageReply) -> Self {
        let space = |space: Option<proto::Space>| space.unwrap_or_default().into();
        Self {
            images: space(message.images),
            containers: space(message.containers),
            volumes: space(message.volumes),
            logs: space(message.logs),
        }
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
