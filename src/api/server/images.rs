//! `orca.v1.Images`.

use std::io;

use futures_util::{Stream, StreamExt as _};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::stacks::done;
use super::{Answers, Service, peer};
use crate::api::control::{CheckLogin, Chunks, ControlError, ImportImage};
use crate::api::convert::{each, status_of};
use crate::api::proto;
use crate::api::proto::images_server::Images;
use crate::api::proto::import_request::Request as Import;

/// How many chunks of an archive wait before the sender has to.
const CHUNKS: usize = 16;

#[async_trait]
impl Images for Service {
    async fn load(
        &self,
        request: Request<Streaming<proto::Chunk>>,
    ) -> Result<Response<proto::LoadReply>, Status> {
        let chunks = received(request.into_inner(), Some);
        let images = self.control.load_images(chunks).await.map_err(|error| status_of(&error))?;
        Ok(Response::new(images.into()))
    }

    async fn load_file(
        &self,
        request: Request<proto::LoadFileRequest>,
    ) -> Result<Response<proto::LoadFileReply>, Status> {
        let file = peer::file_of(&request, request.get_ref().descriptor);
        let Some(file) = file else {
            return Ok(Response::new(proto::LoadFileReply { loaded: None }));
        };
        let images = self.control.load_file(file).await.map_err(|error| status_of(&error))?;
        Ok(Response::new(proto::LoadFileReply { loaded: Some(images.into()) }))
    }

    async fn import(
        &self,
        request: Request<Streaming<proto::ImportRequest>>,
    ) -> Result<Response<proto::LoadReply>, Status> {
        let mut requests = request.into_inner();
        let first = requests.message().await?.and_then(|message| message.request);
        let Some(Import::Header(header)) = first else {
            let error = ControlError::invalid_input("the first message must be the header");
            return Err(status_of(&error));
        };
        let header = ImportImage::try_from(header)?;
        let chunks = received(requests, |message| match message.request {
            Some(Import::Chunk(chunk)) => Some(chunk),
            _ => None,
        });
        let image = self.control.import_image(header, chunks).await;
        let image = image.map_err(|error| status_of(&error))?;
        Ok(Response::new(vec![image].into()))
    }

    type SaveStream = Answers<proto::Chunk>;

    async fn save(
        &self,
        request: Request<proto::SaveRequest>,
    ) -> Result<Response<Self::SaveStream>, Status> {
        let chunks = self.control.save_images(request.into_inner().into()).await;
        let chunks = chunks.map_err(|error| status_of(&error))?;
        Ok(Response::new(self.answers(sent(chunks, "the images"))))
    }

    type PullStream = Answers<proto::TransferReply>;

    async fn pull(
        &self,
        request: Request<proto::PullRequest>,
    ) -> Result<Response<Self::PullStream>, Status> {
        self.pull_images(request.into_inner()).await
    }

    type PushStream = Answers<proto::TransferReply>;

    async fn push(
        &self,
        request: Request<proto::PushRequest>,
    ) -> Result<Response<Self::PushStream>, Status> {
        self.push_images(request.into_inner()).await
    }

    async fn resolve(
        &self,
        request: Request<proto::ResolveRequest>,
    ) -> Result<Response<proto::ResolveReply>, Status> {
        self.resolve_references(request.into_inner()).await
    }

    async fn check_login(
        &self,
        request: Request<proto::CheckLoginRequest>,
    ) -> Result<Response<proto::Done>, Status> {
        let request = CheckLogin::try_from(request.into_inner())?;
        done(self.control.check_login(request).await)
    }

    async fn list(
        &self,
        _: Request<proto::ListImagesRequest>,
    ) -> Result<Response<proto::ListImagesReply>, Status> {
        let images = self.control.images().await.map_err(|error| status_of(&error))?;
        Ok(Response::new(proto::ListImagesReply { images: each(images) }))
    }

    async fn inspect(
        &self,
        request: Request<proto::ImageRequest>,
    ) -> Result<Response<proto::ImageDetail>, Status> {
        let image = self.control.image(&request.into_inner().reference).await;
        Ok(Response::new(image.map_err(|error| status_of(&error))?.into()))
    }

    async fn remove(
        &self,
        request: Request<proto::RemoveImageRequest>,
    ) -> Result<Response<proto::RemovedImages>, Status> {
        let proto::RemoveImageRequest { reference, force } = request.into_inner();
        let removed = self.control.remove_image(&reference, force).await;
        Ok(Response::new(removed.map_err(|error| status_of(&error))?.into()))
    }

    async fn tag(
        &self,
        request: Request<proto::TagRequest>,
    ) -> Result<Response<proto::Done>, Status> {
        let proto::TagRequest { source, target } = request.into_inner();
        done(self.control.tag_image(&source, &target).await)
    }

    async fn prune(
        &self,
        request: Request<proto::PruneImagesRequest>,
    ) -> Result<Response<proto::RemovedImages>, Status> {
        let removed = self.control.prune_images(request.into_inner().into()).await;
        Ok(Response::new(removed.map_err(|error| status_of(&error))?.into()))
    }
}

/// The bytes of `what`, on their way to a caller.
pub(super) fn sent(
    chunks: Chunks,
    what: &'static str,
) -> impl Stream<Item = Result<proto::Chunk, Status>> + Send + 'static {
    ReceiverStream::new(chunks).map(move |chunk| match chunk {
        Ok(data) => Ok(proto::Chunk { data, last: false }),
        Err(error) => {
            let message = format!("cannot read {what}: {error}");
            Err(status_of(&ControlError::internal(message)))
        }
    })
}

/// The bytes that a caller sends, for a reader that may be slower or end early.
pub(super) fn received<M: Send + 'static>(
    mut messages: Streaming<M>,
    chunk_of: impl Fn(M) -> Option<proto::Chunk> + Send + 'static,
) -> Chunks {
    let (sender, chunks) = mpsc::channel(CHUNKS);
    tokio::spawn(async move {
        loop {
            // A caller that goes away looks like one that has said all: only `last` is the end.
            let message = messages.message().await.unwrap_or_default();
            let Some(chunk) = message.and_then(&chunk_of) else {
                let broken = io::Error::other("the data broke off");
                // The reader may have failed for a reason of its own.
                let _over = sender.send(Err(broken)).await.is_err();
                return;
            };
            if sender.send(Ok(chunk.data)).await.is_err() || chunk.last {
                return;
            }
        }
    });
    chunks
}
