//! `orca volume …`: the named volumes.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::image::archive;
use crate::api::control::{CreateVolume, PruneVolumes, VolumeSummary};
use crate::cli::context::Context;
use crate::cli::error::{CommandError, FAILED, Outcome};
use crate::cli::filter::{self, Filter};
use crate::cli::format::{self, Layout};

/// The verbs of `volume`.
#[derive(Debug, Subcommand)]
pub(crate) enum VolumeVerb {
    /// List volumes
    #[command(visible_alias = "list")]
    Ls(LsArgs),
    /// Show all about volumes, in JSON
    Inspect(InspectArgs),
    /// Remove volumes and what is in them
    #[command(visible_alias = "remove")]
    Rm(RmArgs),
    /// Remove volumes that nothing uses and nobody named; with -a those with names too
    Prune(PruneArgs),
    /// Make a volume
    #[command(after_help = "Examples:\n  \
        orca volume create data\n  \
        orca volume create --opt type=tmpfs --opt o=size=64m scratch")]
    Create(CreateArgs),
    /// Write the files of a volume as a tar
    #[command(after_help = "Examples:\n  \
        orca volume export shop_data -o data.tar\n  \
        orca volume export shop_data | zstd > data.tar.zst")]
    Export(ExportArgs),
    /// Put the files of a tar into a volume, over what is there
    ///
    /// Plain, gzip and zstd. Files that are not in the tar stay.
    #[command(after_help = "Examples:\n  \
        orca volume import shop_data data.tar\n  \
        ssh old orca volume export shop_data | orca volume import shop_data")]
    Import(ImportArgs),
}

/// Options of `volume ls`.
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// Only the names
    #[arg(short, long)]
    quiet: bool,

    /// Only volumes that fit: dangling=true, name=TEXT, label=KEY[=VALUE], driver=local; can be given
    /// more than once
    #[arg(short, long, value_name = "FILTER", value_parser = filter::filter)]
    filter: Vec<Filter>,

    /// How to print: table, json, or a template such as '{{.Name}}'
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = format::layout)]
    format: Layout,
}

/// Options of `volume inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// The volumes
    #[arg(required = true, value_name = "VOLUME")]
    names: Vec<String>,

    /// A template such as '{{.Mountpoint}}' instead of JSON
    #[arg(short, long, value_name = "FORMAT", value_parser = format::layout)]
    format: Option<Layout>,
}

/// Options of `volume create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Its name [default: one is made up]
    #[arg(value_name = "VOLUME")]
    name: Option<String>,

    /// Who keeps it: `local` is the only one
    #[arg(short, long, value_name = "DRIVER", default_value = "local")]
    driver: String,

    /// An option of the driver: type, o, device, size; can be given more than once
    #[arg(short, long = "opt", value_name = "KEY=VALUE", value_parser = pair)]
    opts: Vec<(String, String)>,

    /// A label; can be given more than once
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
}

/// Options of `volume export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The volume
    #[arg(value_name = "VOLUME")]
    name: String,

    /// The tar [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Options of `volume import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The volume
    #[arg(value_name = "VOLUME")]
    name: String,

    /// The tar; `-` is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
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

    /// Also volumes with names that no stack has in its file
    #[arg(short, long)]
    all: bool,

    /// Only volumes that fit: label=KEY[=VALUE], label!=KEY[=VALUE]; can be given more than once
    #[arg(long, value_name = "FILTER", value_parser = filter::filter)]
    filter: Vec<Filter>,
}

/// Runs a verb of `volume`.
pub(crate) async fn run(context: &Context, verb: VolumeVerb) -> Outcome<u8> {
    match verb {
        VolumeVerb::Ls(args) => ls(context, &args).await,
        VolumeVerb::Inspect(args) => inspect(context, &args).await,
        VolumeVerb::Rm(args) => rm(context, &args).await,
        VolumeVerb::Prune(args) => prune(context, &args).await,
        VolumeVerb::Create(args) => create(context, args).await,
        VolumeVerb::Export(args) => export(context, &args).await,
        VolumeVerb::Import(args) => import(context, &args).await,
    }
}

