//! `orca check`: whether the files are right, and what of them orca would not honour.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::cli::context::Context;
use crate::cli::error::{BAD_INPUT, Outcome};
use crate::cli::{format, project};
use crate::compose::{Diagnostic, Severity, Support, Verdict, json_schema, load};
use crate::model::{HostUsers, Project, Service};

/// How many further places of one message are printed for people.
const MOST_PLACES: usize = 8;

/// Options of `check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Print what orca does with every attribute that the files use
    #[arg(short, long)]
    all: bool,

    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "pretty")]
    format: CheckFormat,

    /// Print the JSON schema of what orca accepts, for editors, and do nothing else
    #[arg(long, exclusive = true)]
    schema: bool,
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CheckFormat {
    /// For people
    Pretty,
    /// One JSON object for each finding, a line each
    Json,
}

/// A finding in JSON.
#[derive(Debug, Serialize)]
struct Finding<'a> {
    verdict: &'static str,
    #[serde(flatten)]
    diagnostic: &'a Diagnostic,
}

/// Runs `check`: status 0 if the stack can be started.
pub(crate) fn run(context: &Context, args: &CheckArgs) -> Outcome<u8> {
    if args.schema {
        context.output.pretty_json(&json_schema())?;
        return Ok(0);
    }
    let (findings, verdicts) = match load(&project::options(context)?) {
        Ok(loaded) => {
            let warnings = loaded.warnings.into_iter().map(|warning| ("warning", warning));
            let refusals = loaded.refusals.into_iter().map(|refusal| ("refused", refusal));
            let notes = notes(&loaded.project, &loaded.verdicts);
            (refusals.chain(warnings).chain(notes).collect(), loaded.verdicts)
        }
        Err(errors) => {
            let errors = errors.0.into_iter().map(|error| ("error", error));
            (errors.collect::<Vec<_>>(), Vec::new())
        }
    };
    match args.format {
        CheckFormat::Json => tell_machines(context, args, &findings, &verdicts)?,
        CheckFormat::Pretty => tell_people(context, args, &findings, &verdicts)?,
    }
    let is_right = findings.iter().all(|(verdict, _)| ["warning", "note"].contains(verdict));
    Ok(if is_right { 0 } else { BAD_INPUT })
}

/// What is as it is asked for and worth knowing: which containers have the users of the host. The user
/// that an image names is not known here.
fn notes(project: &Project, verdicts: &[Verdict]) -> Vec<(&'static str, Diagnostic)> {
    let note = |(name, service): (&String, &Service)| {
        let HostUsers { attribute, why } = service.why_host_users("")?;
        let path = format!("services.{name}.{attribute}");
        let verdict = verdicts.iter().find(|verdict| verdict.path == path);
        let diagnostic = Diagnostic {
            severity: Severity::Warning,
            place: verdict.and_then(|verdict| verdict.place.clone()),
            path: format!("services.{name}"),
            message: format!("its containers have the users of the host: {why}"),
            hint: None,
            related: None,
        };
        Some(("note", diagnostic))
    };
    project.services.iter().filter_map(note).collect()
}

fn tell_machines(
    context: &Context,
    args: &CheckArgs,
    findings: &[(&'static str, Diagnostic)],
    verdicts: &[Verdict],
) -> Outcome {
    for (verdict, diagnostic) in findings {
        context.output.json(&Finding { verdict, diagnostic })?;
    }
    for verdict in verdicts.iter().filter(|_| args.all) {
        context.output.json(verdict)?;
    }
    Ok(())
}

fn tell_people(
    context: &Context,
    args: &CheckArgs,
    findings: &[(&'static str, Diagnostic)],
    verdicts: &[Verdict],
) -> Outcome {
    if args.all {
        context.output.text(&table(verdicts))?;
    }
    for group in grouped(findings) {
        context.output.text(&told(&group))?;
    }
    context.output.line(summary(findings, verdicts))
}

/// Findings with the same words together, in the order of the first of each.
fn grouped<'a>(
    findings: &'a [(&'static str, Diagnostic)],
) -> Vec<Vec<&'a (&'static str, Diagnostic)>> {
    let mut places: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut groups: Vec<Vec<&(&str, Diagnostic)>> = Vec::new();
    for finding in findings {
        let at = *places.entry((finding.0, &finding.1.message)).or_insert(groups.len());
        if at == groups.len() {
            groups.push(Vec::new());
        }
        groups[at].push(finding);
    }
    groups
}

/// The first with its line, the others as places alone.
fn told(group: &[&(&'static str, Diagnostic)]) -> String {
    let Some(((verdict, first), others)) = group.split_first().map(|(first, rest)| (*first, rest))
    else {
        return String::new();
    };
    let place = |other: &Diagnostic| match &other.place {
        Some(place) => format!(" also {place}: {}\n", other.path),
        None => format!(" also {}\n", other.path),
    };
    let mut lines = vec![format!("{verdict}: {first}\n")];
    lines.extend(others.iter().take(MOST_PLACES).map(|(_, other)| place(other)));
    if others.len() > MOST_PLACES {
        lines.push(format!(" and at {} more places\n", others.len() - MOST_PLACES));
    }
    lines.concat()
}

fn table(verdicts: &[Verdict]) -> String {
    let row = |verdict: &Verdict| {
        let place = verdict.place.as_ref().map(ToString::to_string).unwrap_or_default();
        let support = verdict.support.as_str().to_owned();
        vec![place, support, verdict.path.clone(), verdict.note.clone()]
    };
    format::table(&["PLACE", "SUPPORTED", "ATTRIBUTE", "NOTE"], verdicts.iter().map(row))
}

fn summary(findings: &[(&'static str, Diagnostic)], verdicts: &[Verdict]) -> String {
    let found = |what: &str| findings.iter().filter(|(verdict, _)| *verdict == what).count();
    let plural =
        |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let (errors, refused, warnings) = (found("error"), found("refused"), found("warning"));
    if errors > 0 {
        return format!("the files cannot be used: {}", plural(errors, "error"));
    }
    let of = |support: Support| verdicts.iter().filter(|it| it.support == support).count();
    let outcome = match (refused, warnings) {
        (0, 0) => "the files are right".to_owned(),
        (0, _) => format!("the files are right, with {}", plural(warnings, "warning")),
        _ => {
            format!("the stack is not started: {refused} refused, {}", plural(warnings, "warning"))
        }
    };
    format!(
        "{outcome}; of {} {} are done as they say, {} in part (--all lists them)",
        plural(verdicts.len(), "attribute"),
        of(Support::Full),
        of(Support::Part),
    )
}
