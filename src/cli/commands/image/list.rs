//! `orca image ls`.

use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::api::control::ImageSummary;
use crate::cli::context::Context;
use crate::cli::error::{CommandError, Outcome};
use crate::cli::filter::{self, Filter};
use crate::cli::format::{self, Layout};
use crate::model::Timestamp;
use crate::sys::clock;

/// Options of `image ls`.
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// Only images with this name, such as `nginx`, `nginx:1` or `shop/*`
    reference: Option<String>,

    /// Only the ids
    #[arg(short, long)]
    quiet: bool,

    /// Show ids in full
    #[arg(long)]
    no_trunc: bool,

    /// Show the digests that registries have images under
    #[arg(long)]
    digests: bool,

    /// Only images that fit: dangling=true, label=KEY[=VALUE], reference=PATTERN, before=IMAGE,
    /// since=IMAGE, until=TIME; can be given more than once
    #[arg(short, long, value_name = "FILTER", value_parser = filter::filter)]
    filter: Vec<Filter>,

    /// How to print: table, json, or a template such as '{{.Repository}}:{{.Tag}}'
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = format::layout)]
    format: Layout,

    /// Accepted for docker: images that others are built on are not kept apart
    #[arg(short, long, hide = true)]
    all: bool,
}

/// Runs `image ls`.
pub(super) async fn run(context: &Context, args: LsArgs) -> Outcome<u8> {
    let images = match context.client_unless_stopped().await? {
        Some(client) => client.list_images().await?,
        None => Vec::new(),
    };
    let now = clock::wall();
    let wanted = wanted(&args.filter, &images)?;
    let named = |row: &Row| {
        let any = wanted.references.is_empty()
            || wanted.references.iter().any(|pattern| row.is_named(pattern));
        any && args.reference.as_ref().is_none_or(|pattern| row.is_named(pattern))
    };
    let fitting = images.iter().filter(|image| wanted.fits(image));
    let rows: Vec<_> = fitting.flat_map(|image| rows(image, now)).filter(named).collect();
    if args.quiet {
        let mut ids: Vec<_> = rows.iter().map(|row| row.id(args.no_trunc)).collect();
        ids.dedup();
        ids.into_iter().try_for_each(|id| context.output.line(id))?;
        return Ok(0);
    }
    match &args.format {
        Layout::Json => rows.iter().try_for_each(|row| context.output.json(row))?,
        Layout::Template(template) => {
            let short = |row: &Row| Row { id: row.id(args.no_trunc).to_owned(), ..row.clone() };
            context.output.rows(template, rows.iter().map(short))?;
        }
        Layout::Table => context.output.text(&table(&rows, &args))?,
    }
    Ok(0)
}

fn table(rows: &[Row], args: &LsArgs) -> String {
    let mut header = vec!["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"];
    if args.digests {
        header.insert(2, "DIGEST");
    }
    let cells = |row: &Row| {
        let mut cells = vec![
            row.repository.clone(),
            row.tag.clone(),
            row.id(args.no_trunc).to_owned(),
            row.created_since.clone(),
            row.size.clone(),
        ];
        if args.digests {
            cells.insert(2, row.digest.clone());
        }
        cells
    };
    format::table(&header, rows.iter().map(cells))
}

/// What the filters ask for.
struct Wanted<'a> {
    dangling: Option<bool>,
    filters: crate::api::control::PruneFilter,
    before: Option<Timestamp>,
    since: Option<Timestamp>,
    references: Vec<&'a String>,
}

fn wanted<'a>(filters: &'a [Filter], images: &[ImageSummary]) -> Outcome<Wanted<'a>> {
    let mut rest = Vec::new();
    let (mut dangling, mut before, mut since, mut references) = (None, None, None, Vec::new());
    for filter in filters {
        match filter.key.as_str() {
            "dangling" => dangling = Some(filter.truth()?),
            "before" => before = Some(made(images, &filter.value)?),
            "since" => since = Some(made(images, &filter.value)?),
            "reference" => references.push(&filter.value),
            "label" | "until" => rest.push(filter.clone()),
            _ => {
                let known = "dangling, label, reference, before, since and until";
                return Err(filter::unknown(filter, known));
            }
        }
    }
    Ok(Wanted { dangling, filters: filter::prune(&rest, true)?, before, since, references })
}

