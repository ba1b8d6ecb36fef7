//! `orca down`: takes a stack down.

use std::time::Duration;

use clap::Args;

use crate::api::control::Remove;
use crate::cli::context::Context;
use crate::cli::error::Outcome;
use crate::cli::format;
use crate::cli::progress::Progress;
use crate::cli::wait::Wait;

/// Options of `down`.
#[derive(Debug, Args)]
pub(crate) struct DownArgs {
    /// Remove the stack's named volumes and what is in them, too
    #[arg(short, long)]
    volumes: bool,

    /// Seconds that programs have to end, instead of what their services say
    #[arg(short, long, value_name = "SECONDS", value_parser = format::duration)]
    timeout: Option<Duration>,

    /// Accepted for docker compose: all containers of the stack are always removed
    #[arg(long, hide = true)]
    remove_orphans: bool,
}

/// Runs `down`.
pub(crate) async fn run(context: &Context, args: DownArgs) -> Outcome<u8> {
    let stack = context.stack()?;
    let client = context.client().await?;
    let before = client.list().await?.into_iter().find(|report| report.status.name == stack);
    let Some(before) = before else {
        context.output.note(format_args!("there is no stack `{stack}`: nothing to take down"));
        return Ok(0);
    };
    let progress = Progress::new(context.output, Some(&before.status));
    let remove = Remove { stack: stack.clone(), volumes: args.volumes, grace: args.timeout };
    client.remove(remove).await?;
    let mut wait = Wait {
        context,
        client: &client,
        stack: &stack,
        progress,
        timeout: None,
        goes_on: format!("orca goes on taking {stack} down"),
    };
    wait.until(|report| report.is_none().then_some(())).await?;
    context.output.line(format_args!("{stack} is down"))?;
    Ok(0)
}
