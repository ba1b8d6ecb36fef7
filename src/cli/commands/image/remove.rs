//! `orca image rm`, `orca image tag` and `orca image prune`.

use clap::Args;

use crate::api::control::{PruneImages, RemovedImages};
use crate::cli::commands::daemon::size;
use crate::cli::context::Context;
use crate::cli::error::{FAILED, Outcome};
use crate::cli::filter::{self, Filter};
use crate::cli::format;

/// Options of `image rm`.
#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// Names or ids
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,

    /// Remove all names of an id
    #[arg(short, long)]
    force: bool,

    /// Accepted for docker: images that others are built on are not kept apart
    #[arg(long, hide = true)]
    no_prune: bool,
}

/// Options of `image tag`.
#[derive(Debug, Args)]
pub(crate) struct TagArgs {
    /// Name or id
    source: String,

    /// One more name
    target: String,
}

/// Options of `image prune`.
#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// All that no stack uses, not only images without a name
    #[arg(short, long)]
    all: bool,

    /// Only images that fit: until=TIME (made before), label=KEY[=VALUE], label!=KEY[=VALUE]; can be
    /// given more than once
    #[arg(long, value_name = "FILTER", value_parser = filter::filter)]
    filter: Vec<Filter>,

    /// Only as many as it takes until all images together are no larger, the longest unused first
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_size: Option<u64>,

    /// Accepted for docker: nothing is asked in any case
    #[arg(short, long, hide = true)]
    force: bool,
}

/// Runs `image rm`: as many as can be removed are.
pub(super) async fn run(context: &Context, args: RmArgs) -> Outcome<u8> {
    let client = context.client().await?;
    let mut code = 0;
    for image in &args.images {
        match client.remove_image(image, args.force).await {
            Ok(removed) => told(context, &removed)?,
            Err(error) if error.is_unreachable() => return Err(error.into()),
            Err(error) => {
                context.output.error(&error.into());
                code = FAILED;
            }
        }
    }
    Ok(code)
}

/// Runs `image tag`.
pub(super) async fn tag(context: &Context, args: TagArgs) -> Outcome<u8> {
    context.client().await?.tag_image(&args.source, &args.target).await?;
    Ok(0)
}

/// Runs `image prune`.
pub(super) async fn prune(context: &Context, args: PruneArgs) -> Outcome<u8> {
    let filter = filter::prune(&args.filter, true)?;
    // With a limit, images with names are meant: those without go in any case.
    let all = args.all || args.max_size.is_some();
    let prune = PruneImages { all, filter, max_size: args.max_size };
    let removed = context.client().await?.prune_images(prune).await?;
    told(context, &removed)?;
    context
        .output
        .line(format_args!("Total reclaimed space: {}", format::decimal(removed.freed)))?;
    Ok(0)
}

pub(crate) fn told(context: &Context, removed: &RemovedImages) -> Outcome {
    let output = context.output;
    removed.untagged.iter().try_for_each(|name| output.line(format_args!("Untagged: {name}")))?;
    removed.deleted.iter().try_for_each(|id| output.line(format_args!("Deleted: {id}")))
}
