//! `orca check`: whether the files are right, and what of them orca would not honour.

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::cli::context::Context;
use crate::cli::error::{BAD_INPUT, Outcome};
use crate::cli::project;
use crate::compose::{Diagnostic, load};

/// Options of `check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "pretty")]
    format: CheckFormat,
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
    let findings = match load(&project::options(context)?) {
        Ok(loaded) => {
            let warnings = loaded.warnings.into_iter().map(|warning| ("warning", warning));
            let refusals = loaded.refusals.into_iter().map(|refusal| ("refused", refusal));
            refusals.chain(warnings).collect()
        }
        Err(errors) => errors.0.into_iter().map(|error| ("error", error)).collect::<Vec<_>>(),
    };
    for (verdict, diagnostic) in &findings {
        match args.format {
            CheckFormat::Json => context.output.json(&Finding { verdict, diagnostic })?,
            CheckFormat::Pretty => context.output.line(format_args!("{verdict}: {diagnostic}"))?,
        }
    }
    if findings.iter().any(|(verdict, _)| *verdict != "warning") {
        return Ok(BAD_INPUT);
    }
    if args.format == CheckFormat::Pretty {
        context.output.line("the files are right")?;
    }
    Ok(0)
}
