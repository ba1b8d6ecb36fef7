//! `orca daemon`: runs the daemon in this process.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Deserialize;
use tracing_subscriber::EnvFilter;

use crate::cli::error::BAD_INPUT;
use crate::cli::format;
use crate::daemon::Settings;
use crate::model::{Instance, parse_bytes};

/// Options of `daemon`.
#[derive(Debug, Args)]
pub(crate) struct DaemonArgs {
    /// How its log is written, to standard error
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,

    /// How much room images may take, such as 20GB: unused ones go when they take more. 0: as much
    /// as there is [default: a fifth of the disk]
    #[arg(long, value_name = "SIZE", env = "ORCA_MAX_SIZE", value_parser = size)]
    max_size: Option<u64>,

    /// How long images stay that nothing uses, such as 30d [default: for ever]
    #[arg(long, value_name = "DURATION", env = "ORCA_MAX_AGE", value_parser = format::duration)]
    max_age: Option<Duration>,

    /// Where its configuration is: images.json, registries.json, policy.json and certs.d
    #[arg(long, value_name = "DIR", env = "ORCA_CONFIG", default_value = "/etc/orca")]
    config: PathBuf,
}

/// `images.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
struct ImagesFile {
    max_size: Option<String>,
    max_age: Option<String>,
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
    match settings(args, &instance) {
        Ok(settings) => crate::daemon::main(instance, settings, &args.config),
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::from(BAD_INPUT)
        }
    }
}

/// What the options say; what they leave open is said by `images.json`.
fn settings(args: &DaemonArgs, instance: &Instance) -> Result<Settings, String> {
    let path = args.config.join("images.json");
    let named = |error: String| format!("{}: {error}", path.display());
    let file: ImagesFile = match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => ImagesFile::default(),
        Err(error) => return Err(named(error.to_string())),
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| named(error.to_string()))?,
    };
    let max_size = file.max_size.as_deref().map(size).transpose();
    let max_age = file.max_age.as_deref().map(format::duration).transpose();
    let max_size = max_size.map_err(|error| named(format!("max-size: {error}")))?;
    let max_age = max_age.map_err(|error| named(format!("max-age: {error}")))?;
    Ok(Settings::new(&instance.root, args.max_size.or(max_size), args.max_age.or(max_age)))
}

/// A size such as `20GB`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let bytes = parse_bytes(text)?;
    u64::try_from(bytes).map_err(|_| format!("`{text}`: a size cannot be negative"))
}
