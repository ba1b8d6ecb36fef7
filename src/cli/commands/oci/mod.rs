//! `orca oci`: an OCI runtime, with runc's verbs and options.
//!
//! Engines run it for every container, so it stays away from everything large: no daemon, no tasks,
//! and a command line of its own. Called as `orca-oci` (a link by that name will do), the program is
//! this command alone.

mod args;
mod log;
mod update;
mod verbs;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;

use self::args::OciArguments;
use self::log::Log;
use crate::runtime::oci;

/// The name by which the program is this command alone.
const NAME: &str = "orca-oci";

/// The arguments of this command, if it is what the command line is about.
pub(crate) fn asked(mut all: impl Iterator<Item = OsString>) -> Option<Vec<OsString>> {
    let name = all.next()?;
    if Path::new(&name).file_name().is_some_and(|name| name == NAME) {
        return Some(all.collect());
    }
    (all.next()? == "oci").then(|| all.collect())
}

/// Runs the command; its status is the process's.
pub(crate) fn main(args: Vec<OsString>) -> ExitCode {
    let enters = args.iter().any(|arg| arg == "create" || arg == "run" || arg == "exec");
    if enters && let Err(error) = oci::seal() {
        Log::default()
            .error(&format!("cannot run from a file that no container can change: {error}"));
        return ExitCode::FAILURE;
    }
    let arguments = OciArguments::parse_from([OsString::from("orca oci")].into_iter().chain(args));
    let log = match Log::open(&arguments.global) {
        Ok(log) => log,
        Err(error) => {
            Log::default().error(&error);
            return ExitCode::FAILURE;
        }
    };
    match verbs::run(arguments, &log) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            log.error(&error.message);
            ExitCode::from(error.code)
        }
    }
}
