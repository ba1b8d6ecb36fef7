//! Containers, their logs, what they use and what runs in them.

use std::time::Duration;

use super::{BadMessage, each, nanos, time, time_nanos};
use crate::api::control::{CopyFound, CopyIn, LogLine, LogOptions, OutputStream, Process, Usage};
use crate::api::message::{ContainerProcesses, ContainerUsage, LogEntry, LogRequest, Target};
use crate::api::proto;
use crate::model::Boottime;

impl From<Target> for proto::Target {
    fn from(Target { stack, names, index }: Target) -> Self {
        Self { stack, names, index: index.unwrap_or(0) }
    }
}

impl From<proto::Target> for Target {
    fn from(proto::Target { stack, names, index }: proto::Target) -> Self {
        Self { stack, names, index: (index > 0).then_some(index) }
    }
}

/// The target that a request must have.
pub(crate) fn target_of(target: Option<proto::Target>) -> Result<Target, BadMessage> {
    target.map(Target::from).ok_or(BadMessage::missing("target"))
}

impl From<LogRequest> for proto::LogsRequest {
    fn from(LogRequest { target, options }: LogRequest) -> Self {
        Self {
            target: Some(target.into()),
            follow: options.follow,
            tail: options.tail,
            since_nanos: options.since.map(time_nanos),
            until_nanos: options.until.map(time_nanos),
        }
    }
}

/// The request that a message stands for.
pub(crate) fn log_request(message: proto::LogsRequest) -> Result<LogRequest, BadMessage> {
    let options = LogOptions {
        tail: message.tail,
        since: message.since_nanos.map(time),
        until: message.until_nanos.map(time),
        follow: message.follow,
    };
    Ok(LogRequest { target: target_of(message.target)?, options })
}

impl From<(Target, CopyIn)> for proto::CopyInHeader {
    fn from((target, copy): (Target, CopyIn)) -> Self {
        let CopyIn { path, source, archive } = copy;
        let source = proto::CopySource::from(source).into();
        Self { target: Some(target.into()), path, source, archive }
    }
}

impl From<&proto::CopyInHeader> for CopyIn {
    fn from(message: &proto::CopyInHeader) -> Self {
        let source = message.source().into();
        Self { path: message.path.clone(), source, archive: message.archive }
    }
}

impl From<proto::CopyFound> for CopyFound {
    fn from(proto::CopyFound { directory, name }: proto::CopyFound) -> Self {
        Self { directory, name }
    }
}

impl From<CopyFound> for proto::CopyFound {
    fn from(CopyFound { directory, name }: CopyFound) -> Self {
        Self { directory, name }
    }
}

impl From<LogEntry> for proto::LogEntry {
    fn from(entry: LogEntry) -> Self {
        let stream = match entry.line.stream {
            OutputStream::Stdout => proto::OutputStream::Stdout,
            OutputStream::Stderr => proto::OutputStream::Stderr,
        };
        Self {
            stack: entry.stack,
            service: entry.service,
            slot: entry.slot,
            container: entry.container,
            time_nanos: time_nanos(entry.line.time),
            stream: stream.into(),
            line: entry.line.line,
            partial: entry.line.partial,
        }
    }
}

impl From<proto::LogEntry> for LogEntry {
    fn from(message: proto::LogEntry) -> Self {
        let stream = match message.stream() {
            proto::OutputStream::Stdout => OutputStream::Stdout,
            proto::OutputStream::Stderr => OutputStream::Stderr,
        };
        let line = LogLine {
            time: time(message.time_nanos),
            stream,
            line: message.line,
            partial: message.partial,
        };
        Self {
            stack: message.stack,
            service: message.service,
            slot: message.slot,
            container: message.container,
            line,
        }
    }
}

impl From<ContainerUsage> for proto::ContainerUsage {
    fn from(of: ContainerUsage) -> Self {
        let ContainerUsage { container, name, stack, service, usage } = of;
        Self {
            container,
            name,
            stack,
            service,
            at_nanos: nanos(usage.at.0),
            cpu_nanos: nanos(usage.cpu),
            memory: usage.memory,
            memory_limit: usage.memory_limit,
            pids: usage.pids,
            pids_limit: usage.pids_limit,
            network_received: usage.network_received,
            network_sent: usage.network_sent,
            block_read: usage.block_read,
            block_written: usage.block_written,
        }
    }
}

impl From<proto::ContainerUsage> for ContainerUsage {
    fn from(message: proto::ContainerUsage) -> Self {
        let usage = Usage {
            at: Boottime(Duration::from_nanos(message.at_nanos)),
            cpu: Duration::from_nanos(message.cpu_nanos),
            memory: message.memory,
            memory_limit: message.memory_limit,
            pids: message.pids,
            pids_limit: message.pids_limit,
            network_received: message.network_received,
            network_sent: message.network_sent,
            block_read: message.block_read,
            block_written: message.block_written,
        };
        let proto::ContainerUsage { container, name, stack, service, .. } = message;
        Self { container, name, stack, service, usage }
    }
}

impl From<ContainerProcesses> for proto::ContainerProcesses {
    fn from(of: ContainerProcesses) -> Self {
        Self { name: of.name, service: of.service, processes: each(of.processes) }
    }
}

impl From<proto::ContainerProcesses> for ContainerProcesses {
    fn from(message: proto::ContainerProcesses) -> Self {
        let proto::ContainerProcesses { name, service, processes } = message;
        Self { name, service, processes: each(processes) }
    }
}

impl From<Process> for proto::Process {
    fn from(process: Process) -> Self {
        let Process { pid, parent, uid, cpu, age, command } = process;
        Self { pid, parent, uid, cpu_nanos: nanos(cpu), age_nanos: nanos(age), command }
    }
}

impl From<proto::Process> for Process {
    fn from(message: proto::Process) -> Self {
        let proto::Process { pid, parent, uid, cpu_nanos, age_nanos, command } = message;
        let (cpu, age) = (Duration::from_nanos(cpu_nanos), Duration::from_nanos(age_nanos));
        Self { pid, parent, uid, cpu, age, command }
    }
}
