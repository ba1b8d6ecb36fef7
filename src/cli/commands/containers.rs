//! `orca kill`, `orca pause` and `orca unpause`.

use clap::Args;

use crate::cli::context::Context;
use crate::cli::error::Outcome;

/// Options of `kill`.
#[derive(Debug, Args)]
pub(crate) struct KillArgs {
    /// Services or containers; all if none is named
    names: Vec<String>,

    /// The signal, such as HUP
    #[arg(short, long, default_value = "SIGKILL")]
    signal: String,

    /// Accepted for docker compose: all containers of the stack are meant in any case
    #[arg(long, hide = true)]
    remove_orphans: bool,
}

/// Options of `pause` and `unpause`.
#[derive(Debug, Args)]
pub(crate) struct PauseArgs {
    /// Services or containers; all if none is named
    names: Vec<String>,
}

/// Runs `kill`.
pub(crate) async fn kill(context: &Context, args: KillArgs) -> Outcome<u8> {
    let target = context.target(args.names, None)?;
    let names = context.client().await?.kill(target, &args.signal).await?;
    told(context, &names, "killed")
}

/// Runs `pause`.
pub(crate) async fn pause(context: &Context, args: PauseArgs) -> Outcome<u8> {
    let target = context.target(args.names, None)?;
    let names = context.client().await?.pause(target).await?;
    told(context, &names, "paused")
}

/// Runs `unpause`.
pub(crate) async fn unpause(context: &Context, args: PauseArgs) -> Outcome<u8> {
    let target = context.target(args.names, None)?;
    let names = context.client().await?.unpause(target).await?;
    told(context, &names, "unpaused")
}

fn told(context: &Context, names: &[String], what: &str) -> Outcome<u8> {
    names.iter().try_for_each(|name| context.output.line(format_args!("{name}  {what}")))?;
    Ok(0)
}
