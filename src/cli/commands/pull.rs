//! `orca pull`: gets the images of a stack.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};

use crate::api::control::{ControlError, PullImage};
use crate::api::{Client, Up};
use crate::cli::context::Context;
use crate::cli::error::Outcome;
use crate::cli::{project, transfer};
use crate::compose::Loaded;
use crate::model::{MountSource, PullPolicy, Service};

/// Options of `pull`.
#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// Only the images of these services
    services: Vec<String>,

    /// Also the images of what the named services depend on
    #[arg(long)]
    include_deps: bool,

    /// Do what can be done when an image cannot be pulled
    #[arg(long)]
    ignore_pull_failures: bool,

    /// Leave out images of services that have a `build` section
    #[arg(long)]
    ignore_buildable: bool,

    /// When a registry is asked, instead of what the files say
    #[arg(long, value_name = "POLICY")]
    policy: Option<PullWhen>,

    /// Show no progress
    #[arg(short, long)]
    quiet: bool,

    /// Accepted for docker compose, and has no effect
    #[arg(long, hide = true)]
    no_parallel: bool,
}

/// When a registry is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PullWhen {
    /// When the image is not here
    Missing,
    /// In any case
    Always,
}

/// Options of commands that bring images before they do something else.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Pulling {
    /// When registries are asked for images, instead of what the file says
    #[arg(long, value_name = "POLICY")]
    pull: Option<Overrule>,

    /// Show nothing of images that are pulled
    #[arg(long)]
    quiet_pull: bool,
}

/// When registries are asked, for all services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Overrule {
    /// In any case
    Always,
    /// For images that are not here
    Missing,
    /// Never: images must be here
    Never,
    /// As the file says
    Policy,
}

impl Pulling {
    /// What holds for all services; `None` leaves them as they are.
    fn policy(&self) -> Option<PullPolicy> {
        match self.pull? {
            Overrule::Always => Some(PullPolicy::Always),
            Overrule::Missing => Some(PullPolicy::Missing),
            Overrule::Never => Some(PullPolicy::Never),
            Overrule::Policy => None,
        }
    }
}

/// Runs `pull`.
pub(crate) async fn run(context: &Context, args: PullArgs) -> Outcome<u8> {
    let loaded = project::loaded(context, project::options(context)?)?;
    let up = Up {
        project: loaded.project.clone(),
        services: args.services.clone(),
        no_deps: !args.include_deps,
        ..Up::default()
    };
    let mut wanted = Wanted::default();
    for name in up.chosen()? {
        let Some(service) = up.project.services.get(&name) else { continue };
        match policy(service, &name, &loaded, &args) {
            Ok(policy) => wanted.add(service, policy),
            Err(_) if args.quiet => {}
            Err(reason) => context.output.note(format_args!("{name}  left out: {reason}")),
        }
    }
    let context = &context.unless_quiet(args.quiet);
    let client = context.client_or_start().await?;
    let ended = transfer::pull(context, &client, wanted.images(), true).await?;
    match transfer::all_well(context, &ended) {
        Err(error) if args.ignore_pull_failures && error.code != crate::cli::error::UNREACHABLE => {
            context.output.error(&error);
            Ok(0)
        }
        done => done.map(|()| 0),
    }
}

/// When the registry of a service's image is asked; or why not at all.
fn policy(
    service: &Service,
    name: &str,
    loaded: &Loaded,
    args: &PullArgs,
) -> Result<PullPolicy, &'static str> {
    let attribute = |key: &str| {
        let path = format!("services.{name}.{key}");
        loaded.verdicts.iter().any(|verdict| verdict.path == path)
    };
    if service.image.is_empty() {
        return Err("it has no image");
    }
    if args.ignore_buildable && attribute("build") {
        return Err("its image can be built");
    }
    match (args.policy, service.pull_policy) {
        (Some(PullWhen::Missing), _) => Ok(PullPolicy::Missing),
        (Some(PullWhen::Always), _) => Ok(PullPolicy::Always),
        (None, PullPolicy::Never) => Err("its pull policy is `never`"),
        (None, PullPolicy::Build) => Err("its pull policy is `build`"),
        // What the file says; without a word, to pull means to pull.
        (None, PullPolicy::Missing) if attribute("pull_policy") => Ok(PullPolicy::Missing),
        (None, _) => Ok(PullPolicy::Always),
    }
}

