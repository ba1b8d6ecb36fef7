//! The calls of `orca.v1.Images` that go on to a registry.

use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Status};

use super::{Answers, Service};
use crate::api::control::{Answer, ControlError, Pull, Push, Transfers};
use crate::api::convert::status_of;
use crate::api::proto;

/// The most images of one call.
const MOST: usize = 10_000;

impl Service {
    pub(super) async fn pull_images(
        &self,
        request: proto::PullRequest,
    ) -> Result<Response<Answers<proto::TransferReply>>, Status> {
        few(request.images.len())?;
        let transfers = self.control.pull_images(Pull::try_from(request)?).await;
        self.transfers(transfers)
    }

    pub(super) async fn push_images(
        &self,
        request: proto::PushRequest,
    ) -> Result<Response<Answers<proto::TransferReply>>, Status> {
        few(request.references.len())?;
        let transfers = self.control.push_images(Push::try_from(request)?).await;
        self.transfers(transfers)
    }

    pub(super) async fn resolve_references(
        &self,
        request: proto::ResolveRequest,
    ) -> Result<Response<proto::ResolveReply>, Status> {
        few(request.references.len())?;
        let references = self.control.resolve_images(request.into()).await;
        let references = references.map_err(|error| status_of(&error))?;
        Ok(Response::new(proto::ResolveReply { references }))
    }

    fn transfers(
        &self,
        transfers: Answer<Transfers>,
    ) -> Result<Response<Answers<proto::TransferReply>>, Status> {
        let transfers = transfers.map_err(|error| status_of(&error))?;
        let news = ReceiverStream::new(transfers).map(|news| Ok(news.into()));
        Ok(Response::new(self.answers(news)))
    }
}

fn few(images: usize) -> Result<(), Status> {
    if images > MOST {
        let message = format!("{images} images are too many for one call: the most is {MOST}");
        return Err(status_of(&ControlError::invalid_input(message)));
    }
    Ok(())
}
