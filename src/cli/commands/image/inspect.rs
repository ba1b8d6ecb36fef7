//! `orca image inspect` and `orca image history`.

use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use crate::api::control::{ImageDetail, ImageHistory};
use crate::cli::context::Context;
use crate::cli::error::Outcome;
use crate::cli::format;
use crate::model::{HealthCheck, ImageConfig, Probe};
use crate::sys::clock;

/// Options of `image inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// Names or ids
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

/// Options of `image history`.
#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// Name or id
    image: String,

    /// Show commands in full
    #[arg(long)]
    no_trunc: bool,
}

/// An image in docker's words.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    id: String,
    repo_tags: Vec<String>,
    created: Option<String>,
    size: u64,
    os: String,
    architecture: String,
    config: Value,
    #[serde(rename = "RootFS")]
    root_fs: Value,
    used_by: Vec<String>,
}

/// Runs `image inspect`.
pub(super) async fn run(context: &Context, args: InspectArgs) -> Outcome<u8> {
    let client = context.client().await?;
    let mut inspected = Vec::new();
    for image in &args.images {
        inspected.push(in_dockers_words(client.image(image).await?));
    }
    context.output.pretty_json(&inspected)?;
    Ok(0)
}

fn in_dockers_words(image: ImageDetail) -> Inspected {
    let ImageDetail { summary, config, layers, .. } = image;
    let (os, architecture) = summary.platform.split_once('/').unwrap_or(("linux", ""));
    let layers: Vec<_> = layers.iter().map(ToString::to_string).collect();
    Inspected {
        id: summary.id.to_string(),
        repo_tags: summary.references,
        created: summary.created.map(format::rfc3339),
        size: summary.size,
        os: os.to_owned(),
        architecture: architecture.to_owned(),
        config: config_json(config),
        root_fs: json!({ "Type": "layers", "Layers": layers }),
        used_by: summary.used_by,
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
    let row = |step: &ImageHistory| {
        let age = step.created.map(|created| now.0.saturating_sub(created.0));
        let command = match args.no_trunc {
            true => step.created_by.clone(),
            false => format::shortened(&step.created_by, 60),
        };
        let size = if step.empty_layer { Some(0) } else { step.size };
        vec![
            age.map_or("N/A".to_owned(), format::ago),
            command,
            size.map_or("N/A".to_owned(), format::decimal),
            step.comment.clone(),
        ]
    };
    let header = ["CREATED", "CREATED BY", "SIZE", "COMMENT"];
    context.output.text(&format::table(&header, image.history.iter().rev().map(row)))?;
    Ok(0)
}
