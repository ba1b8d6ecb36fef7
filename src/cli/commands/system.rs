//! `orca system …`: the daemon itself.

use std::time::{Duration, Instant};

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use crate::api::SystemInfo;
use crate::api::control::{DiskUsage, Space};
use crate::cli::context::Context;
use crate::cli::error::{CommandError, Outcome};
use crate::cli::format;

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
    Df(FormatArgs),
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
    while context.client_if_running().await.is_ok_and(|client| client.is_some()) {
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
        ("cpus", info.cpus.to_string()),
        ("memory", format::binary(info.memory)),
    ];
    lines
        .iter()
        .try_for_each(|(key, value)| context.output.line(format_args!("{key:11} {value}")))?;
    info.warnings.iter().for_each(|warning| context.output.warning(warning));
    Ok(0)
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
            cpus: info.cpus,
            mem_total: info.memory,
            warnings: &info.warnings,
        }
    }
}

async fn df(context: &Context, args: &FormatArgs) -> Outcome<u8> {
    let usage = context.client().await?.disk_usage().await?;
    let rows = rows(&usage);
    if args.format == SystemFormat::Json {
        for (name, space) in rows {
            let Space { count, active, size, reclaimable } = space;
            context.output.json(&serde_json::json!({
                "Type": name, "TotalCount": count, "Active": active, "Size": size,
                "Reclaimable": reclaimable,
            }))?;
        }
        return Ok(0);
    }
    let cells = |(name, space): &(&str, Space)| {
        vec![
            (*name).to_owned(),
            space.count.to_string(),
            space.active.to_string(),
            format::decimal(space.size),
            format::decimal(space.reclaimable),
        ]
    };
    let header = ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"];
    context.output.text(&format::table(&header, rows.iter().map(cells)))?;
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
