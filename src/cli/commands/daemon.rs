//! `orca daemon`: runs the daemon in this process.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::model::Instance;

/// Options of `daemon`.
#[derive(Debug, Args)]
pub(crate) struct DaemonArgs {
    /// How its log is written, to standard error
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
}

/// How a log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// For people
    Text,
    /// One JSON object for each event, a line each
    Json,
}

/// Runs the daemon until it is told to end. `ORCA_LOG` says what is logged: `debug`, or
/// `info,orca::plan=trace`.
pub(crate) fn run(args: &DaemonArgs, instance: Instance) -> ExitCode {
    let filter = EnvFilter::try_from_env("ORCA_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(std::io::stderr);
    // An error says that a log is set up already: one is enough.
    let _already = match args.log_format {
        LogFormat::Text => log.try_init().is_err(),
        LogFormat::Json => log.json().try_init().is_err(),
    };
    crate::daemon::main(instance)
}
