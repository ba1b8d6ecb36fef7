//! `orca.v1.Images`.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;

use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::oneshot;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Status};

use super::{Client, ClientError, Reply, values};
use crate::api::control::{
    Chunks, ImageDetail, ImageSummary, ImportImage, LoadedImage, PruneImages, RemovedImages,
    SaveImages,
};
use crate::api::convert::all;
use crate::api::proto;
use crate::api::proto::import_request::Request as Import;

impl Client {
    /// Loads an archive of images.
    pub async fn load_images(&self, archive: Chunks) -> Reply<Vec<LoadedImage>> {
        let (chunks, broken) = whole(archive);
        let mut images = self.images();
        let reply = sent(images.load(chunks), broken).await?;
        Ok(reply.try_into()?)
    }

    /// Loads an archive that is open here as a regular file, from where it stands; how far the daemon
    /// has read it can be seen from that. `None` if it cannot take the file: then its bytes must be sent.
    pub async fn load_file(&self, archive: &File) -> Reply<Option<Vec<LoadedImage>>> {
        let descriptor = u32::try_from(archive.as_raw_fd()).unwrap_or(u32::MAX);
        let reply = self.images().load_file(proto::LoadFileRequest { descriptor }).await?;
        let loaded = reply.into_inner().loaded;
        Ok(loaded.map(TryInto::try_into).transpose()?)
    }

    /// Makes an image from a tar of a root file system.
    pub async fn import_image(
        &self,
        header: ImportImage,
        archive: Chunks,
    ) -> Reply<Vec<LoadedImage>> {
        let (chunks, broken) = whole(archive);
        let header = proto::ImportRequest { request: Some(Import::Header(header.into())) };
        let chunks =
            chunks.map(|chunk| proto::ImportRequest { request: Some(Import::Chunk(chunk)) });
        let mut images = self.images();
        let messages = stream::once(std::future::ready(header)).chain(chunks);
        let reply = sent(images.import(messages), broken).await?;
        Ok(reply.try_into()?)
    }

    /// Images as one archive.
    pub async fn save_images(
        &self,
        save: SaveImages,
    ) -> Reply<impl Stream<Item = Reply<Vec<u8>>> + Send + Unpin + use<>> {
        let stream = self.images().save(proto::SaveRequest::from(save)).await?.into_inner();
        Ok(values(stream, |chunk| Ok(chunk.data)))
    }

    /// The images that are kept.
    pub async fn list_images(&self) -> Reply<Vec<ImageSummary>> {
        let reply = self.images().list(proto::ListImagesRequest {}).await?.into_inner();
        Ok(all(reply.images)?)
    }

    /// One image, by reference or id.
    pub async fn image(&self, reference: &str) -> Reply<ImageDetail> {
        let request = proto::ImageRequest { reference: reference.to_owned() };
        Ok(self.images().inspect(request).await?.into_inner().try_into()?)
    }

    /// Removes a reference, and the image with its last reference.
    pub async fn remove_image(&self, reference: &str, force: bool) -> Reply<RemovedImages> {
        let request = proto::RemoveImageRequest { reference: reference.to_owned(), force };
        Ok(self.images().remove(request).await?.into_inner().try_into()?)
    }

    /// Gives an image one more reference.
    pub async fn tag_image(&self, source: &str, target: &str) -> Reply<()> {
        let (source, target) = (source.to_owned(), target.to_owned());
        self.images().tag(proto::TagRequest { source, target }).await?;
        Ok(())
    }

    /// Removes images that nothing needs.
    pub async fn prune_images(&self, prune: PruneImages) -> Reply<RemovedImages> {
        let reply = self.images().prune(proto::PruneImagesRequest::from(prune)).await?;
        Ok(reply.into_inner().try_into()?)
    }
}

/// The chunks up to the first error, then the sign that they are all. After an error the stream
/// never ends; the error itself arrives in the second part.
pub(super) fn whole(
    chunks: Chunks,
) -> (impl Stream<Item = proto::Chunk> + Send + 'static, oneshot::Receiver<io::Error>) {
    let (breaks, broken) = oneshot::channel();
    let mut breaks = Some(breaks);
    let stream = ReceiverStream::new(chunks).then(move |chunk| {
        let chunk = chunk.map_err(|error| {
            if let Some(breaks) = breaks.take() {
                // Nobody listens any more if the call is over.
                let _unheard = breaks.send(error);
            }
        });
        async move {
            match chunk {
                Ok(data) => proto::Chunk { data, last: false },
                Err(()) => std::future::pending().await,
            }
        }
    });
    let end = proto::Chunk { data: Vec::new(), last: true };
    (stream.chain(stream::once(std::future::ready(end))), broken)
}

/// The reply to a call, unless what it sends breaks first: then the call is given up.
pub(super) async fn sent<T>(
    call: impl Future<Output = Result<Response<T>, Status>>,
    broken: oneshot::Receiver<io::Error>,
) -> Reply<T> {
    let break_of = async {
        match broken.await {
            Ok(error) => error,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        reply = call => Ok(reply?.into_inner()),
        error = break_of => Err(ClientError::Unreadable(error)),
    }
}
