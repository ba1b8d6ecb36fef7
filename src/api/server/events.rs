//! `orca.v1.Events`.

use futures_util::StreamExt as _;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tonic::{Request, Response, Status, async_trait};

use super::{Answers, Service};
use crate::api::message::Event;
use crate::api::proto;
use crate::api::proto::events_server::Events;

#[async_trait]
impl Events for Service {
    type WatchStream = Answers<proto::Event>;

    async fn watch(
        &self,
        request: Request<proto::EventsRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let request = request.into_inner();
        let events = BroadcastStream::new(self.control.events());
        let answers = events.filter_map(move |event| {
            let event = match event {
                Ok(event) => is_asked_for(&event, &request).then_some(event),
                Err(BroadcastStreamRecvError::Lagged(count)) => Some(skipped(count)),
            };
            std::future::ready(event.map(|event| Ok(event.into())))
        });
        Ok(Response::new(self.answers(answers)))
    }
}

fn is_asked_for(event: &Event, request: &proto::EventsRequest) -> bool {
    let stack = request.stack.is_empty() || event.stack == request.stack;
    let service = || event.service.as_ref().is_some_and(|name| request.services.contains(name));
    stack && (request.services.is_empty() || service())
}

/// Stands in for events that a slow caller missed.
fn skipped(count: u64) -> Event {
    Event {
        time: crate::model::Timestamp::default(),
        action: "skipped".to_owned(),
        stack: String::new(),
        service: None,
        container: None,
        attributes: [("count".to_owned(), count.to_string())].into(),
    }
}
