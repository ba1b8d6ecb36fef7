//! `orca create`: prepares a stack without starting it.

use clap::Args;

use super::pull::{self, Pulling};
use super::up;
use crate::api::{Recreate, Up};
use crate::cli::context::{Context, count_of};
use crate::cli::error::Outcome;
use crate::cli::project;

/// Options of `create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Only these services and what they depend on
    services: Vec<String>,

    /// Replace all containers, also those whose service did not change
    #[arg(long, conflicts_with = "no_recreate")]
    force_recreate: bool,

    /// Leave services alone that are there already
    #[arg(long)]
    no_recreate: bool,

    #[command(flatten)]
    pulling: Pulling,

    /// How many containers a service has, instead of what the file says
    #[arg(long, value_name = "SERVICE=NUMBER", value_parser = count_of)]
    scale: Vec<(String, u32)>,

    /// Accepted for docker compose: services that are gone from the file are always removed
    #[arg(long, hide = true)]
    remove_orphans: bool,

    /// Accepted for docker compose: orca never asks
    #[arg(short, long, hide = true)]
    yes: bool,

    /// Accepted for docker compose: orca does not build images
    #[arg(long, hide = true)]
    no_build: bool,

    /// Known from docker compose, and refused
    #[arg(long, hide = true, conflicts_with = "no_build")]
    build: bool,
}

/// Runs `create`.
pub(crate) async fn run(context: &Context, args: CreateArgs) -> Outcome<u8> {
    up::refuse_build(args.build)?;
    let mut project = project::project(context)?;
    up::apply_scale(&mut project, &args.scale)?;
    let recreate = Recreate::from_flags(args.force_recreate, args.no_recreate);
    let services = args.services;
    let up = Up { project, services, recreate, no_start: true, ..Up::default() };
    let client = context.client_or_start().await?;
    pull::before_up(context, &client, &up, &args.pulling).await?;
    let applied = client.apply(&up).await?;
    applied.warnings.iter().for_each(|warning| context.output.warning(warning));
    up::prepared(context, &up.project.name)
}