/// Gets what an `up` needs, as the policies of its services say, or those of `pulling` instead.
///
/// # Errors
/// If an image does not come.
pub(crate) async fn before_up(
    context: &Context,
    client: &Client,
    up: &Up,
    pulling: &Pulling,
) -> Outcome {
    let policy = pulling.policy();
    let mut wanted = Wanted::default();
    for name in up.chosen()? {
        if let Some(service) = up.project.services.get(&name) {
            wanted.add(service, policy.unwrap_or(service.pull_policy));
        }
    }
    let images = wanted.images();
    if images.is_empty() {
        return Ok(());
    }
    let context = &context.unless_quiet(pulling.quiet_pull);
    let ended = transfer::pull(context, client, images.clone(), false).await?;
    let told = images.iter().zip(ended).map(|(image, end)| {
        end.map_err(|error| needed_by(up.project.services.iter(), &image.reference, error))
    });
    transfer::all_well(context, &told.collect())
}

/// The error about an image with who needs it, and what else can be done.
fn needed_by<'a>(
    mut services: impl Iterator<Item = (&'a String, &'a Service)>,
    reference: &str,
    error: ControlError,
) -> ControlError {
    let by = services.find(|(_, service)| service.image == reference);
    let who = by.map_or_else(String::new, |(name, _)| format!("service {name}: "));
    let hint = error.hint.unwrap_or_else(|| {
        "from a file it comes with `orca image load -i ARCHIVE`; `orca image ls` shows what is here"
            .to_owned()
    });
    let message = format!("{who}image {reference}: {}", error.message);
    ControlError { message, hint: Some(hint), kind: error.kind }
}

/// The images that services need, each once.
#[derive(Debug, Default)]
struct Wanted(BTreeMap<(String, Option<String>), PullPolicy>);

impl Wanted {
    fn add(&mut self, service: &Service, policy: PullPolicy) {
        let mounted = service.mounts.iter().filter_map(|mount| match &mount.source {
            MountSource::Image { image, .. } => Some((image.clone(), None)),
            _ => None,
        });
        let own = (service.image.clone(), service.platform.clone());
        for key in mounted.chain([own]).filter(|(image, _)| !image.is_empty()) {
            let known = self.0.entry(key).or_insert(policy);
            *known = eager(*known, policy);
        }
    }

    /// What the registries are asked for; what must not be pulled is told of by whoever needs it.
    fn images(self) -> Vec<PullImage> {
        let wanted = self.0.into_iter().filter(|(_, policy)| *policy != PullPolicy::Never);
        wanted
            .map(|((reference, platform), policy)| PullImage { reference, policy, platform })
            .collect()
    }
}

/// Of two policies the one that asks more often.
fn eager(one: PullPolicy, other: PullPolicy) -> PullPolicy {
    let rank = |policy: PullPolicy| match policy {
        PullPolicy::Always => (0, None),
        PullPolicy::Every(time) => (1, Some(time)),
        PullPolicy::Missing | PullPolicy::Build => (2, None),
        PullPolicy::Never => (3, None),
    };
    if rank(one) <= rank(other) { one } else { other }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_image_is_wanted_once_as_eagerly_as_anyone_wants_it() {
        let service = |image: &str| Service { image: image.to_owned(), ..Service::default() };
        let mut wanted = Wanted::default();
        let every = |seconds| PullPolicy::Every(Duration::from_secs(seconds));
        for (image, policy) in [
            ("a", PullPolicy::Missing),
            ("a", PullPolicy::Never),
            ("b", every(60)),
            ("b", every(10)),
            ("b", PullPolicy::Build),
            ("c", PullPolicy::Never),
            ("d", PullPolicy::Always),
            ("d", every(1)),
            ("", PullPolicy::Always),
        ] {
            wanted.add(&service(image), policy);
        }
        let images = wanted.images();
        let found: Vec<_> = images.iter().map(|i| (i.reference.as_str(), i.policy)).collect();
        assert_eq!(
            found,
            [("a", PullPolicy::Missing), ("b", every(10)), ("d", PullPolicy::Always)]
        );
    }
}
