//! `orca push`: sends the images of a stack to their registries.

use clap::Args;

use crate::api::Up;
use crate::cli::context::Context;
use crate::cli::error::{CommandError, Outcome, UNREACHABLE};
use crate::cli::{project, transfer};

/// Options of `push`.
#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// The images of these services [default: those of all that have a `build` section]
    services: Vec<String>,

    /// Also the images of what the named services depend on
    #[arg(long)]
    include_deps: bool,

    /// Do what can be done when an image cannot be pushed
    #[arg(long)]
    ignore_push_failures: bool,

    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
}

/// Runs `push`.
pub(crate) async fn run(context: &Context, args: PushArgs) -> Outcome<u8> {
    let loaded = project::loaded(context, project::options(context)?)?;
    let up = Up {
        project: loaded.project.clone(),
        services: args.services.clone(),
        no_deps: !args.include_deps,
        ..Up::default()
    };
    let built = |name: &String| {
        let path = format!("services.{name}.build");
        loaded.verdicts.iter().any(|verdict| verdict.path == path)
    };
    let mut references = Vec::new();
    for name in up.chosen()? {
        // Without a name only what was made for this stack is meant: not everybody's nginx.
        if args.services.is_empty() && !built(&name) {
            continue;
        }
        let image = up.project.services.get(&name).map(|service| service.image.clone());
        references.extend(image.filter(|image| !image.is_empty()));
    }
    references.sort();
    references.dedup();
    if references.is_empty() {
        return Err(CommandError::bad_input("there is no image to push")
            .with_hint("name the services: `orca push SERVICE…`, or an image: `orca image push`"));
    }
    let context = &context.unless_quiet(args.quiet);
    let client = context.client_or_start().await?;
    let ended = transfer::push(context, &client, references).await?;
    match transfer::all_well(context, &ended) {
        Err(error) if args.ignore_push_failures && error.code != UNREACHABLE => {
            context.output.error(&error);
            Ok(0)
        }
        done => done.map(|()| 0),
    }
}