/// When the image that a filter names was made.
fn made(images: &[ImageSummary], name: &str) -> Outcome<Timestamp> {
    let is = |image: &&ImageSummary| {
        let id = image.id.to_string();
        let hex = id.strip_prefix("sha256:").unwrap_or(&id);
        let by_id = name.len() >= 4 && (hex.starts_with(name) || id == name);
        by_id || rows(image, Timestamp::default()).iter().any(|row| row.is_called(name))
    };
    let found = images.iter().find(is).and_then(|image| image.created);
    found.ok_or_else(|| CommandError::failed(format!("there is no image `{name}`")))
}

impl Wanted<'_> {
    fn fits(&self, image: &ImageSummary) -> bool {
        let created = image.created.unwrap_or_default();
        self.dangling.is_none_or(|wanted| wanted == image.references.is_empty())
            && self.filters.fits(image.created, &image.labels)
            && self.before.is_none_or(|before| created < before)
            && self.since.is_none_or(|since| created > since)
    }
}

/// An image by one of its names, in docker's words.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    #[serde(rename = "ID")]
    id: String,
    repository: String,
    tag: String,
    digest: String,
    created_since: String,
    created_at: String,
    size: String,
    bytes: u64,
    platform: String,
    containers: u32,
    labels: std::collections::BTreeMap<String, String>,
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

    /// Whether it has this name; without a tag, `latest` is meant.
    fn is_called(&self, name: &str) -> bool {
        let (repository, tag) = split(name);
        tag.unwrap_or("latest") == self.tag && familiar(repository) == self.repository
    }

    /// Whether a pattern fits its name; one without a tag fits every tag.
    fn is_named(&self, pattern: &str) -> bool {
        let (repository, tag) = split(pattern);
        let tag_matches = tag.is_none_or(|tag| glob(tag.as_bytes(), self.tag.as_bytes()));
        tag_matches && glob(familiar(repository).as_bytes(), self.repository.as_bytes())
    }
}

/// Whether a pattern with `*` (not over slashes) and `?` fits a text.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), None) => glob(rest, text),
        (Some((b'*', rest)), Some((first, after))) => {
            glob(rest, text) || (*first != b'/' && glob(pattern, after))
        }
        (Some((b'?', rest)), Some((first, after))) if *first != b'/' => glob(rest, after),
        (Some((wanted, rest)), Some((first, after))) => wanted == first && glob(rest, after),
        _ => false,
    }
}

/// A row for each name; one without a name has one row.
fn rows(image: &ImageSummary, now: Timestamp) -> Vec<Row> {
    let row = |repository: &str, tag: &str, digest: &str| Row {
        id: image.id.to_string(),
        repository: repository.to_owned(),
        tag: tag.to_owned(),
        digest: digest.to_owned(),
        created_since: image.created.map_or("N/A".to_owned(), |created| since(created, now)),
        created_at: image.created.map_or("N/A".to_owned(), format::local),
        size: format::decimal(image.size),
        bytes: image.size,
        platform: image.platform.clone(),
        containers: image.containers,
        labels: image.labels.clone(),
        used_by: image.used_by.clone(),
    };
    if image.references.is_empty() {
        return vec![row("<none>", "<none>", image.manifest.as_str())];
    }
    let named = |reference: &String| {
        let (repository, tag) = split(reference);
        let digest = image.digests.iter().filter_map(|known| known.split_once('@'));
        let digest = digest.into_iter().find(|(name, _)| *name == repository);
        let digest = digest.map_or(image.manifest.as_str(), |(_, digest)| digest);
        row(familiar(repository), tag.unwrap_or("<none>"), digest)
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
pub(crate) fn familiar(repository: &str) -> &str {
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

    #[test]
    fn patterns_stop_at_slashes() {
        let fits = |pattern: &str, text: &str| glob(pattern.as_bytes(), text.as_bytes());
        assert!(fits("shop/*", "shop/web") && fits("*", "nginx") && fits("n?in*", "nginx"));
        assert!(!fits("*", "shop/web") && !fits("shop/*", "shop/a/b") && !fits("ngin", "nginx"));
    }
}
