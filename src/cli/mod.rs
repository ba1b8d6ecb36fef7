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
    /// Run the daemon.
    Daemon,
    /// Small programs to try orca with; the built-in image runs them.
    #[command(subcommand)]
    Demo(crate::demo::Command),
}

/// Runs the program; its status is the process's.
pub fn main() -> ExitCode {
    let args = std::env::args_os().skip(1).collect::<Vec<_>>();
    // Before anything else looks at the arguments: the launcher must stay small.
    if let [verb, _, root, _, run] = args.as_slice()
        && verb == "launcher"
    {
        let (root, run) = (root.into(), run.into());
        return crate::runtime::launcher::main(&Instance { root, run });
    }
    let arguments = Arguments::parse();
    let instance = Instance { root: arguments.root, run: arguments.run };
    match arguments.verb {
        Verb::Netd => crate::netd::main(&instance),
        Verb::Daemon => crate::daemon::main(instance),
        Verb::Demo(command) => crate::demo::run(command),
    }
}
