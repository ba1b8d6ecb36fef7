//! `orca.v1.Volumes` and `orca.v1.Networks`.

use tonic::{Request, Response, Status, Streaming, async_trait};

use super::images::{received, sent};
use super::stacks::done;
use super::{Answers, Service};
use crate::api::control::ControlError;
use crate::api::convert::{each, status_of};
use crate::api::message::NetworkSummary;
use crate::api::proto;
use crate::api::proto::import_volume_request::Request as Import;
use crate::api::proto::networks_server::Networks;
use crate::api::proto::volumes_server::Volumes;
use crate::engine::View;

#[async_trait]
impl Volumes for Service {
    async fn list(
        &self,
        _: Request<proto::ListVolumesRequest>,
    ) -> Result<Response<proto::ListVolumesReply>, Status> {
        let volumes = self.control.volumes().await.map_err(|error| status_of(&error))?;
        Ok(Response::new(proto::ListVolumesReply { volumes: each(volumes) }))
    }

    async fn remove(
        &self,
        request: Request<proto::VolumeRequest>,
    ) -> Result<Response<proto::Done>, Status> {
        done(self.control.remove_volume(&request.into_inner().name).await)
    }

    async fn prune(
        &self,
        request: Request<proto::PruneVolumesRequest>,
    ) -> Result<Response<proto::RemovedVolumes>, Status> {
        let removed = self.control.prune_volumes(request.into_inner().into()).await;
        Ok(Response::new(removed.map_err(|error| status_of(&error))?.into()))
    }

    async fn create(
        &self,
        request: Request<proto::CreateVolumeRequest>,
    ) -> Result<Response<proto::Volume>, Status> {
        let volume = self.control.create_volume(request.into_inner().into()).await;
        Ok(Response::new(volume.map_err(|error| status_of(&error))?.into()))
    }

    type ExportStream = Answers<proto::Chunk>;

    async fn export(
        &self,
        request: Request<proto::VolumeRequest>,
    ) -> Result<Response<Self::ExportStream>, Status> {
        let chunks = self.control.export_volume(&request.into_inner().name).await;
        let chunks = chunks.map_err(|error| status_of(&error))?;
        Ok(Response::new(self.answers(sent(chunks, "the volume"))))
    }

    async fn import(
        &self,
        request: Request<Streaming<proto::ImportVolumeRequest>>,
    ) -> Result<Response<proto::Done>, Status> {
        let mut requests = request.into_inner();
        let first = requests.message().await?.and_then(|message| message.request);
        let Some(Import::Name(name)) = first else {
            let error = ControlError::invalid_input("the first message must be the volume's name");
            return Err(status_of(&error));
        };
        let chunks = received(requests, |message| match message.request {
            Some(Import::Chunk(chunk)) => Some(chunk),
            _ => None,
        });
        done(self.control.import_volume(&name, chunks).await)
    }
}

#[async_trait]
impl Networks for Service {
    async fn list(
        &self,
        _: Request<proto::ListNetworksRequest>,
    ) -> Result<Response<proto::ListNetworksReply>, Status> {
        Ok(Response::new(proto::ListNetworksReply { networks: each(networks(&self.view())) }))
    }
}

/// The networks that have addresses, and who is in them.
fn networks(view: &View) -> Vec<NetworkSummary> {
    let tasks: Vec<_> = view.stacks.values().flat_map(|stack| &stack.tasks).collect();
    let summary = |(name, network): (&String, &crate::model::AgreedNetwork)| NetworkSummary {
        name: name.clone(),
        stack: network.stack.clone(),
        key: network.key.clone(),
        subnet: network.subnet,
        gateway: network.gateway,
        subnet6: network.subnet6,
        internal: view.network.bridges.get(name).is_some_and(|bridge| bridge.internal),
        containers: tasks
            .iter()
            .filter_map(|task| Some((task.name.clone(), *task.addresses.get(name)?)))
            .collect(),
    };
    view.agreed.networks.iter().map(summary).collect()
}