async fn ls(context: &Context, args: &LsArgs) -> Outcome<u8> {
    let volumes = match context.client_unless_stopped().await? {
        Some(client) => client.list_volumes().await?,
        None => Vec::new(),
    };
    let volumes = fitting(volumes, &args.filter)?;
    let output = context.output;
    if args.quiet {
        volumes.iter().try_for_each(|volume| output.line(&volume.name))?;
        return Ok(0);
    }
    match &args.format {
        Layout::Json => volumes.iter().try_for_each(|volume| output.json(&Row::of(volume)))?,
        Layout::Template(template) => output.rows(template, volumes.iter().map(Row::of))?,
        Layout::Table => {
            let cells = |volume: &VolumeSummary| {
                let (name, stack) = (volume.name.clone(), volume.stack.clone());
                vec!["local".to_owned(), name, stack, volume.used_by.join(", ")]
            };
            let header = ["DRIVER", "VOLUME NAME", "STACK", "USED BY"];
            output.text(&format::table(&header, volumes.iter().map(cells)))?;
        }
    }
    Ok(0)
}

/// The volumes that fit all filters.
fn fitting(mut volumes: Vec<VolumeSummary>, filters: &[Filter]) -> Outcome<Vec<VolumeSummary>> {
    let mut rest = Vec::new();
    for filter in filters {
        match filter.key.as_str() {
            "dangling" => {
                let wanted = filter.truth()?;
                volumes.retain(|volume| volume.used_by.is_empty() == wanted);
            }
            "name" => volumes.retain(|volume| volume.name.contains(&filter.value)),
            "driver" => volumes.retain(|_| filter.value == "local"),
            "label" => rest.push(filter.clone()),
            _ => return Err(filter::unknown(filter, "dangling, name, label and driver")),
        }
    }
    let labels = filter::prune(&rest, false)?;
    volumes.retain(|volume| labels.fits(volume.created, &volume.labels));
    Ok(volumes)
}

async fn inspect(context: &Context, args: &InspectArgs) -> Outcome<u8> {
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
    match &args.format {
        None | Some(Layout::Table) => context.output.pretty_json(&rows)?,
        Some(Layout::Json) => context.output.json(&rows)?,
        Some(Layout::Template(template)) => context.output.rows(template, rows)?,
    }
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

async fn prune(context: &Context, args: &PruneArgs) -> Outcome<u8> {
    let prune = PruneVolumes { all: args.all, filter: filter::prune(&args.filter, false)? };
    let removed = context.client().await?.prune_volumes(prune).await?;
    removed.names.iter().try_for_each(|name| context.output.line(name))?;
    context
        .output
        .line(format_args!("Total reclaimed space: {}", format::decimal(removed.freed)))?;
    Ok(0)
}

async fn create(context: &Context, args: CreateArgs) -> Outcome<u8> {
    if args.driver != "local" {
        let message = format!("there is no volume driver `{}`: volumes are `local`", args.driver);
        return Err(CommandError::bad_input(message));
    }
    let volume = CreateVolume {
        name: args.name.unwrap_or_default(),
        driver_opts: args.opts.into_iter().collect(),
        labels: args.labels.into_iter().collect(),
    };
    let made = context.client_or_start().await?.create_volume(volume).await?;
    context.output.line(made.name)?;
    Ok(0)
}

async fn export(context: &Context, args: &ExportArgs) -> Outcome<u8> {
    archive::writable(args.output.as_deref())?;
    let chunks = context.client().await?.export_volume(&args.name).await?;
    archive::write_to(args.output.as_deref(), chunks).await?;
    Ok(0)
}

async fn import(context: &Context, args: &ImportArgs) -> Outcome<u8> {
    let file = (args.file != Path::new("-")).then_some(args.file.as_path());
    let archive = archive::read(file)?;
    let imported = context.client().await?.import_volume(&args.name, archive).await;
    imported.map_err(|error| archive::unreadable(error, file))?;
    Ok(0)
}

/// Reads `key=value`.
fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not of the form KEY=VALUE")),
    }
}

/// Reads `key=value`, or a key alone.
fn label(text: &str) -> Result<(String, String), String> {
    if text.contains('=') { pair(text) } else { Ok((text.to_owned(), String::new())) }
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
