//! `orca attach`: connects to a container's own program.

use clap::Args;

use crate::api::control::Attach;
use crate::cli::context::Context;
use crate::cli::error::Outcome;
use crate::cli::session::{self, Connection, DetachKeys};
use crate::cli::terminal;

/// Options of `attach`.
#[derive(Debug, Args)]
pub(crate) struct AttachArgs {
    /// The service, or a container
    service: String,

    /// Keys that leave the program alone and end this command
    #[arg(long, value_name = "KEYS", default_value = session::DETACH_KEYS)]
    detach_keys: DetachKeys,

    /// The container with this number [default: the first that runs]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    index: Option<u32>,

    /// Do not connect standard input
    #[arg(long)]
    no_stdin: bool,

    /// Whether signals to this command go to the program
    #[arg(
        long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", action = clap::ArgAction::Set
    )]
    sig_proxy: bool,
}

/// Runs `attach`; its exit status is the program's.
pub(crate) async fn run(context: &Context, args: AttachArgs) -> Outcome<u8> {
    let target = context.target(vec![args.service], args.index)?;
    let stdin = !args.no_stdin;
    let terminal = stdin && terminal::input_is_terminal();
    let size = if terminal { terminal::size(std::io::stdout()) } else { None };
    let client = context.client().await?;
    let mut session = client.attach(target, Attach { stdin, size }).await?;
    let tty = session.output.has_terminal().await? && terminal;
    let detach_keys = tty.then_some(args.detach_keys);
    let connection = Connection { tty, stdin, signals: args.sig_proxy, detach_keys };
    session::run(session, connection).await
}
