//! `orca plan`: what `up` would do.

use clap::Args;

use super::up;
use crate::api::Up;
use crate::cli::context::{Context, count_of};
use crate::cli::error::Outcome;
use crate::cli::project;

/// Options of `plan`.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Only these services and what they depend on
    services: Vec<String>,

    /// How many containers a service has, instead of what the file says
    #[arg(long, value_name = "SERVICE=NUMBER", value_parser = count_of)]
    scale: Vec<(String, u32)>,
}

/// Runs `plan`.
pub(crate) async fn run(context: &Context, args: PlanArgs) -> Outcome<u8> {
    let mut project = project::project(context)?;
    up::apply_scale(&mut project, &args.scale)?;
    let client = context.client_or_start().await?;
    let up = Up { project, services: args.services, ..Up::default() };
    up::show_plan(context, &client.plan(&up).await?)
}
