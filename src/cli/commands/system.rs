//! `orca system …`: the daemon itself.

mod disk;

use std::path::Path;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use super::daemon::size;
use super::image::told;
use crate::api::SystemInfo;
use crate::api::control::{DiskUsage, PruneImages, PruneVolumes, Space};
use crate::cli::context::Context;
use crate::cli::error::{CommandError, Outcome};
use crate::cli::filter::{self, Filter};
use crate::cli::format::{self, Layout};

/// How long a daemon may take to end once it is asked; stopping containers is not counted.
const PATIENCE: Duration = Duration::from_secs(30);

/// The verbs of `system`.
#[derive(Debug, Subcommand)]
pub(crate) enum SystemVerb {
    /// Stop the daemon; containers go on
    ///
    /// Containers, published ports, names and logs do not need the daemon. The next command that
    /// needs one starts it again.
    Stop(StopArgs),
    /// Show what the daemon and its host are
    Info(FormatArgs),
    /// Show what takes space on disk
    Df(DfArgs),
    /// Remove images that nothing uses, and with --volumes volumes that nothing uses
    ///
    /// What a stack needs stays, whether it runs or not.
    #[command(after_help = "Examples:\n  \
        orca system prune -a --filter until=240h\n  \
        orca system prune --max-size 10GB")]
    Prune(PruneArgs),
}

/// Options of `system df`.
#[derive(Debug, Args)]
pub(crate) struct DfArgs {
    /// Show each image, container and volume
    #[arg(short, long)]
    verbose: bool,

    /// How to print: table, json, or a template such as '{{.Type}} {{.Size}}'
    #[arg(
        short, long, value_name = "FORMAT", default_value = "table", value_parser = df_layout
    )]
    format: Layout,
}

/// Options of `system prune`.
#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// All images that no stack uses, not only those without a name
    #[arg(short, long)]
    all: bool,

    /// Volumes too: those that nothing uses and nobody named
    #[arg(long)]
    volumes: bool,

    /// Only what fits: until=TIME (made before), label=KEY[=VALUE], label!=KEY[=VALUE]; can be given
    /// more than once
    #[arg(long, value_name = "FILTER", value_parser = filter::filter)]
    filter: Vec<Filter>,

    /// Only as many images as it takes until all together are no larger, the longest unused first
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_size: Option<u64>,

    /// Accepted for docker: nothing is asked in any case
    #[arg(short, long, hide = true)]
    force: bool,
}

/// Options of `system stop`.
#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// Stop all containers first; they start again with the next daemon
    #[arg(long)]
    containers: bool,
}

/// How to print.
#[derive(Debug, Args)]
pub(crate) struct FormatArgs {
    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "pretty")]
    format: SystemFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SystemFormat {
    /// For people
    Pretty,
    /// In JSON
    Json,
}

/// Runs a verb of `system`.
pub(crate) async fn run(context: &Context, verb: SystemVerb) -> Outcome<u8> {
    match verb {
        SystemVerb::Stop(args) => stop(context, &args).await,
        SystemVerb::Info(args) => info(context, &args).await,
        SystemVerb::Df(args) => df(context, &args).await,
        SystemVerb::Prune(args) => prune(context, args).await,
    }
}

