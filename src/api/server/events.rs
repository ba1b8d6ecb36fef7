//! `orca.v1.Events`.

use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::StreamExt as _;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tonic::{Request, Response, Status, async_trait};

use super::{Answers, Service};
use crate::api::convert::time;
use crate::api::message::Event;
use crate::api::proto;
use crate::api::proto::events_server::Events;
use crate::model::Timestamp;

#[async_trait]
impl Events for Service {
    type WatchStream = Answers<proto::Event>;

    async fn watch(
        &self,
        request: Request<proto::EventsRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let request = request.into_inner();
        let (past, coming) = self.control.events(request.since_nanos.map(time));
        let until = request.until_nanos.map(time);
        let coming = BroadcastStream::new(coming).take_until(at(until));
        let events = futures_util::stream::iter(past.into_iter().map(Ok)).chain(coming);
        let answers = events.filter_map(move |event| {
            let is_early = |event: &Event| until.is_none_or(|until| event.time < until);
            let event = match event {
                Ok(event) => (is_early(&event) && is_asked_for(&event, &request)).then_some(event),
                Err(BroadcastStreamRecvError::Lagged(count)) => Some(skipped(count)),
            };
            std::future::ready(event.map(|event| Ok(event.into())))
        });
        Ok(Response::new(self.answers(answers)))
    }
}

/// Waits until that time; for ever if there is none.
async fn at(until: Option<Timestamp>) {
    match until {
        Some(until) => {
            // A clock before the epoch is as early as any.
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            tokio::time::sleep(until.0.saturating_sub(now)).await;
        }
        None => std::future::pending().await,
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
        time: Timestamp::default(),
        action: "skipped".to_owned(),
        stack: String::new(),
        service: None,
        container: None,
        attributes: [("count".to_owned(), count.to_string())].into(),
    }
}
