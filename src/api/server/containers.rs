//! `orca.v1.Containers`.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::images::received;
use super::session::{self, Start};
use super::stacks::done;
use super::{Answers, Service, logs, select};
use crate::api::control::{Answer, ControlError, CopyIn, CopyOut};
use crate::api::convert::{each, log_request, status_of, target_of};
use crate::api::message::{ContainerProcesses, ContainerUsage, Target};
use crate::api::proto;
use crate::api::proto::containers_server::Containers;
use crate::api::proto::copy_in_request::Request as In;
use crate::api::proto::copy_out_reply::Reply;
use crate::model::ContainerId;

/// The time between two rounds of statistics.
const STATS_INTERVAL: Duration = Duration::from_secs(1);

#[async_trait]
impl Containers for Service {
    type LogsStream = Answers<proto::LogEntry>;

    async fn logs(
        &self,
        request: Request<proto::LogsRequest>,
    ) -> Result<Response<Self::LogsStream>, Status> {
        let request = log_request(request.into_inner())?;
        let entries = logs::merge(self.control.clone(), request).await;
        Ok(Response::new(self.answers_of(entries.map_err(|error| status_of(&error))?)))
    }

    type ExecStream = Answers<proto::SessionReply>;

    async fn exec(
        &self,
        request: Request<Streaming<proto::SessionRequest>>,
    ) -> Result<Response<Self::ExecStream>, Status> {
        let mut requests = request.into_inner();
        let Start::Exec(target, exec) = session::start(&mut requests).await? else {
            return Err(session::wrong_start());
        };
        let view = self.view();
        let container = select::one(&view, &target).map_err(|error| status_of(&error))?;
        let session = self.control.exec(container, exec).await;
        let session = session.map_err(|error| status_of(&error))?;
        Ok(Response::new(self.answers_of(session::carry(requests, session))))
    }

    type AttachStream = Answers<proto::SessionReply>;

    async fn attach(
        &self,
        request: Request<Streaming<proto::SessionRequest>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let mut requests = request.into_inner();
        let Start::Attach(target, attach) = session::start(&mut requests).await? else {
            return Err(session::wrong_start());
        };
        let view = self.view();
        let container = select::one(&view, &target).map_err(|error| status_of(&error))?;
        let session = self.control.attach(container, attach).await;
        let session = session.map_err(|error| status_of(&error))?;
        Ok(Response::new(self.answers_of(session::carry(requests, session))))
    }

    type RunStream = Answers<proto::SessionReply>;

    async fn run(
        &self,
        request: Request<Streaming<proto::SessionRequest>>,
    ) -> Result<Response<Self::RunStream>, Status> {
        let mut requests = request.into_inner();
        let Start::Run(stack, run) = session::start(&mut requests).await? else {
            return Err(session::wrong_start());
        };
        let apply = self.narrowed(*stack).map_err(|error| status_of(&error))?;
        let session = self.control.run(apply, run).await;
        let session = session.map_err(|error| status_of(&error))?;
        Ok(Response::new(self.answers_of(session::carry(requests, session))))
    }

    async fn drop_one_offs(
        &self,
        request: Request<proto::ServicesRequest>,
    ) -> Result<Response<proto::Done>, Status> {
        let proto::ServicesRequest { stack, services, .. } = request.into_inner();
        done(self.control.drop_one_offs(&stack, services).await)
    }

    type CopyOutStream = Answers<proto::CopyOutReply>;

    async fn copy_out(
        &self,
        request: Request<proto::CopyOutRequest>,
    ) -> Result<Response<Self::CopyOutStream>, Status> {
        let proto::CopyOutRequest { target, path, follow } = request.into_inner();
        let view = self.view();
        let target = target_of(target)?;
        let container = select::there(&view, &target).map_err(|error| status_of(&error))?;
        let copied = self.control.copy_out(container, CopyOut { path, follow }).await;
        let (found, chunks) = copied.map_err(|error| status_of(&error))?;
        let found = Reply::Found(found.into());
        let found = Ok(proto::CopyOutReply { reply: Some(found) });
        let chunks = ReceiverStream::new(chunks).map(|chunk| match chunk {
            Ok(data) => {
                let chunk = Reply::Chunk(proto::Chunk { data, last: false });
                Ok(proto::CopyOutReply { reply: Some(chunk) })
            }
            Err(error) => Err(status_of(&ControlError::internal(error.to_string()))),
        });
        let first = futures_util::stream::once(std::future::ready(found));
        Ok(Response::new(self.answers(first.chain(chunks))))
    }

