//! `orca image inspect` and `orca image history`.

use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use super::familiar;
use crate::api::control::{ImageDetail, ImageHistory};
use crate::cli::context::Context;
use crate::cli::error::Outcome;
use crate::cli::format::{self, Layout};
use crate::model::{HealthCheck, ImageConfig, Probe, Timestamp};
use crate::sys::clock;

/// Options of `image inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// Names or ids
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,

    /// A template such as '{{.Os}}' or '{{json .Config}}' instead of JSON
    #[arg(short, long, value_name = "FORMAT", value_parser = format::layout)]
    format: Option<Layout>,
}

/// Options of `image history`.
#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// Name or id
    image: String,

    /// Show commands in full
    #[arg(long)]
    no_trunc: bool,

    /// Only the ids: of the image itself, as far as it has one
    #[arg(short, long)]
    quiet: bool,

    /// Sizes and times for people; with =false in bytes and as dates
    #[arg(
        short = 'H', long, value_name = "BOOL", default_value_t = true, num_args = 0..=1,
        default_missing_value = "true", action = clap::ArgAction::Set
    )]
    human: bool,

    /// How to print: table, json, or a template such as '{{.CreatedBy}}'
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = format::layout)]
    format: Layout,
}

/// An image in docker's words.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    id: String,
    repo_tags: Vec<String>,
    repo_digests: Vec<String>,
    digest: String,
    created: Option<String>,
    size: u64,
    os: String,
    architecture: String,
    config: Value,
    #[serde(rename = "RootFS")]
    root_fs: Value,
    used_by: Vec<String>,
    containers: u32,
}

/// Runs `image inspect`.
pub(super) async fn run(context: &Context, args: InspectArgs) -> Outcome<u8> {
    let client = context.client().await?;
    let mut inspected = Vec::new();
    for image in &args.images {
        inspected.push(in_dockers_words(client.image(image).await?));
    }
    match &args.format {
        None | Some(Layout::Table) => context.output.pretty_json(&inspected)?,
        Some(Layout::Json) => context.output.json(&inspected)?,
        Some(Layout::Template(template)) => context.output.rows(template, inspected)?,
    }
    Ok(0)
}

fn in_dockers_words(image: ImageDetail) -> Inspected {
    let ImageDetail { summary, config, layers, .. } = image;
    let (os, architecture) = summary.platform.split_once('/').unwrap_or(("linux", ""));
    let layers: Vec<_> = layers.iter().map(ToString::to_string).collect();
    Inspected {
        id: summary.id.to_string(),
        repo_tags: summary.references.iter().map(|name| familiar(name).to_owned()).collect(),
        repo_digests: summary.digests.iter().map(|name| familiar(name).to_owned()).collect(),
        digest: summary.manifest.to_string(),
        created: summary.created.map(format::rfc3339),
        size: summary.size,
        os: os.to_owned(),
        architecture: architecture.to_owned(),
        config: config_json(config),
        root_fs: json!({ "Type": "layers", "Layers": layers }),
        used_by: summary.used_by,
        containers: summary.containers,
    }
}

fn config_json(config: ImageConfig) -> Value {
    let keys =
        |keys: Vec<String>| -> Value { keys.into_iter().map(|key| (key, json!({}))).collect() };
    json!({
        "Env": config.env,
        "Entrypoint": config.entrypoint,
        "Cmd": config.cmd,
        "WorkingDir": config.working_dir,
        "User": config.user,
        "StopSignal": config.stop_signal,
        "ExposedPorts": keys(config.exposed_ports),
        "Volumes": keys(config.volumes),
        "Labels": config.labels,
        "Healthcheck": config.healthcheck.map(health_json),
    })
}

fn health_json(check: HealthCheck) -> Value {
    let nanos = |time: Option<std::time::Duration>| time.map(|time| time.as_nanos());
    let test = match check.test {
        None => json!([]),
        Some(Probe::None) => json!(["NONE"]),
        Some(Probe::Exec(args)) => json!([vec!["CMD".to_owned()], args].concat()),
        Some(Probe::Shell(line)) => json!(["CMD-SHELL", line]),
        Some(Probe::Http(url)) => json!(["HTTP", url]),
        Some(Probe::Tcp(port)) => json!(["TCP", port.to_string()]),
    };
    json!({
        "Test": test,
        "Interval": nanos(check.interval),
        "Timeout": nanos(check.timeout),
        "Retries": check.retries,
        "StartPeriod": nanos(check.start_period),
        "StartInterval": nanos(check.start_interval),
    })
}

/// Runs `image history`.
pub(super) async fn history(context: &Context, args: HistoryArgs) -> Outcome<u8> {
    let image = context.client().await?.image(&args.image).await?;
    let now = clock::wall();
    let mut steps: Vec<Step> =
        image.history.iter().rev().map(|step| Step::of(step, now, &args)).collect();
    if let Some(newest) = steps.first_mut() {
        let id = image.summary.id.to_string();
        let hex = id.strip_prefix("sha256:").unwrap_or(&id);
        newest.id = if args.no_trunc { id.clone() } else { hex.chars().take(12).collect() };
    }
    if args.quiet {
        steps.iter().try_for_each(|step| context.output.line(&step.id))?;
        return Ok(0);
    }
    match &args.format {
        Layout::Json => steps.iter().try_for_each(|step| context.output.json(step))?,
        Layout::Template(template) => context.output.rows(template, steps)?,
        Layout::Table => {
            let header = ["IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"];
            let cells = |step: Step| {
                let created = if args.human { step.created_since } else { step.created_at };
                [step.id, created, step.created_by, step.size, step.comment]
            };
            context.output.text(&format::table(&header, steps.into_iter().map(cells)))?;
        }
    }
    Ok(0)
}

/// How an image was made, one step, in docker's words.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Step {
    #[serde(rename = "ID")]
    id: String,
    created_at: String,
    created_since: String,
    created_by: String,
    size: String,
    comment: String,
}

impl Step {
    fn of(step: &ImageHistory, now: Timestamp, args: &HistoryArgs) -> Self {
        let age = step.created.map(|created| now.0.saturating_sub(created.0));
        let size = if step.empty_layer { Some(0) } else { step.size };
        let sized = |size: u64| if args.human { format::decimal(size) } else { size.to_string() };
        Self {
            id: "<missing>".to_owned(),
            created_at: step.created.map_or("N/A".to_owned(), format::rfc3339),
            created_since: age.map_or("N/A".to_owned(), format::ago),
            created_by: match args.no_trunc {
                true => step.created_by.clone(),
                false => format::shortened(&step.created_by, 45),
            },
            size: size.map_or("N/A".to_owned(), sized),
            comment: step.comment.clone(),
        }
    }
}
