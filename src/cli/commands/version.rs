//! `orca version`.

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::api::API_VERSION;
use crate::cli::context::Context;
use crate::cli::error::Outcome;

/// Options of `version`.
#[derive(Debug, Args)]
pub(crate) struct VersionArgs {
    /// Only the number
    #[arg(long)]
    short: bool,

    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "pretty")]
    format: VersionFormat,
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum VersionFormat {
    /// For people
    Pretty,
    /// In JSON
    Json,
}

#[derive(Debug, Serialize)]
struct Versions {
    version: &'static str,
    api: u32,
    daemon: Option<String>,
    daemon_api: Option<u32>,
}

/// Runs `version`. A daemon is asked if one runs.
pub(crate) async fn run(context: &Context, args: VersionArgs) -> Outcome<u8> {
    let version = env!("CARGO_PKG_VERSION");
    if args.short {
        context.output.line(version)?;
        return Ok(0);
    }
    // One that cannot be asked does not keep us from saying our own.
    let daemon = match context.client_if_running().await {
        Ok(Some(client)) => client.version().await.ok(),
        _ => None,
    };
    if args.format == VersionFormat::Json {
        let daemon_api = daemon.as_ref().map(|daemon| daemon.api);
        let daemon = daemon.map(|daemon| daemon.version);
        context.output.json(&Versions { version, api: API_VERSION, daemon, daemon_api })?;
        return Ok(0);
    }
    context.output.line(format_args!("orca version {version}"))?;
    if let Some(daemon) = daemon {
        context.output.line(format_args!("daemon version {}", daemon.version))?;
    }
    Ok(0)
}
