//! `orca completion`: what a shell needs to complete orca's commands.

use clap::{Args, Command};
use clap_complete::Shell;

use crate::cli::context::Context;
use crate::cli::error::Outcome;

/// Options of `completion`.
#[derive(Debug, Args)]
pub(crate) struct CompletionArgs {
    /// The shell
    shell: Shell,
}

/// Runs `completion`.
pub(crate) fn run(context: &Context, args: &CompletionArgs, mut command: Command) -> Outcome<u8> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "orca", &mut script);
    context.output.bytes(&script)?;
    Ok(0)
}
