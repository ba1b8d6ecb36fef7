//! `orca.v1.Volumes`, `Networks`, `Events` and `System`.

use futures_util::{Stream, StreamExt as _, stream};

use super::images::{sent, whole};
use super::{Client, Reply, values};
use crate::api::control::{
    Chunks, CreateVolume, DiskUsage, PruneVolumes, RemovedVolumes, VolumeSummary,
};
use crate::api::convert::{all, each, time_nanos};
use crate::api::message::{Event, NetworkSummary, Period, SystemInfo, Version};
use crate::api::proto;
use crate::api::proto::import_volume_request::Request as Import;

impl Client {
    /// The named volumes.
    pub async fn list_volumes(&self) -> Reply<Vec<VolumeSummary>> {
        let reply = self.volumes().list(proto::ListVolumesRequest {}).await?;
        Ok(each(reply.into_inner().volumes))
    }

    /// Removes a volume and what is in it.
    pub async fn remove_volume(&self, name: &str) -> Reply<()> {
        self.volumes().remove(proto::VolumeRequest { name: name.to_owned() }).await?;
        Ok(())
    }

    /// Removes volumes that no stack names.
    pub async fn prune_volumes(&self, prune: PruneVolumes) -> Reply<RemovedVolumes> {
        let request = proto::PruneVolumesRequest::from(prune);
        Ok(self.volumes().prune(request).await?.into_inner().into())
    }

    /// Makes a volume.
    pub async fn create_volume(&self, volume: CreateVolume) -> Reply<VolumeSummary> {
        let request = proto::CreateVolumeRequest::from(volume);
        Ok(self.volumes().create(request).await?.into_inner().into())
    }

    /// The files of a volume as a tar.
    pub async fn export_volume(
        &self,
        name: &str,
    ) -> Reply<impl Stream<Item = Reply<Vec<u8>>> + Send + Unpin + use<>> {
        let request = proto::VolumeRequest { name: name.to_owned() };
        let stream = self.volumes().export(request).await?.into_inner();
        Ok(values(stream, |chunk| Ok(chunk.data)))
    }

    /// Puts the files of a tar into a volume.
    pub async fn import_volume(&self, name: &str, archive: Chunks) -> Reply<()> {
        let (chunks, broken) = whole(archive);
        let name = proto::ImportVolumeRequest { request: Some(Import::Name(name.to_owned())) };
        let chunks =
            chunks.map(|chunk| proto::ImportVolumeRequest { request: Some(Import::Chunk(chunk)) });
        let messages = stream::once(std::future::ready(name)).chain(chunks);
        let mut volumes = self.volumes();
        sent(volumes.import(messages), broken).await?;
        Ok(())
    }

    /// The networks that have addresses.
    pub async fn list_networks(&self) -> Reply<Vec<NetworkSummary>> {
        let reply = self.networks().list(proto::ListNetworksRequest {}).await?;
        Ok(all(reply.into_inner().networks)?)
    }

    /// What happens from now on, and what happened in the period before, as far as that is kept: in one
    /// stack, or everywhere; to some services, or to all. Ends with the period, if that has an end.
    pub async fn events(
        &self,
        stack: Option<&str>,
        services: &[String],
        period: Period,
    ) -> Reply<impl Stream<Item = Reply<Event>> + Send + Unpin + use<>> {
        let stack = stack.unwrap_or_default().to_owned();
        let request = proto::EventsRequest {
            stack,
            services: services.to_vec(),
            since_nanos: period.since.map(time_nanos),
            until_nanos: period.until.map(time_nanos),
        };
        let stream = self.events_service().watch(request).await?.into_inner();
        Ok(values(stream, |event| Ok(event.try_into()?)))
    }

    /// The daemon's version.
    pub async fn version(&self) -> Reply<Version> {
        Ok(self.system().version(proto::VersionRequest {}).await?.into_inner().into())
    }

    /// What the daemon and its host are.
    pub async fn info(&self) -> Reply<SystemInfo> {
        Ok(self.system().info(proto::InfoRequest {}).await?.into_inner().into())
    }

    /// What takes space on disk.
    pub async fn disk_usage(&self) -> Reply<DiskUsage> {
        Ok(self.system().disk_usage(proto::DiskUsageRequest {}).await?.into_inner().try_into()?)
    }

    /// Ends the daemon; its containers too with `containers`.
    pub async fn shut_down(&self, containers: bool) -> Reply<()> {
        self.system().stop(proto::StopRequest { containers }).await?;
        Ok(())
    }
}
