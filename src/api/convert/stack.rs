//! How stacks are doing.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{BadMessage, all, each, nanos, narrow, parse, time, time_nanos};
use crate::api::control::CopySource;
use crate::api::message::{Problem, StackReport};
use crate::api::proto;
use crate::model::{
    AttemptId, Health, Protocol, Publication, ServiceStatus, StackStatus, TaskId, TaskState,
    TaskStatus,
};

impl From<StackReport> for proto::StackStatus {
    fn from(StackReport { status, problems }: StackReport) -> Self {
        Self {
            name: status.name,
            files: status.files,
            generation: status.generation,
            converged: status.converged,
            failed: status.failed,
            removing: status.removing,
            services: status.services.into_iter().map(|(k, v)| (k, v.into())).collect(),
            tasks: each(status.tasks),
            problems: each(problems),
        }
    }
}

impl TryFrom<proto::StackStatus> for StackReport {
    type Error = BadMessage;

    fn try_from(message: proto::StackStatus) -> Result<Self, BadMessage> {
        let status = StackStatus {
            name: message.name,
            files: message.files,
            generation: message.generation,
            converged: message.converged,
            failed: message.failed,
            removing: message.removing,
            services: message.services.into_iter().map(|(k, v)| (k, v.into())).collect(),
            tasks: all(message.tasks)?,
        };
        Ok(Self { status, problems: each(message.problems) })
    }
}

impl From<Problem> for proto::Problem {
    fn from(Problem { stack, service, message }: Problem) -> Self {
        Self { stack, service, message }
    }
}

impl From<proto::Problem> for Problem {
    fn from(proto::Problem { stack, service, message }: proto::Problem) -> Self {
        Self { stack, service, message }
    }
}

impl From<ServiceStatus> for proto::ServiceStatus {
    fn from(status: ServiceStatus) -> Self {
        let ServiceStatus { image, wanted, available, stopped, waiting, failed, one_off } = status;
        Self { image, wanted, available, stopped, waiting, failed, one_off }
    }
}

impl From<proto::ServiceStatus> for ServiceStatus {
    fn from(message: proto::ServiceStatus) -> Self {
        let proto::ServiceStatus { image, wanted, available, stopped, waiting, failed, one_off } =
            message;
        Self { image, wanted, available, stopped, waiting, failed, one_off }
    }
}

impl From<TaskStatus> for proto::TaskStatus {
    fn from(status: TaskStatus) -> Self {
        let text =
            |(network, address): (String, std::net::Ipv4Addr)| (network, address.to_string());
        Self {
            task: status.task.0,
            attempt: status.attempt.map_or(0, |attempt| attempt.number),
            container: status.container.map(|id| id.to_string()),
            name: status.name,
            stack: status.stack,
            service: status.service,
            slot: status.slot,
            revision: status.revision,
            image: status.image,
            command: status.command,
            state: proto::TaskState::from(status.state).into(),
            health: proto::Health::from(status.health).into(),
            reason: status.reason,
            exit_code: status.exit_code,
            oom: status.oom,
            restarts: status.restarts,
            pid: status.pid,
            created_nanos: time_nanos(status.created),
            running_for_nanos: status.running_for.map(nanos),
            addresses: status.addresses.into_iter().map(text).collect(),
            publications: each(status.publications),
            wanted: status.wanted,
            labels: status.labels,
            one_off: status.one_off,
            host_users: status.host_users,
        }
    }
}

impl TryFrom<proto::TaskStatus> for TaskStatus {
    type Error = BadMessage;

    fn try_from(message: proto::TaskStatus) -> Result<Self, BadMessage> {
        let (state, health) = (message.state().into(), message.health().into());
        let task = TaskId(message.task);
        let attempt = AttemptId { task, number: message.attempt };
        let container = message.container.as_deref().map(|id| parse("task.container", id));
        let mut addresses = BTreeMap::new();
        for (network, address) in message.addresses {
            addresses.insert(network, parse("task.addresses", &address)?);
        }
        Ok(Self {
            task,
            attempt: (attempt.number > 0).then_some(attempt),
            container: container.transpose()?,
            name: message.name,
            stack: message.stack,
            service: message.service,
            slot: message.slot,
            revision: message.revision,
            image: message.image,
            command: message.command,
            state,
            health,
            reason: message.reason,
            exit_code: message.exit_code,
            oom: message.oom,
            restarts: message.restarts,
            pid: message.pid,
            created: time(message.created_nanos),
            running_for: message.running_for_nanos.map(Duration::from_nanos),
            addresses,
            publications: all(message.publications)?,
            wanted: message.wanted,
            labels: message.labels,
            one_off: message.one_off,
            host_users: message.host_users,
        })
    }
}

impl From<Publication> for proto::Publication {
    fn from(publication: Publication) -> Self {
        let backend = |(address, port): (std::net::Ipv4Addr, u16)| proto::Backend {
            address: address.to_string(),
            port: port.into(),
        };
        Self {
            host_ip: publication.host_ip.map(|ip| ip.to_string()),
            host_port: publication.host_port.into(),
            protocol: proto::Protocol::from(publication.protocol).into(),
            backends: publication.backends.into_iter().map(backend).collect(),
            owner: publication.owner,
        }
    }
}

impl TryFrom<proto::Publication> for Publication {
    type Error = BadMessage;

    fn try_from(message: proto::Publication) -> Result<Self, BadMessage> {
        let protocol = message.protocol().into();
        let host_ip = message.host_ip.as_deref().map(|ip| parse("publication.host_ip", ip));
        let backend = |backend: proto::Backend| {
            let address = parse("publication.backends", &backend.address)?;
            Ok((address, narrow("publication.backends", backend.port)?))
        };
        Ok(Self {
            host_ip: host_ip.transpose()?,
            host_port: narrow("publication.host_port", message.host_port)?,
            protocol,
            backends: message.backends.into_iter().map(backend).collect::<Result<_, _>>()?,
            owner: message.owner,
        })
    }
}

/// Both directions between two enums with the same words.
macro_rules! same_words {
    ($ours:ty, $theirs:ty: $($word:ident)*) => {
        impl From<$ours> for $theirs {
            fn from(word: $ours) -> Self {
                match word { $(<$ours>::$word => Self::$word,)* }
            }
        }

        impl From<$theirs> for $ours {
            fn from(word: $theirs) -> Self {
                match word { $(<$theirs>::$word => Self::$word,)* }
            }
        }
    };
}

same_words!(TaskState, proto::TaskState:
    Pending Starting Running Paused Restarting Stopping Completed Failed);
same_words!(Health, proto::Health: None Starting Healthy Unhealthy);
same_words!(Protocol, proto::Protocol: Tcp Udp Sctp);
same_words!(CopySource, proto::CopySource: File Directory Content Archive);
