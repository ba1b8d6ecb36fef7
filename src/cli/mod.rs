//! The command line: one file per command. The only room that prints.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::model::Instance;

/// The container orchestrator for one server.
#[derive(Debug, Parser)]
#[command(name = "orca", version)]
struct Arguments {
    /// Where everything that is kept lies.
    #[arg(long, global = true, env = "ORCA_ROOT", default_value = Instance::DEFAULT_ROOT)]
    root: PathBuf,
    /// Where sockets and other things of this boot lie.
    #[arg(long, global = true, env = "ORCA_RUN", default_value = Instance::DEFAULT_RUN)]
    run: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the network helper of an instance. The daemon starts it by itself.
    #[command(hide = true)]
    Netd,
    /// Small programs to try orca with; the built-in image runs them.
    #[command(subcommand)]
    Demo(crate::demo::Command),
}

/// Runs the program; its status is the process's.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let instance = Instance { root: arguments.root, run: arguments.run };
    match arguments.verb {
        Verb::Netd => crate::netd::main(&instance),
        Verb::Demo(command) => crate::demo::run(command),
    }
}