    async fn copy_in(
        &self,
        request: Request<Streaming<proto::CopyInRequest>>,
    ) -> Result<Response<proto::Done>, Status> {
        let mut requests = request.into_inner();
        let first = requests.message().await?.and_then(|message| message.request);
        let Some(In::Header(header)) = first else {
            let error = ControlError::invalid_input("the first message must be the header");
            return Err(status_of(&error));
        };
        let copy = CopyIn::from(&header);
        let target = target_of(header.target)?;
        let view = self.view();
        let container = select::there(&view, &target).map_err(|error| status_of(&error))?;
        let chunks = received(requests, |message| match message.request {
            Some(In::Chunk(chunk)) => Some(chunk),
            _ => None,
        });
        done(self.control.copy_in(container, copy, chunks).await)
    }

    async fn kill(
        &self,
        request: Request<proto::KillRequest>,
    ) -> Result<Response<proto::ContainersReply>, Status> {
        let proto::KillRequest { target, signal } = request.into_inner();
        self.to_each(target_of(target)?, Act::Kill(signal)).await
    }

    async fn pause(
        &self,
        request: Request<proto::Target>,
    ) -> Result<Response<proto::ContainersReply>, Status> {
        self.to_each(request.into_inner().into(), Act::Pause).await
    }

    async fn unpause(
        &self,
        request: Request<proto::Target>,
    ) -> Result<Response<proto::ContainersReply>, Status> {
        self.to_each(request.into_inner().into(), Act::Unpause).await
    }

    type StatsStream = Answers<proto::StatsReply>;

    async fn stats(
        &self,
        request: Request<proto::StatsRequest>,
    ) -> Result<Response<Self::StatsStream>, Status> {
        let proto::StatsRequest { target, once } = request.into_inner();
        let target = target.map(Target::from).filter(|target| !target.stack.is_empty());
        // A wrong name is an error now, not an empty stream.
        let first = self.usages(target.as_ref()).await.map_err(|error| status_of(&error))?;
        let (sender, replies) = mpsc::channel(1);
        let service = self.clone();
        tokio::spawn(async move {
            let mut usages = first;
            while sender.send(Ok(proto::StatsReply { containers: each(usages) })).await.is_ok() {
                if once {
                    return;
                }
                tokio::time::sleep(STATS_INTERVAL).await;
                usages = service.usages(target.as_ref()).await.unwrap_or_default();
            }
        });
        Ok(Response::new(self.answers_of(replies)))
    }

    async fn top(
        &self,
        request: Request<proto::Target>,
    ) -> Result<Response<proto::TopReply>, Status> {
        let processes = self.processes(&request.into_inner().into()).await;
        let processes = processes.map_err(|error| status_of(&error))?;
        Ok(Response::new(proto::TopReply { containers: each(processes) }))
    }
}

/// What can be done to many containers in one call.
enum Act {
    Kill(String),
    Pause,
    Unpause,
}

impl Service {
    /// Does something to each running container of a target, and says to which.
    async fn to_each(
        &self,
        target: Target,
        act: Act,
    ) -> Result<Response<proto::ContainersReply>, Status> {
        let view = self.view();
        let mut containers = Vec::new();
        for (id, task) in select::running(&view, &target).map_err(|error| status_of(&error))? {
            self.act(id, &act).await.map_err(|error| status_of(&error))?;
            containers.push(task.name.clone());
        }
        Ok(Response::new(proto::ContainersReply { containers }))
    }

    async fn act(&self, container: &ContainerId, act: &Act) -> Answer<()> {
        match act {
            Act::Kill(signal) => self.control.kill(container, signal).await,
            Act::Pause => self.control.pause(container).await,
            Act::Unpause => self.control.unpause(container).await,
        }
    }

    /// What the containers of a target, or all containers, use now. One that ends meanwhile is left
    /// out.
    async fn usages(&self, target: Option<&Target>) -> Answer<Vec<ContainerUsage>> {
        let view = self.view();
        let tasks = match target {
            Some(target) => select::tasks(&view, target)?,
            None => view.stacks.values().flat_map(|stack| &stack.tasks).collect(),
        };
        let mut usages = Vec::new();
        for (id, task) in tasks.into_iter().filter_map(select::running_container) {
            if let Ok(usage) = self.control.usage(id).await {
                usages.push(ContainerUsage {
                    container: id.to_string(),
                    name: task.name.clone(),
                    stack: task.stack.clone(),
                    service: task.service.clone(),
                    usage,
                });
            }
        }
        Ok(usages)
    }

    /// The processes of the containers of a target.
    async fn processes(&self, target: &Target) -> Answer<Vec<ContainerProcesses>> {
        let view = self.view();
        let mut all = Vec::new();
        for (id, task) in select::running(&view, target)? {
            let processes = self.control.processes(id).await?;
            let (name, service) = (task.name.clone(), task.service.clone());
            all.push(ContainerProcesses { name, service, processes });
        }
        Ok(all)
    }
}
