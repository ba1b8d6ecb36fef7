//! `orca image …`: the images that are kept.

pub(crate) mod archive;
mod import;
mod inspect;
mod layout;
mod list;
mod remove;
mod transfer;

pub(crate) use list::familiar;
pub(crate) use remove::told;

use clap::Subcommand;

use crate::cli::context::Context;
use crate::cli::error::Outcome;

/// The verbs of `image`.
#[derive(Debug, Subcommand)]
pub(crate) enum ImageVerb {
    /// Get images from their registries
    ///
    /// What is here already is not fetched again. Starts the daemon if none runs.
    #[command(after_help = "Examples:\n  \
        orca image pull nginx:1.29\n  \
        orca image pull registry.lan:5000/shop/web@sha256:…")]
    Pull(transfer::PullArgs),
    /// Send images to their registries
    #[command(after_help = "Examples:\n  \
        orca image tag web:1 registry.lan:5000/shop/web:1\n  \
        orca image push registry.lan:5000/shop/web:1")]
    Push(transfer::PushArgs),
    /// Load images from an archive that docker, podman, skopeo or orca wrote
    ///
    /// Plain, gzip and zstd archives, in docker's or the OCI format. Starts the daemon if none runs.
    #[command(after_help = "Examples:\n  \
        docker save myapp:1 | orca image load\n  \
        orca image load -i myapp.tar")]
    Load(archive::LoadArgs),
    /// Write images as an archive
    Save(archive::SaveArgs),
    /// Make an image of one layer from a tar of files
    #[command(after_help = "Examples:\n  \
        orca image import rootfs.tar base:1\n  \
        tar -C rootfs -c . | orca image import --change 'CMD [\"/bin/sh\"]' - base:1")]
    Import(import::ImportArgs),
    /// List images
    #[command(visible_alias = "list")]
    Ls(list::LsArgs),
    /// Show all about images, in JSON
    Inspect(inspect::InspectArgs),
    /// Show how an image was made
    History(inspect::HistoryArgs),
    /// Remove images, or only a name of theirs while they have others
    #[command(visible_alias = "remove")]
    Rm(remove::RmArgs),
    /// Give an image one more name
    Tag(remove::TagArgs),
    /// Remove images that nothing needs
    Prune(remove::PruneArgs),
}

/// Runs a verb of `image`.
pub(crate) async fn run(context: &Context, verb: ImageVerb) -> Outcome<u8> {
    match verb {
        ImageVerb::Pull(args) => transfer::pull(context, args).await,
        ImageVerb::Push(args) => transfer::push(context, args).await,
        ImageVerb::Load(args) => archive::load(context, args).await,
        ImageVerb::Save(args) => archive::save(context, args).await,
        ImageVerb::Import(args) => import::run(context, args).await,
        ImageVerb::Ls(args) => list::run(context, args).await,
        ImageVerb::Inspect(args) => inspect::run(context, args).await,
        ImageVerb::History(args) => inspect::history(context, args).await,
        ImageVerb::Rm(args) => remove::run(context, args).await,
        ImageVerb::Tag(args) => remove::tag(context, args).await,
        ImageVerb::Prune(args) => remove::prune(context, args).await,
    }
}
