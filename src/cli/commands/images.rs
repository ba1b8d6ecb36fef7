//! `orca images`: the images that a stack's containers run from.

use std::collections::BTreeSet;

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::cli::context::Context;
use crate::cli::error::Outcome;
use crate::cli::format;

/// Options of `images`.
#[derive(Debug, Args)]
pub(crate) struct ImagesArgs {
    /// Only of these services
    services: Vec<String>,

    /// Only the ids
    #[arg(short, long)]
    quiet: bool,

    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: ImagesFormat,
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ImagesFormat {
    /// A table
    Table,
    /// One JSON object for each container, a line each
    Json,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    #[serde(rename = "ID")]
    id: String,
    container_name: String,
    reference: String,
    platform: String,
    size: u64,
}

/// Runs `images`.
pub(crate) async fn run(context: &Context, args: ImagesArgs) -> Outcome<u8> {
    let stack = context.stack()?;
    let client = context.client().await?;
    let report = client.stack(&stack).await?;
    let mut rows = Vec::new();
    for task in &report.status.tasks {
        if !args.services.is_empty() && !args.services.contains(&task.service) {
            continue;
        }
        // A tag may have been removed since: the container goes on all the same.
        let image = client.image(&task.image).await.ok();
        let summary = image.map(|image| image.summary);
        rows.push(Row {
            id: summary.as_ref().map(|image| image.id.to_string()).unwrap_or_default(),
            container_name: task.name.clone(),
            reference: task.image.clone(),
            platform: summary.as_ref().map(|image| image.platform.clone()).unwrap_or_default(),
            size: summary.map_or(0, |image| image.size),
        });
    }
    print(context, &args, &rows)?;
    Ok(0)
}

fn print(context: &Context, args: &ImagesArgs, rows: &[Row]) -> Outcome {
    if args.quiet {
        let ids: BTreeSet<_> = rows.iter().map(|row| row.id.as_str()).collect();
        return ids.into_iter().try_for_each(|id| context.output.line(id));
    }
    if args.format == ImagesFormat::Json {
        return rows.iter().try_for_each(|row| context.output.json(row));
    }
    let cells = |row: &Row| {
        let id = row.id.strip_prefix("sha256:").unwrap_or(&row.id);
        vec![
            row.container_name.clone(),
            row.reference.clone(),
            row.platform.clone(),
            id.chars().take(12).collect(),
            format::decimal(row.size),
        ]
    };
    let header = ["CONTAINER", "IMAGE", "PLATFORM", "IMAGE ID", "SIZE"];
    context.output.text(&format::table(&header, rows.iter().map(cells)))
}
