//! `orca events`: what happens from now on.

use clap::Args;
use futures_util::StreamExt as _;
use serde::Serialize;

use crate::api::{Event, Period};
use crate::cli::context::Context;
use crate::cli::error::{CommandError, Outcome};
use crate::cli::format;
use crate::model::{ContainerId, Timestamp};
use crate::sys::clock;

/// Options of `events`.
#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// Only of these services
    services: Vec<String>,

    /// One JSON object for each event, a line each
    #[arg(long)]
    json: bool,

    /// Of all stacks
    #[arg(short, long)]
    all: bool,

    /// What happened since then too, as far as it is kept: a date, or how long ago, such as 10m
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,

    /// Nothing from this on: a date, or how long ago, such as 10m
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
}

fn moment(text: &str) -> Result<Timestamp, String> {
    format::moment(text, clock::wall())
}

/// Runs `events`, until Ctrl-C or the end of the period.
pub(crate) async fn run(context: &Context, args: EventsArgs) -> Outcome<u8> {
    let stack = if args.all { None } else { Some(context.stack()?) };
    let period = Period { since: args.since, until: args.until };
    let client = context.client().await?;
    let mut events = client.events(stack.as_deref(), &args.services, period).await?;
    let show = async {
        while let Some(event) = events.next().await {
            print(context, &event?, args.json)?;
        }
        match args.until {
            Some(until) if until <= clock::wall() => Ok(0),
            _ => Err(CommandError::unreachable("the orca daemon has ended")),
        }
    };
    tokio::select! {
        shown = show => shown,
        interrupt = tokio::signal::ctrl_c() => match interrupt {
            Ok(()) => Ok(0),
            Err(error) => Err(CommandError::io("cannot wait for Ctrl-C", &error)),
        },
    }
}

fn print(context: &Context, event: &Event, json: bool) -> Outcome {
    if json { context.output.json(&Row::of(event)) } else { context.output.line(line(event)) }
}

/// As docker compose writes it in JSON, with the stack beside it.
#[derive(Debug, Serialize)]
struct Row<'a> {
    time: String,
    #[serde(rename = "type")]
    kind: &'static str,
    action: &'a str,
    id: Option<&'a str>,
    service: Option<&'a str>,
    project: &'a str,
    attributes: &'a std::collections::BTreeMap<String, String>,
}

impl<'a> Row<'a> {
    fn of(event: &'a Event) -> Self {
        Self {
            time: format::rfc3339(event.time),
            kind: kind(event),
            action: &event.action,
            id: event.container.as_ref().map(ContainerId::as_str),
            service: event.service.as_deref(),
            project: &event.stack,
            attributes: &event.attributes,
        }
    }
}

/// What it is about.
fn kind(event: &Event) -> &'static str {
    match (&event.container, &event.service) {
        (Some(_), _) => "container",
        (None, Some(_)) => "service",
        (None, None) => "stack",
    }
}

/// `2026-01-02T03:04:05Z container start 0123456789ab (image=nginx, name=shop-web-1)`.
fn line(event: &Event) -> String {
    let what = match (&event.container, &event.service) {
        (Some(container), _) => container.short(),
        (None, Some(service)) => service,
        (None, None) => &event.stack,
    };
    let time = format::rfc3339(event.time);
    let mut line = format!("{time} {} {} {what}", kind(event), event.action);
    if !event.attributes.is_empty() {
        let attributes = event.attributes.iter().map(|(key, value)| format!("{key}={value}"));
        line = format!("{line} ({})", attributes.collect::<Vec<_>>().join(", "));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::AttemptId;

    #[test]
    fn an_event_is_a_line_with_its_attributes() {
        let container = ContainerId::of("store", AttemptId::default());
        let mut event = Event {
            time: Timestamp(std::time::Duration::from_millis(1500)),
            action: "die".to_owned(),
            stack: "shop".to_owned(),
            service: Some("web".to_owned()),
            container: Some(container.clone()),
            attributes: [("exitCode".to_owned(), "1".to_owned())].into(),
        };
        let short = container.short();
        let expected = format!("1970-01-01T00:00:01.500000000Z container die {short} (exitCode=1)");
        assert_eq!(line(&event), expected);
        event.container = None;
        event.service = None;
        event.attributes.clear();
        assert_eq!(line(&event), "1970-01-01T00:00:01.500000000Z stack die shop");
    }
}
