//! `orca.v1.Stacks`.

use std::time::Duration;

use futures_util::Stream;

use super::{Client, Reply, values};
use crate::api::control::{Applied, Preview, Remove, Scale, Services};
use crate::api::convert::all;
use crate::api::message::{StackReport, Up};
use crate::api::proto;

impl Client {
    /// Makes a stack what a project says. Returns once it is agreed.
    pub async fn apply(&self, up: &Up) -> Reply<Applied> {
        let request = proto::ApplyRequest::try_from(up)?;
        let reply = self.stacks().apply(request).await?.into_inner();
        let proto::ApplyReply { generation, changed, warnings } = reply;
        Ok(Applied { generation, changed, warnings })
    }

    /// What [`Client::apply`] would lead to.
    pub async fn plan(&self, up: &Up) -> Reply<Preview> {
        let request = proto::ApplyRequest::try_from(up)?;
        let proto::PlanReply { steps, warnings } = self.stacks().plan(request).await?.into_inner();
        Ok(Preview { steps, warnings })
    }

    /// Takes a stack down. Returns once it is agreed.
    pub async fn remove(&self, remove: Remove) -> Reply<()> {
        let Remove { stack, volumes, grace } = remove;
        let grace_nanos = grace.map(nanos);
        self.stacks().remove(proto::RemoveRequest { stack, volumes, grace_nanos }).await?;
        Ok(())
    }

    /// How a stack is doing.
    pub async fn stack(&self, name: &str) -> Reply<StackReport> {
        let request = proto::StackRequest { stack: name.to_owned() };
        Ok(self.stacks().get(request).await?.into_inner().try_into()?)
    }

    /// How all stacks are doing.
    pub async fn list(&self) -> Reply<Vec<StackReport>> {
        let reply = self.stacks().list(proto::ListStacksRequest {}).await?.into_inner();
        Ok(all(reply.stacks)?)
    }

    /// How a stack is doing now, and again with each change; `None` while there is no such stack.
    pub async fn watch(
        &self,
        name: &str,
    ) -> Reply<impl Stream<Item = Reply<Option<StackReport>>> + Send + Unpin + use<>> {
        let request = proto::StackRequest { stack: name.to_owned() };
        let stream = self.stacks().watch(request).await?.into_inner();
        Ok(values(stream, |reply| Ok(reply.status.map(StackReport::try_from).transpose()?)))
    }

    /// Changes how many containers services have.
    pub async fn scale(&self, scale: Scale) -> Reply<()> {
        let Scale { stack, replicas } = scale;
        self.stacks().scale(proto::ScaleRequest { stack, replicas }).await?;
        Ok(())
    }

    /// Stops services; all if none is named.
    pub async fn stop(&self, services: Services) -> Reply<()> {
        self.stacks().stop(proto::ServicesRequest::from(services)).await?;
        Ok(())
    }

    /// Starts services; all if none is named.
    pub async fn start(&self, services: Services) -> Reply<()> {
        self.stacks().start(proto::ServicesRequest::from(services)).await?;
        Ok(())
    }

    /// Replaces the containers of services; of all if none is named.
    pub async fn restart(&self, services: Services) -> Reply<()> {
        self.stacks().restart(proto::ServicesRequest::from(services)).await?;
        Ok(())
    }
}

impl From<Services> for proto::ServicesRequest {
    fn from(Services { stack, services, grace, remove }: Services) -> Self {
        Self { stack, services, grace_nanos: grace.map(nanos), remove }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
