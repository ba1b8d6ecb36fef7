//! `orca logs`: what containers wrote.

use clap::Args;
use futures_util::StreamExt as _;

use crate::api::control::LogOptions;
use crate::api::{Client, LogRequest, Target};
use crate::cli::context::Context;
use crate::cli::error::{CommandError, Outcome};
use crate::cli::format;
use crate::cli::log_view::LogView;
use crate::model::Timestamp;
use crate::sys::clock;

/// Options of `logs`.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Services or containers; all if none is named
    names: Vec<String>,

    /// Go on with new lines, until the stack is gone or Ctrl-C
    #[arg(short, long)]
    follow: bool,

    /// Only the last lines of each container: a number, or `all`
    #[arg(short = 'n', long, value_name = "LINES", default_value = "all", value_parser = tail)]
    tail: Tail,

    /// Nothing before this: a date, or how long ago, such as 10m
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,

    /// Nothing from this on: a date, or how long ago, such as 10m
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,

    /// Show when each line was written
    #[arg(short, long)]
    timestamps: bool,

    /// Show lines without the container's name
    #[arg(long)]
    no_log_prefix: bool,

    /// Only the container with this number
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    index: Option<u32>,
}

/// How many lines; all without a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tail(Option<u64>);

fn tail(text: &str) -> Result<Tail, String> {
    if text == "all" {
        return Ok(Tail(None));
    }
    let number = text.parse().map_err(|_| "use a number of lines, or `all`".to_owned())?;
    Ok(Tail(Some(number)))
}

fn moment(text: &str) -> Result<Timestamp, String> {
    format::moment(text, clock::wall())
}

/// Runs `logs`.
pub(crate) async fn run(context: &Context, args: LogsArgs) -> Outcome<u8> {
    let target = context.target(args.names.clone(), args.index)?;
    let client = context.client().await?;
    let view = LogView::new(context.output.style, !args.no_log_prefix, args.timestamps);
    let options =
        LogOptions { tail: args.tail.0, since: args.since, until: args.until, follow: args.follow };
    tokio::select! {
        shown = show(context, &client, view, LogRequest { target, options }) => shown?,
        interrupt = tokio::signal::ctrl_c(), if args.follow => {
            interrupt.map_err(|error| CommandError::io("cannot wait for Ctrl-C", &error))?;
        }
    }
    Ok(0)
}

async fn show(
    context: &Context,
    client: &Client,
    mut view: LogView,
    request: LogRequest,
) -> Outcome {
    expect_names(client, &mut view, &request.target).await?;
    // Many lines are written at once; a single one is not kept waiting.
    let mut batches = client.logs(request).await?.ready_chunks(256);
    while let Some(batch) = batches.next().await {
        let mut text = Vec::new();
        for entry in batch {
            view.render(&entry?, &mut text);
        }
        context.output.bytes(&text)?;
    }
    Ok(())
}

/// Makes room for the names of all containers, so that the first line is in the same column as the
/// rest.
async fn expect_names(client: &Client, view: &mut LogView, target: &Target) -> Outcome {
    let report = client.stack(&target.stack).await?;
    let named = |name: &str, service: &str| {
        target.names.is_empty() || target.names.iter().any(|n| n == name || n == service)
    };
    for task in report.status.tasks.iter().filter(|task| named(&task.name, &task.service)) {
        view.expect(&task.name, &task.stack);
    }
    Ok(())
}
