//! `orca down`: takes a stack down.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::services;
use crate::api::control::Remove;
use crate::api::{Client, StackReport};
use crate::cli::context::Context;
use crate::cli::error::Outcome;
use crate::cli::format;
use crate::cli::progress::Progress;
use crate::cli::wait::Wait;

/// Options of `down`.
#[derive(Debug, Args)]
pub(crate) struct DownArgs {
    /// Only stop and remove these services; the rest of the stack stays
    #[arg(conflicts_with_all = ["volumes", "rmi"])]
    services: Vec<String>,

    /// Remove the stack's named volumes and what is in them, too
    #[arg(short, long)]
    volumes: bool,

    /// Seconds that programs have to end, instead of what their services say
    #[arg(short, long, value_name = "SECONDS", value_parser = format::duration)]
    timeout: Option<Duration>,

    /// Remove the images of the services, too
    #[arg(long, value_name = "WHICH")]
    rmi: Option<Rmi>,

    /// Accepted for docker compose: all containers of the stack are always removed
    #[arg(long, hide = true)]
    remove_orphans: bool,
}

/// Which images `down` removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Rmi {
    /// Those that the services name, unless another stack uses them
    All,
    /// Those that were built without a name: orca has none of them
    Local,
}

/// Runs `down`.
pub(crate) async fn run(context: &Context, args: DownArgs) -> Outcome<u8> {
    if !args.services.is_empty() {
        return services::down(context, args.services, args.timeout, true).await;
    }
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
    if args.rmi == Some(Rmi::All) {
        remove_images(context, &client, &before).await?;
    }
    Ok(0)
}

/// Removes the images that the stack's services named. One that something else needs stays, and is
/// told of.
async fn remove_images(context: &Context, client: &Client, before: &StackReport) -> Outcome {
    let services = before.status.services.values();
    let images: BTreeSet<&str> = services.map(|service| service.image.as_str()).collect();
    for image in images {
        match client.remove_image(image, false).await {
            Ok(_) => context.output.line(format_args!("{image}  removed"))?,
            Err(error) if error.is_unreachable() => return Err(error.into()),
            Err(error) => context.output.warning(format_args!("{image} stays: {error}")),
        }
    }
    Ok(())
}
