//! The calls of `orca.v1.Images` that go on to a registry.

use futures_util::Stream;

use super::{Client, Reply, values};
use crate::api::control::{CheckLogin, Pull, Push, Resolve, Transfer};
use crate::api::proto;

impl Client {
    /// Gets images from their registries. To drop the stream is to give them up.
    pub async fn pull_images(
        &self,
        pull: Pull,
    ) -> Reply<impl Stream<Item = Reply<Transfer>> + Send + Unpin + use<>> {
        let stream = self.images().pull(proto::PullRequest::from(pull)).await?.into_inner();
        Ok(values(stream, |news| Ok(news.try_into()?)))
    }

    /// Sends images to their registries. To drop the stream is to give them up.
    pub async fn push_images(
        &self,
        push: Push,
    ) -> Reply<impl Stream<Item = Reply<Transfer>> + Send + Unpin + use<>> {
        let stream = self.images().push(proto::PushRequest::from(push)).await?.into_inner();
        Ok(values(stream, |news| Ok(news.try_into()?)))
    }

    /// The full names of images with the digests that their registries give for them now, in the same
    /// order.
    pub async fn resolve_images(&self, resolve: Resolve) -> Reply<Vec<String>> {
        let reply = self.images().resolve(proto::ResolveRequest::from(resolve)).await?;
        Ok(reply.into_inner().references)
    }

    /// Asks a registry whether it accepts a login.
    pub async fn check_login(&self, login: CheckLogin) -> Reply<()> {
        self.images().check_login(proto::CheckLoginRequest::from(login)).await?;
        Ok(())
    }
}
