//! `orca image ls`.

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::api::control::ImageSummary;
use crate::cli::context::Context;
use crate::cli::error::Outcome;
use crate::cli::format;
use crate::model::Timestamp;
use crate::sys::clock;

/// Options of `image ls`.
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// Only images with this name, such as `nginx` or `nginx:1`
    reference: Option<String>,

    /// Only the ids
    #[arg(short, long)]
    quiet: bool,

    /// Show ids in full
    #[arg(long)]
    no_trunc: bool,

    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: ListFormat,
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    /// A table
    Table,
    /// One JSON object for each, a line each
    Json,
}

/// Runs `image ls`.
pub(super) async fn run(context: &Context, args: LsArgs) -> Outcome<u8> {
    let images = match context.client_if_running().await? {
        Some(client) => client.list_images().await?,
        None => Vec::new(),
    };
    let now = clock::wall();
    let wanted = |row: &Row| args.reference.as_ref().is_none_or(|name| row.is_named(name));
    let rows: Vec<_> = images.iter().flat_map(|image| rows(image, now)).filter(wanted).collect();
    if args.quiet {
        let mut ids: Vec<_> = rows.iter().map(|row| row.id(args.no_trunc)).collect();
        ids.dedup();
        ids.into_iter().try_for_each(|id| context.output.line(id))?;
    } else if args.format == ListFormat::Json {
        rows.iter().try_for_each(|row| context.output.json(row))?;
    } else {
        let header = ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"];
        let cells = |row: &Row| {
            vec![
                row.repository.clone(),
                row.tag.clone(),
                row.id(args.no_trunc).to_owned(),
                row.created_since.clone(),
                format::decimal(row.bytes),
            ]
        };
        context.output.text(&format::table(&header, rows.iter().map(cells)))?;
    }
    Ok(0)
}

/// An image by one of its names, in docker's words.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    #[serde(rename = "ID")]
    id: String,
    repository: String,
    tag: String,
    created_since: String,
    created_at: String,
    size: String,
    bytes: u64,
    platform: String,
    used_by: Vec<String>,
}

impl Row {
    fn id(&self, in_full: bool) -> &str {
        if in_full {
            return &self.id;
        }
        let hex = self.id.strip_prefix("sha256:").unwrap_or(&self.id);
        hex.get(..12).unwrap_or(hex)
    }

    fn is_named(&self, name: &str) -> bool {
        let (repository, tag) = split(name);
        let tag_matches = tag.is_none_or(|tag| tag == self.tag);
        tag_matches && familiar(repository) == self.repository
    }
}

/// A row for each name; one without a name has one row.
fn rows(image: &ImageSummary, now: Timestamp) -> Vec<Row> {
    let row = |repository: &str, tag: &str| Row {
        id: image.id.to_string(),
        repository: repository.to_owned(),
        tag: tag.to_owned(),
        created_since: image.created.map_or("N/A".to_owned(), |created| since(created, now)),
        created_at: image.created.map_or("N/A".to_owned(), format::local),
        size: format::decimal(image.size),
        bytes: image.size,
        platform: image.platform.clone(),
        used_by: image.used_by.clone(),
    };
    if image.references.is_empty() {
        return vec![row("<none>", "<none>")];
    }
    let named = |reference: &String| {
        let (repository, tag) = split(reference);
        row(familiar(repository), tag.unwrap_or("<none>"))
    };
    image.references.iter().map(named).collect()
}

fn since(created: Timestamp, now: Timestamp) -> String {
    format::ago(now.0.checked_sub(created.0).unwrap_or(Duration::ZERO))
}

/// Name and tag: the colon of a registry's port is none of a tag.
fn split(reference: &str) -> (&str, Option<&str>) {
    let name = reference.split_once('@').map_or(reference, |(name, _)| name);
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (name, None),
    }
}

/// Names of Docker Hub as people write them.
fn familiar(repository: &str) -> &str {
    let name = repository.strip_prefix("docker.io/").unwrap_or(repository);
    name.strip_prefix("library/").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_a_registry_is_not_a_tag() {
        assert_eq!(split("host:5000/a/b"), ("host:5000/a/b", None));
        assert_eq!(split("host:5000/a/b:1"), ("host:5000/a/b", Some("1")));
        assert_eq!(split("a@sha256:00"), ("a", None));
    }

    #[test]
    fn docker_hub_goes_without_saying() {
        assert_eq!(familiar("docker.io/library/nginx"), "nginx");
        assert_eq!(familiar("docker.io/me/app"), "me/app");
        assert_eq!(familiar("quay.io/me/app"), "quay.io/me/app");
    }
}
