//! Small programs to try orca with: a web server and its client, and some that only wait or end.
//!
//! The built-in image holds nothing but this binary, and runs these. They are programs of the
//! container, not of orca: they know nothing of it, and use nothing of it.

mod fetch;
mod http;
mod names;
mod pages;
mod simple;
#[cfg(test)]
mod tests;
mod url;
mod web;

use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Subcommand;

/// The programs.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Serve some pages over HTTP: `/`, `/health`, `/env`, `/hostname` and `/counter`.
    Web(web::Options),
    /// Get a page over HTTP and print it; fails if the status is not a good one.
    Fetch(fetch::Options),
    /// Wait until told to stop.
    Sleep(simple::Sleep),
    /// End with a status.
    Exit(simple::Exit),
    /// Print numbered lines.
    Print(simple::Print),
}

/// Runs one of the programs. Its status is the process's: 0 if all went well, 1 if not, or what
/// `exit` was told.
pub fn run(command: Command) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(format!("cannot start: {error}")),
    };
    runtime.block_on(async {
        let done = match command {
            Command::Web(options) => web::run(options).await,
            Command::Fetch(options) => fetch::run(options).await,
            Command::Sleep(options) => simple::sleep(options).await,
            Command::Exit(options) => return ExitCode::from(options.code),
            Command::Print(options) => simple::print(options).await,
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => fail(why),
        }
    })
}

/// What went wrong, for a person.
type Outcome<T> = Result<T, String>;

fn fail(why: impl Display) -> ExitCode {
    writeln!(io::stderr(), "error: {why}").ok();
    ExitCode::FAILURE
}

/// Writes a line to the container's log. A log that nobody takes is no reason to end.
fn say(line: impl Display) {
    writeln!(io::stdout(), "{line}").ok();
}

/// Begins to watch for SIGTERM and SIGINT; the future waits for one. As the first process of a
/// container we would not end by them otherwise.
fn watch_for_stop() -> Outcome<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let watch = |kind| signal(kind).map_err(|error| format!("cannot watch for signals: {error}"));
    let mut terminate = watch(SignalKind::terminate())?;
    let mut interrupt = watch(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
