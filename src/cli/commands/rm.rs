//! `orca rm`: removes what is left of services that do not run.

use std::collections::BTreeSet;

use clap::Args;

use super::follow::runs;
use super::services;
use crate::cli::context::Context;
use crate::cli::error::{CommandError, Outcome};

/// Options of `rm`.
#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// The services; all if none is named
    services: Vec<String>,

    /// Stop the services first
    #[arg(short, long)]
    stop: bool,

    /// Accepted for docker compose: orca never asks
    #[arg(long, hide = true)]
    force: bool,

    /// Accepted for docker compose: anonymous volumes go with their container in any case
    #[arg(short, long, hide = true)]
    volumes: bool,
}

/// Runs `rm`. Services that run are left alone unless `--stop` is given; those that are removed stay
/// away until `up` or `start`.
pub(crate) async fn run(context: &Context, args: RmArgs) -> Outcome<u8> {
    let stack = context.stack()?;
    let report = context.client().await?.stack(&stack).await?;
    let known = &report.status.services;
    if let Some(wrong) = args.services.iter().find(|name| !known.contains_key(*name)) {
        let names: Vec<_> = known.keys().map(String::as_str).collect();
        let error = CommandError::bad_input(format!("stack {stack} has no service `{wrong}`"));
        return Err(error.with_hint(format!("the services are: {}", names.join(", "))));
    }
    let running: BTreeSet<&str> =
        report.status.tasks.iter().filter(|t| runs(t)).map(|t| t.service.as_str()).collect();
    let named = |name: &&String| args.services.is_empty() || args.services.contains(name);
    let (busy, removed): (Vec<_>, Vec<_>) =
        known.keys().filter(named).partition(|name| !args.stop && running.contains(name.as_str()));
    for name in busy.iter().filter(|_| !args.services.is_empty()) {
        context.output.warning(format_args!("{name} runs: it stays; --stop stops it first"));
    }
    if removed.is_empty() {
        context.output.note("nothing to remove");
        return Ok(0);
    }
    let removed = removed.into_iter().cloned().collect();
    services::down(context, removed, None, true).await
}
