//! `orca ls`: the stacks.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::api::StackReport;
use crate::cli::context::Context;
use crate::cli::error::Outcome;
use crate::cli::format;
use crate::model::StackStatus;

/// Options of `ls`.
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// Accepted for docker compose: all stacks are always listed
    #[arg(short, long, hide = true)]
    all: bool,

    /// Only the names
    #[arg(short, long)]
    quiet: bool,

    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: LsFormat,
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LsFormat {
    /// A table
    Table,
    /// One JSON object for each stack, a line each
    Json,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row<'a> {
    name: &'a str,
    status: String,
    config_files: String,
    generation: u64,
    converged: bool,
    failed: Option<&'a str>,
}

/// Runs `ls`.
pub(crate) async fn run(context: &Context, args: LsArgs) -> Outcome<u8> {
    let reports = match context.client_unless_stopped().await? {
        Some(client) => client.list().await?,
        None => Vec::new(),
    };
    // Of a stack that was only there to run programs nothing may be left but its name.
    let is_there = |report: &StackReport| {
        let status = &report.status;
        !status.services.is_empty() || !status.tasks.is_empty() || status.removing
    };
    let reports: Vec<_> = reports.into_iter().filter(is_there).collect();
    let output = context.output;
    let row = |report: &StackReport| {
        let status = &report.status;
        vec![status.name.clone(), states(status), status.files.join(",")]
    };
    if args.quiet {
        reports.iter().try_for_each(|report| output.line(&report.status.name))?;
    } else if args.format == LsFormat::Json {
        reports.iter().try_for_each(|report| output.json(&json(&report.status)))?;
    } else {
        let header = ["NAME", "STATUS", "CONFIG FILES"];
        output.text(&format::table(&header, reports.iter().map(row)))?;
    }
    Ok(0)
}

fn json(status: &StackStatus) -> Row<'_> {
    Row {
        name: &status.name,
        status: states(status),
        config_files: status.files.join(","),
        generation: status.generation,
        converged: status.converged,
        failed: status.failed.as_deref(),
    }
}

/// `exited(1), running(2)`, and whether it is on its way out.
fn states(status: &StackStatus) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for task in &status.tasks {
        *counts.entry(format::docker_state(task.state)).or_default() += 1;
    }
    let mut states: Vec<_> = counts.iter().map(|(state, n)| format!("{state}({n})")).collect();
    if status.removing {
        states.push("removing".to_owned());
    }
    states.join(", ")
}
