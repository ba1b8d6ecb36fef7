//! `orca.v1.Stacks`.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::WatchStream;
use tonic::{Request, Response, Status, async_trait};

use super::{Answers, Service, select};
use crate::api::control::{Answer, Applied, Apply, ControlError, Remove, Scale, Services};
use crate::api::convert::{each, status_of};
use crate::api::message::{StackReport, Up};
use crate::api::narrow::narrow;
use crate::api::proto;
use crate::api::proto::stacks_server::Stacks;

/// The most containers a service may be scaled to: a guard against a slip of the finger.
const MOST_REPLICAS: u32 = 10_000;

#[async_trait]
impl Stacks for Service {
    async fn apply(
        &self,
        request: Request<proto::ApplyRequest>,
    ) -> Result<Response<proto::ApplyReply>, Status> {
        let apply = self.narrowed(request.into_inner()).map_err(|error| status_of(&error))?;
        let applied = self.control.apply(apply).await.map_err(|error| status_of(&error))?;
        let Applied { generation, changed, warnings } = applied;
        Ok(Response::new(proto::ApplyReply { generation, changed, warnings }))
    }

    async fn plan(
        &self,
        request: Request<proto::ApplyRequest>,
    ) -> Result<Response<proto::PlanReply>, Status> {
        let apply = self.narrowed(request.into_inner()).map_err(|error| status_of(&error))?;
        let preview = self.control.plan(apply).await.map_err(|error| status_of(&error))?;
        let reply = proto::PlanReply { steps: preview.steps, warnings: preview.warnings };
        Ok(Response::new(reply))
    }

    async fn remove(
        &self,
        request: Request<proto::RemoveRequest>,
    ) -> Result<Response<proto::Done>, Status> {
        let proto::RemoveRequest { stack, volumes, grace_nanos } = request.into_inner();
        let remove = Remove { stack, volumes, grace: grace_nanos.map(Duration::from_nanos) };
        done(self.control.remove(remove).await)
    }

    async fn get(
        &self,
        request: Request<proto::StackRequest>,
    ) -> Result<Response<proto::StackStatus>, Status> {
        let name = request.into_inner().stack;
        let report = select::report(&self.view(), &name).ok_or_else(|| select::no_stack(&name));
        Ok(Response::new(report.map_err(|error| status_of(&error))?.into()))
    }

    async fn list(
        &self,
        _: Request<proto::ListStacksRequest>,
    ) -> Result<Response<proto::ListStacksReply>, Status> {
        let view = self.view();
        let reports = view.stacks.keys().filter_map(|name| select::report(&view, name)).collect();
        Ok(Response::new(proto::ListStacksReply { stacks: each(reports) }))
    }

    type WatchStream = Answers<proto::WatchReply>;

    async fn watch(
        &self,
        request: Request<proto::StackRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let name = request.into_inner().stack;
        let mut last: Option<Option<StackReport>> = None;
        let changes = WatchStream::new(self.control.view()).filter_map(move |view| {
            let report = select::report(&view, &name);
            let news = last.as_ref() != Some(&report);
            last = Some(report.clone());
            news.then(|| Ok(proto::WatchReply { status: report.map(Into::into) }))
        });
        Ok(Response::new(self.answers(changes)))
    }

    async fn scale(
        &self,
        request: Request<proto::ScaleRequest>,
    ) -> Result<Response<proto::Done>, Status> {
        let proto::ScaleRequest { stack, replicas } = request.into_inner();
        let scale = self.checked_scale(stack, replicas).map_err(|error| status_of(&error))?;
        done(self.control.scale(scale).await)
    }

    async fn stop(
        &self,
        request: Request<proto::ServicesRequest>,
    ) -> Result<Response<proto::Done>, Status> {
        let services = self.checked(request.into_inner()).map_err(|error| status_of(&error))?;
        done(self.control.stop(services).await)
    }

    async fn start(
        &self,
        request: Request<proto::ServicesRequest>,
    ) -> Result<Response<proto::Done>, Status> {
        let services = self.checked(request.into_inner()).map_err(|error| status_of(&error))?;
        done(self.control.start(services).await)
    }

    async fn restart(
        &self,
        request: Request<proto::ServicesRequest>,
    ) -> Result<Response<proto::Done>, Status> {
        let services = self.checked(request.into_inner()).map_err(|error| status_of(&error))?;
        done(self.control.restart(services).await)
    }
}

impl Service {
    /// What a caller wants, with the agreed form of what it leaves alone.
    pub(super) fn narrowed(&self, request: proto::ApplyRequest) -> Answer<Apply> {
        let up = Up::try_from(request)?;
        let view = self.view();
        let agreed = view.agreed.stacks.get(&up.project.name);
        narrow(up, agreed)
    }

    /// Services of a stack that are there.
    fn checked(&self, request: proto::ServicesRequest) -> Answer<Services> {
        let view = self.view();
        let stack = select::agreed(&view, &request.stack)?;
        let services = select::services(stack, &request.services)?;
        let grace = request.grace_nanos.map(Duration::from_nanos);
        Ok(Services { stack: request.stack, services, grace, remove: request.remove })
    }

    /// A change of scale that makes sense.
    fn checked_scale(&self, name: String, replicas: BTreeMap<String, u32>) -> Answer<Scale> {
        let view = self.view();
        let stack = select::agreed(&view, &name)?;
        let names: Vec<String> = replicas.keys().cloned().collect();
        if names.is_empty() {
            return Err(ControlError::invalid_input("no service is named"));
        }
        select::services(stack, &names)?;
        if let Some((service, count)) = replicas.iter().find(|(_, count)| **count > MOST_REPLICAS) {
            let message =
                format!("cannot scale `{service}` to {count}: the most is {MOST_REPLICAS}");
            return Err(ControlError::invalid_input(message));
        }
        Ok(Scale { stack: name, replicas })
    }
}

/// The reply to a call that gives nothing back.
pub(super) fn done(answer: Answer<()>) -> Result<Response<proto::Done>, Status> {
    match answer {
        Ok(()) => Ok(Response::new(proto::Done {})),
        Err(error) => Err(status_of(&error)),
    }
}
