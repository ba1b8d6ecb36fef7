//! Leads a call to its service, by the first part of its path. (tonic's own router would bring a
//! whole web framework along.)

use std::convert::Infallible;
use std::task::{Context, Poll};

use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service as HttpService, http};

use super::Service;
use crate::api::proto::containers_server::{self, ContainersServer};
use crate::api::proto::events_server::{self, EventsServer};
use crate::api::proto::images_server::{self, ImagesServer};
use crate::api::proto::networks_server::{self, NetworksServer};
use crate::api::proto::stacks_server::{self, StacksServer};
use crate::api::proto::system_server::{self, SystemServer};
use crate::api::proto::volumes_server::{self, VolumesServer};

/// The largest message that is read. Projects with files in them are the largest.
const LARGEST_MESSAGE: usize = 16 << 20;

/// All services.
#[derive(Clone)]
pub(super) struct Router(pub(super) Service);

impl HttpService<http::Request<Body>> for Router {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.0.clone();
        match request.uri().path().split('/').nth(1).unwrap_or_default() {
            stacks_server::SERVICE_NAME => {
                StacksServer::new(service).max_decoding_message_size(LARGEST_MESSAGE).call(request)
            }
            containers_server::SERVICE_NAME => ContainersServer::new(service)
                .max_decoding_message_size(LARGEST_MESSAGE)
                .call(request),
            images_server::SERVICE_NAME => ImagesServer::new(service).call(request),
            volumes_server::SERVICE_NAME => VolumesServer::new(service).call(request),
            networks_server::SERVICE_NAME => NetworksServer::new(service).call(request),
            events_server::SERVICE_NAME => EventsServer::new(service).call(request),
            system_server::SERVICE_NAME => SystemServer::new(service).call(request),
            unknown => {
                let status = Status::unimplemented(format!("there is no service `{unknown}`"));
                Box::pin(std::future::ready(Ok(status.into_http())))
            }
        }
    }
}
