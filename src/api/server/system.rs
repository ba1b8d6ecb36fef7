//! `orca.v1.System`.

use tonic::{Request, Response, Status, async_trait};

use super::stacks::done;
use super::{Service, select};
use crate::api::convert::status_of;
use crate::api::message::{API_VERSION, SystemInfo, Version};
use crate::api::proto;
use crate::api::proto::system_server::System;

/// The version of this program.
const VERSION: &str = env!("CARGO_PKG_VERSION");

#[async_trait]
impl System for Service {
    async fn version(
        &self,
        _: Request<proto::VersionRequest>,
    ) -> Result<Response<proto::VersionReply>, Status> {
        let version = Version { version: VERSION.to_owned(), api: API_VERSION };
        Ok(Response::new(version.into()))
    }

    async fn info(
        &self,
        _: Request<proto::InfoRequest>,
    ) -> Result<Response<proto::InfoReply>, Status> {
        let info = self.control.info().await.map_err(|error| status_of(&error))?;
        let view = self.view();
        let tasks = || view.stacks.values().flat_map(|stack| &stack.tasks);
        let info = SystemInfo {
            version: VERSION.to_owned(),
            info,
            stacks: count(view.stacks.len()),
            containers: count(tasks().filter(|task| task.container.is_some()).count()),
            running: count(tasks().filter_map(select::running_container).count()),
        };
        Ok(Response::new(info.into()))
    }

    async fn disk_usage(
        &self,
        _: Request<proto::DiskUsageRequest>,
    ) -> Result<Response<proto::DiskUsageReply>, Status> {
        let usage = self.control.disk_usage().await.map_err(|error| status_of(&error))?;
        Ok(Response::new(usage.into()))
    }

    async fn stop(
        &self,
        request: Request<proto::StopRequest>,
    ) -> Result<Response<proto::Done>, Status> {
        done(self.control.shut_down(request.into_inner().containers).await)
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