async fn stop(context: &Context, args: &StopArgs) -> Outcome<u8> {
    let client = match context.client_if_running().await? {
        Some(client) => client,
        // Only a daemon can stop containers; one that was killed may have left some.
        None if args.containers && leftovers(context) => context.client_or_start().await?,
        None => {
            context.output.note("no orca daemon is running");
            return Ok(0);
        }
    };
    let running = client.info().await.map_or(0, |system| system.running);
    client.shut_down(args.containers).await?;
    drop(client);
    let asked = Instant::now();
    // Its socket goes first; it has tidied up once it lets go of the instance.
    let lock = context.instance.run.join("daemon.lock");
    while is_held(&lock) {
        if !args.containers && asked.elapsed() > PATIENCE {
            return Err(CommandError::failed("the daemon was asked to end, and has not yet"));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let with = match (running, args.containers) {
        (0, _) => "",
        (_, true) => " and all containers",
        (_, false) => "; containers go on",
    };
    context.output.line(format_args!("stopped the daemon{with}"))?;
    Ok(0)
}

/// Whether a daemon holds the instance.
fn is_held(lock: &Path) -> bool {
    let Ok(file) = std::fs::File::open(lock) else { return false };
    matches!(file.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock))
}

/// Whether a daemon has been here in this boot.
fn leftovers(context: &Context) -> bool {
    context.instance.socket().exists()
}

async fn info(context: &Context, args: &FormatArgs) -> Outcome<u8> {
    let system = context.client().await?.info().await?;
    if args.format == SystemFormat::Json {
        context.output.json(&InfoJson::of(&system))?;
        return Ok(0);
    }
    let info = &system.info;
    let lines = [
        ("version", system.version.clone()),
        ("root", info.instance.root.display().to_string()),
        ("run", info.instance.run.display().to_string()),
        ("instance", info.instance.id()),
        ("pid", info.pid.to_string()),
        ("started", format::local(info.started)),
        ("stacks", system.stacks.to_string()),
        ("containers", format!("{} ({} running)", system.containers, system.running)),
        ("host", info.hostname.clone()),
        ("kernel", info.kernel.clone()),
        ("cgroups", info.cgroups.clone()),
        ("users", users(info.no_user_namespaces.as_deref())),
        ("cpus", info.cpus.to_string()),
        ("memory", format::binary(info.memory)),
    ];
    lines
        .iter()
        .try_for_each(|(key, value)| context.output.line(format_args!("{key:11} {value}")))?;
    info.warnings.iter().for_each(|warning| context.output.warning(warning));
    Ok(0)
}

fn users(why_not: Option<&str>) -> String {
    match why_not {
        None => "each stack has its own".to_owned(),
        Some(why) => format!("all stacks have those of the host: {why}"),
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct InfoJson<'a> {
    version: &'a str,
    root: String,
    run: String,
    instance: String,
    pid: u32,
    started_at: String,
    stacks: u32,
    containers: u32,
    containers_running: u32,
    name: &'a str,
    kernel_version: &'a str,
    cgroups: &'a str,
    user_namespaces: bool,
    #[serde(rename = "NCPU")]
    cpus: u32,
    mem_total: u64,
    warnings: &'a [String],
}

impl<'a> InfoJson<'a> {
    fn of(system: &'a SystemInfo) -> Self {
        let info = &system.info;
        Self {
            version: &system.version,
            root: info.instance.root.display().to_string(),
            run: info.instance.run.display().to_string(),
            instance: info.instance.id(),
            pid: info.pid,
            started_at: format::rfc3339(info.started),
            stacks: system.stacks,
            containers: system.containers,
            containers_running: system.running,
            name: &info.hostname,
            kernel_version: &info.kernel,
            cgroups: &info.cgroups,
            user_namespaces: info.no_user_namespaces.is_none(),
            cpus: info.cpus,
            mem_total: info.memory,
            warnings: &info.warnings,
        }
    }
}

/// `pretty` was the word before.
fn df_layout(text: &str) -> Result<Layout, String> {
    format::layout(if text == "pretty" { "table" } else { text })
}

/// A row of `system df` in docker's words, with sizes in bytes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Kind {
    r#type: &'static str,
    total_count: u64,
    active: u64,
    size: u64,
    reclaimable: u64,
}

async fn df(context: &Context, args: &DfArgs) -> Outcome<u8> {
    let usage = context.client().await?.disk_usage().await?;
    let kind = |(r#type, space): (&'static str, Space)| {
        let Space { count, active, size, reclaimable } = space;
        Kind { r#type, total_count: count, active, size, reclaimable }
    };
    let kinds = rows(&usage).map(kind);
    match &args.format {
        Layout::Json if args.verbose => context.output.json(&disk::verbose_json(&usage))?,
        Layout::Json => kinds.iter().try_for_each(|kind| context.output.json(kind))?,
        Layout::Template(template) => context.output.rows(template, kinds.iter())?,
        Layout::Table if args.verbose => context.output.text(&disk::verbose(&usage))?,
        Layout::Table => {
            let header = ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"];
            context.output.text(&format::table(&header, kinds.iter().map(Kind::cells)))?;
        }
    }
    if let Some(max) = usage.max_size.filter(|max| *max < usage.images.size) {
        context.output.warning(format_args!(
            "images take more than the {} they may, and all of them are needed",
            format::decimal(max)
        ));
    }
    Ok(0)
}

impl Kind {
    fn cells(&self) -> [String; 5] {
        let share = (self.reclaimable * 100).checked_div(self.size).unwrap_or(0);
        [
            self.r#type.to_owned(),
            self.total_count.to_string(),
            self.active.to_string(),
            format::decimal(self.size),
            format!("{} ({share}%)", format::decimal(self.reclaimable)),
        ]
    }
}

async fn prune(context: &Context, args: PruneArgs) -> Outcome<u8> {
    let filter = filter::prune(&args.filter, true)?;
    if args.volumes && filter.before.is_some() {
        // As in docker: nobody knows when a volume was used last.
        return Err(CommandError::bad_input("the filter `until` cannot be used with --volumes"));
    }
    let client = context.client().await?;
    let mut freed = 0;
    if args.volumes {
        let prune = PruneVolumes { all: false, filter: filter.clone() };
        let removed = client.prune_volumes(prune).await?;
        let told = |name: &String| context.output.line(format_args!("Deleted volume: {name}"));
        removed.names.iter().try_for_each(told)?;
        freed += removed.freed;
    }
    let all = args.all || args.max_size.is_some();
    let removed = client.prune_images(PruneImages { all, filter, max_size: args.max_size }).await?;
    told(context, &removed)?;
    freed += removed.freed;
    context.output.line(format_args!("Total reclaimed space: {}", format::decimal(freed)))?;
    Ok(0)
}

fn rows(usage: &DiskUsage) -> [(&'static str, Space); 4] {
    [
        ("Images", usage.images),
        ("Containers", usage.containers),
        ("Volumes", usage.volumes),
        ("Logs", usage.logs),
    ]
}
