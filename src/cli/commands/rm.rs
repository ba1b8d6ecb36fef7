//! `orca rm`: removes what is left of services that do not run.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;

use super::follow::runs;
use super::services;
use crate::api::StackReport;
use crate::cli::context::Context;
use crate::cli::error::{CommandError, Outcome};
use crate::model::TaskStatus;

/// Options of `rm`.
#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// The services, or containers that `run` made; all if none is named
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

/// Runs `rm`. What `run` has made goes first. Services that run are left alone unless `--stop` is
/// given; those that are removed stay away until `up` or `start`.
pub(crate) async fn run(context: &Context, args: RmArgs) -> Outcome<u8> {
    let stack = context.stack()?;
    let client = context.client().await?;
    let report = client.stack(&stack).await?;
    let (beside, rest) = one_offs(&report, &args);
    if !beside.is_empty() {
        let services = beside.iter().map(|task| task.service.clone()).collect();
        client.drop_one_offs(&stack, services).await?;
        let removed =
            |task: &&TaskStatus| context.output.line(format_args!("{}  removed", task.name));
        beside.iter().try_for_each(removed)?;
        if !args.services.is_empty() && rest.is_empty() {
            return Ok(0);
        }
    }
    let args = RmArgs { services: rest, ..args };
    let written = report.status.services.iter().filter(|(_, service)| service.one_off.is_none());
    let known: BTreeMap<_, _> = written.collect();
    if let Some(wrong) = args.services.iter().find(|name| !known.contains_key(*name)) {
        let names: Vec<_> = known.keys().map(|name| name.as_str()).collect();
        let error = CommandError::bad_input(format!("stack {stack} has no service `{wrong}`"));
        return Err(error.with_hint(format!("the services are: {}", names.join(", "))));
    }
    let known: Vec<&String> = known.into_keys().collect();
    let running: BTreeSet<&str> =
        report.status.tasks.iter().filter(|t| runs(t)).map(|t| t.service.as_str()).collect();
    let named = |name: &&String| args.services.is_empty() || args.services.contains(name);
    let (busy, removed): (Vec<_>, Vec<_>) = known
        .iter()
        .copied()
        .filter(named)
        .partition(|name| !args.stop && running.contains(name.as_str()));
    for name in busy.iter().filter(|_| !args.services.is_empty()) {
        context.output.warning(format_args!("{name} runs: it stays; --stop stops it first"));
    }
    if removed.is_empty() && !beside.is_empty() {
        return Ok(0);
    }
    if removed.is_empty() {
        context.output.note("nothing to remove");
        return Ok(0);
    }
    let removed = removed.into_iter().cloned().collect();
    services::down(context, removed, None, true).await
}

/// The containers beside the services that are to go, and the names that mean something else.
fn one_offs<'a>(report: &'a StackReport, args: &RmArgs) -> (Vec<&'a TaskStatus>, Vec<String>) {
    let is = |task: &TaskStatus, name: &String| {
        *name == task.name || *name == task.service || task.one_off.as_ref() == Some(name)
    };
    let named = |task: &&TaskStatus| {
        args.services.is_empty() || args.services.iter().any(|name| is(task, name))
    };
    let tasks = report.status.tasks.iter().filter(|task| task.one_off.is_some());
    let goes = tasks.filter(|task| args.stop || !runs(task)).filter(named);
    let goes: Vec<_> = goes.collect();
    let only_beside = |name: &&String| goes.iter().any(|task| *task.name == **name);
    let rest = args.services.iter().filter(|name| !only_beside(name)).cloned().collect();
    (goes, rest)
}
