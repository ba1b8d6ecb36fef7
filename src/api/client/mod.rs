//! Asks the daemon, in plain values.

mod connect;
mod containers;
mod error;
mod images;
mod others;
mod registries;
mod stacks;

use futures_util::Stream;
use tonic::Streaming;
use tonic::transport::Channel;

pub use containers::ClientSession;
pub use error::ClientError;

use super::proto::containers_client::ContainersClient;
use super::proto::events_client::EventsClient;
use super::proto::images_client::ImagesClient;
use super::proto::networks_client::NetworksClient;
use super::proto::stacks_client::StacksClient;
use super::proto::system_client::SystemClient;
use super::proto::volumes_client::VolumesClient;

/// What a call gives back.
pub type Reply<T> = Result<T, ClientError>;

/// The largest message that is read: the status of a stack of thousands of containers.
const LARGEST_MESSAGE: usize = 64 << 20;

/// A connection to a daemon. Cheap to clone; connects again by itself when the daemon was restarted.
#[derive(Debug, Clone)]
pub struct Client {
    channel: Channel,
}

impl Client {
    fn stacks(&self) -> StacksClient<Channel> {
        StacksClient::new(self.channel.clone()).max_decoding_message_size(LARGEST_MESSAGE)
    }

    fn containers(&self) -> ContainersClient<Channel> {
        ContainersClient::new(self.channel.clone()).max_decoding_message_size(LARGEST_MESSAGE)
    }

    fn images(&self) -> ImagesClient<Channel> {
        ImagesClient::new(self.channel.clone()).max_decoding_message_size(LARGEST_MESSAGE)
    }

    fn volumes(&self) -> VolumesClient<Channel> {
        VolumesClient::new(self.channel.clone())
    }

    fn networks(&self) -> NetworksClient<Channel> {
        NetworksClient::new(self.channel.clone())
    }

    fn events_service(&self) -> EventsClient<Channel> {
        EventsClient::new(self.channel.clone())
    }

    fn system(&self) -> SystemClient<Channel> {
        SystemClient::new(self.channel.clone())
    }
}

/// The messages of a stream as values, until it ends or breaks.
fn values<M, T>(
    stream: Streaming<M>,
    value: impl Fn(M) -> Reply<T> + Send + 'static,
) -> impl Stream<Item = Reply<T>> + Send + Unpin + 'static
where
    M: Send + 'static,
    T: Send + 'static,
{
    use futures_util::StreamExt as _;
    stream.map(move |message| value(message?))
}
