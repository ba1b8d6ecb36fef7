//! `orca image pull` and `orca image push`.

use clap::Args;

use crate::api::control::PullImage;
use crate::cli::context::Context;
use crate::cli::error::Outcome;
use crate::cli::transfer::{self, Ended};
use crate::model::PullPolicy;

/// Options of `image pull`.
#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// Names, with a tag or a digest
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,

    /// For this kind of machine, such as linux/arm64 [default: this one]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,

    /// Show no progress, only the names
    #[arg(short, long)]
    quiet: bool,
}

/// Options of `image push`.
#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// Names, with a tag
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,

    /// All tags that the repositories have here
    #[arg(short, long)]
    all_tags: bool,

    /// Show no progress, only the names
    #[arg(short, long)]
    quiet: bool,
}

/// Runs `image pull`.
pub(super) async fn pull(context: &Context, args: PullArgs) -> Outcome<u8> {
    let PullArgs { images, platform, quiet } = args;
    let image = |reference: &String| PullImage {
        reference: reference.clone(),
        policy: PullPolicy::Always,
        platform: platform.clone(),
    };
    let view = &context.unless_quiet(quiet);
    let client = context.client_or_start().await?;
    let wanted = images.iter().map(image).collect();
    let ended = transfer::pull(view, &client, wanted, true).await?;
    conclude(context, &images, &ended, quiet)
}

/// Runs `image push`.
pub(super) async fn push(context: &Context, args: PushArgs) -> Outcome<u8> {
    let view = &context.unless_quiet(args.quiet);
    let client = context.client_or_start().await?;
    let mut images = args.images;
    if args.all_tags {
        let mut tags = Vec::new();
        for repository in &images {
            tags.extend(tags_of(&client, repository).await?);
        }
        images = tags;
    }
    let ended = transfer::push(view, &client, images.clone()).await?;
    conclude(context, &images, &ended, args.quiet)
}

/// The names here that are a repository with any tag.
async fn tags_of(client: &crate::api::Client, repository: &str) -> Outcome<Vec<String>> {
    use crate::cli::error::CommandError;
    if repository.rsplit('/').next().is_some_and(|last| last.contains(':')) {
        return Err(CommandError::bad_input(format!(
            "with --all-tags a repository is named, without a tag: `{repository}`"
        )));
    }
    let all = client.list_images().await?;
    let names = all.into_iter().flat_map(|image| image.references);
    // Docker's own registry may be left out.
    let forms = [
        format!("{repository}:"),
        format!("docker.io/{repository}:"),
        format!("docker.io/library/{repository}:"),
    ];
    let is_tag = |name: &String| {
        let tag = forms.iter().find_map(|form| name.strip_prefix(form.as_str()));
        tag.is_some_and(|tag| !tag.contains(['/', '@']))
    };
    let found: Vec<_> = names.filter(is_tag).collect();
    if found.is_empty() {
        return Err(CommandError::failed(format!("no image here is called {repository}")));
    }
    Ok(found)
}

fn conclude(context: &Context, names: &[String], ended: &Ended, quiet: bool) -> Outcome<u8> {
    for (name, end) in names.iter().zip(ended) {
        let Ok(done) = end else { continue };
        if quiet {
            context.output.line(name)?;
        } else if !done.digest.is_empty() {
            context.output.line(format_args!("{name}  digest {}", done.digest))?;
        }
    }
    transfer::all_well(context, ended)?;
    Ok(0)
}
