//! `orca.v1.Volumes` and `orca.v1.Networks`.

use tonic::{Request, Response, Status, async_trait};

use super::Service;
use super::stacks::done;
use crate::api::convert::{each, status_of};
use crate::api::message::NetworkSummary;
use crate::api::proto;
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
        _: Request<proto::PruneVolumesRequest>,
    ) -> Result<Response<proto::RemovedVolumes>, Status> {
        let removed = self.control.prune_volumes().await.map_err(|error| status_of(&error))?;
        Ok(Response::new(removed.into()))
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
