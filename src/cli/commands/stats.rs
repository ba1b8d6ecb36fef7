//! `orca stats`: what containers use.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;

use clap::{Args, ValueEnum};
use futures_util::StreamExt as _;
use serde::Serialize;

use crate::api::ContainerUsage;
use crate::api::control::Usage;
use crate::cli::context::Context;
use crate::cli::error::{CommandError, Outcome};
use crate::cli::format;

/// Options of `stats`.
#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    /// Services or containers of the stack; all if none is named
    names: Vec<String>,

    /// Of all stacks
    #[arg(short, long, conflicts_with = "names")]
    all: bool,

    /// Once, instead of every second
    #[arg(long)]
    no_stream: bool,

    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: StatsFormat,

    /// Show ids in full
    #[arg(long)]
    no_trunc: bool,
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StatsFormat {
    /// A table
    Table,
    /// One JSON object for each container, a line each
    Json,
}

/// Runs `stats`.
pub(crate) async fn run(context: &Context, args: StatsArgs) -> Outcome<u8> {
    let target = if args.all { None } else { Some(context.target(args.names.clone(), None)?) };
    let client = context.client().await?;
    let mut rounds = client.stats(target, false).await?;
    let show = async {
        let mut before: BTreeMap<String, Usage> = BTreeMap::new();
        let mut first = true;
        while let Some(round) = rounds.next().await {
            let round = round?;
            // How much CPU is used shows only between two looks.
            if !first {
                print(context, &args, &round, &before)?;
                if args.no_stream {
                    return Ok(0);
                }
            }
            first = false;
            before = round.into_iter().map(|of| (of.container, of.usage)).collect();
        }
        Err(CommandError::unreachable("the orca daemon has ended"))
    };
    tokio::select! {
        shown = show => shown,
        interrupt = tokio::signal::ctrl_c() => match interrupt {
            Ok(()) => Ok(0),
            Err(error) => Err(CommandError::io("cannot wait for Ctrl-C", &error)),
        },
    }
}

fn print(
    context: &Context,
    args: &StatsArgs,
    round: &[ContainerUsage],
    before: &BTreeMap<String, Usage>,
) -> Outcome {
    let row = |of: &ContainerUsage| {
        let mut row = Row::of(of, before.get(&of.container));
        if args.no_trunc {
            row.id.clone_from(&of.container);
        }
        row
    };
    let rows: Vec<_> = round.iter().map(row).collect();
    if args.format == StatsFormat::Json {
        return rows.iter().try_for_each(|row| context.output.json(row));
    }
    let header = [
        "CONTAINER ID",
        "NAME",
        "CPU %",
        "MEM USAGE / LIMIT",
        "MEM %",
        "NET I/O",
        "BLOCK I/O",
        "PIDS",
    ];
    let table = format::table(&header, rows.into_iter().map(Row::cells));
    let redraw = !args.no_stream && std::io::stdout().is_terminal() && context.output.style.0;
    // Home, the table, and away with what was below it.
    let table = if redraw { format!("\x1b[H\x1b[2J{table}") } else { table };
    context.output.text(&table)
}

/// A container in docker's words.
#[derive(Debug, Serialize)]
struct Row {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "CPUPerc")]
    cpu: String,
    #[serde(rename = "MemUsage")]
    memory: String,
    #[serde(rename = "MemPerc")]
    memory_share: String,
    #[serde(rename = "NetIO")]
    network: String,
    #[serde(rename = "BlockIO")]
    block: String,
    #[serde(rename = "PIDs")]
    pids: String,
}

impl Row {
    fn of(of: &ContainerUsage, before: Option<&Usage>) -> Self {
        let usage = &of.usage;
        let limit = usage.memory_limit;
        Self {
            id: of.container.chars().take(12).collect(),
            name: of.name.clone(),
            cpu: before.map_or("--".to_owned(), |before| percent(cpu_share(before, usage))),
            memory: format!(
                "{} / {}",
                format::binary(usage.memory),
                limit.map_or("-".to_owned(), format::binary)
            ),
            memory_share: limit
                .map_or("--".to_owned(), |limit| percent(share(usage.memory, limit))),
            network: pair(usage.network_received, usage.network_sent),
            block: pair(usage.block_read, usage.block_written),
            pids: usage.pids.to_string(),
        }
    }

    fn cells(self) -> Vec<String> {
        let Self { id, name, cpu, memory, memory_share, network, block, pids } = self;
        vec![id, name, cpu, memory, memory_share, network, block, pids]
    }
}

/// The CPU time used between two looks, as a share of one CPU.
fn cpu_share(before: &Usage, now: &Usage) -> f64 {
    let wall = now.at.since(before.at).as_secs_f64();
    let cpu = now.cpu.saturating_sub(before.cpu).as_secs_f64();
    if wall > 0.0 { cpu / wall } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "four digits are shown")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn percent(share: f64) -> String {
    format!("{:.2}%", share * 100.0)
}

fn pair(first: u64, second: u64) -> String {
    format!("{} / {}", format::decimal(first), format::decimal(second))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::Boottime;

    #[test]
    fn cpu_is_a_share_of_the_time_between_two_looks() {
        let at = |at, cpu| Usage {
            at: Boottime(Duration::from_millis(at)),
            cpu: Duration::from_millis(cpu),
            ..Usage::default()
        };
        assert_eq!(percent(cpu_share(&at(1000, 100), &at(3000, 1100))), "50.00%");
        assert_eq!(percent(cpu_share(&at(1000, 100), &at(1000, 100))), "0.00%");
    }
}
