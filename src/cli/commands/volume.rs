//! `orca volume …`: the named volumes.

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use crate::api::control::VolumeSummary;
use crate::cli::context::Context;
use crate::cli::error::{CommandError, FAILED, Outcome};
use crate::cli::format;

/// The verbs of `volume`.
#[derive(Debug, Subcommand)]
pub(crate) enum VolumeVerb {
    /// List volumes
    #[command(visible_alias = "list")]
    Ls(LsArgs),
    /// Show all about volumes, in JSON
    Inspect(NamesArgs),
    /// Remove volumes and what is in them
    #[command(visible_alias = "remove")]
    Rm(RmArgs),
    /// Remove volumes that no stack names
    Prune(PruneArgs),
}

/// Options of `volume ls`.
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// Only the names
    #[arg(short, long)]
    quiet: bool,

    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: ListFormat,
}

/// Names of volumes.
#[derive(Debug, Args)]
pub(crate) struct NamesArgs {
    /// The volumes
    #[arg(required = true, value_name = "VOLUME")]
    names: Vec<String>,
}

/// Options of `volume rm`.
#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// The volumes
    #[arg(required = true, value_name = "VOLUME")]
    names: Vec<String>,

    /// Do not mind volumes that are not there
    #[arg(short, long)]
    force: bool,
}

/// Options of `volume prune`.
#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// Accepted for docker: nothing is asked in any case
    #[arg(short, long, hide = true)]
    force: bool,

    /// Accepted for docker: volumes with names are meant in any case
    #[arg(short, long, hide = true)]
    all: bool,
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ListFormat {
    /// A table
    Table,
    /// One JSON object for each volume, a line each
    Json,
}

/// Runs a verb of `volume`.
pub(crate) async fn run(context: &Context, verb: VolumeVerb) -> Outcome<u8> {
    match verb {
        VolumeVerb::Ls(args) => ls(context, &args).await,
        VolumeVerb::Inspect(args) => inspect(context, &args).await,
        VolumeVerb::Rm(args) => rm(context, &args).await,
        VolumeVerb::Prune(_) => prune(context).await,
    }
}

async fn ls(context: &Context, args: &LsArgs) -> Outcome<u8> {
    let volumes = match context.client_if_running().await? {
        Some(client) => client.list_volumes().await?,
        None => Vec::new(),
    };
    let output = context.output;
    if args.quiet {
        volumes.iter().try_for_each(|volume| output.line(&volume.name))?;
    } else if args.format == ListFormat::Json {
        volumes.iter().try_for_each(|volume| output.json(&Row::of(volume)))?;
    } else {
        let cells = |volume: &VolumeSummary| {
            let size = volume.size.map_or("N/A".to_owned(), format::decimal);
            vec![volume.name.clone(), volume.stack.clone(), size, volume.used_by.join(", ")]
        };
        let header = ["VOLUME NAME", "STACK", "SIZE", "USED BY"];
        output.text(&format::table(&header, volumes.iter().map(cells)))?;
    }
    Ok(0)
}

async fn inspect(context: &Context, args: &NamesArgs) -> Outcome<u8> {
    let volumes = context.client().await?.list_volumes().await?;
    let mut rows = Vec::new();
    for name in &args.names {
        match volumes.iter().find(|volume| volume.name == *name) {
            Some(volume) => rows.push(Row::of(volume)),
            None => {
                return Err(CommandError::failed(format!("there is no volume `{name}`"))
                    .with_hint("`orca volume ls` lists the volumes"));
            }
        }
    }
    context.output.pretty_json(&rows)?;
    Ok(0)
}

async fn rm(context: &Context, args: &RmArgs) -> Outcome<u8> {
    let client = context.client().await?;
    let there = client.list_volumes().await?;
    let mut code = 0;
    for name in &args.names {
        if args.force && there.iter().all(|volume| volume.name != *name) {
            continue;
        }
        match client.remove_volume(name).await {
            Ok(()) => context.output.line(name)?,
            Err(error) if error.is_unreachable() => return Err(error.into()),
            Err(error) => {
                context.output.error(&error.into());
                code = FAILED;
            }
        }
    }
    Ok(code)
}

async fn prune(context: &Context) -> Outcome<u8> {
    let removed = context.client().await?.prune_volumes().await?;
    removed.names.iter().try_for_each(|name| context.output.line(name))?;
    context
        .output
        .line(format_args!("Total reclaimed space: {}", format::decimal(removed.freed)))?;
    Ok(0)
}

/// A volume in docker's words.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row<'a> {
    name: &'a str,
    driver: &'static str,
    scope: &'static str,
    mountpoint: String,
    created_at: Option<String>,
    labels: &'a std::collections::BTreeMap<String, String>,
    options: &'a std::collections::BTreeMap<String, String>,
    stack: &'a str,
    used_by: &'a [String],
    size: Option<u64>,
}

impl<'a> Row<'a> {
    fn of(volume: &'a VolumeSummary) -> Self {
        Self {
            name: &volume.name,
            driver: "local",
            scope: "local",
            mountpoint: volume.path.display().to_string(),
            created_at: volume.created.map(format::rfc3339),
            labels: &volume.labels,
            options: &volume.driver_opts,
            stack: &volume.stack,
            used_by: &volume.used_by,
            size: volume.size,
        }
    }
}
