//! `orca up`: makes a stack what the files say, and waits until it is.

use std::time::Duration;

use clap::Args;

use super::follow::{self, Follow};
use super::pull::{self, Pulling};
use crate::api::control::Preview;
use crate::api::{Client, Recreate, StackReport, Up};
use crate::cli::context::{Context, count_of};
use crate::cli::error::{CommandError, Outcome};
use crate::cli::progress::Progress;
use crate::cli::wait::Wait;
use crate::cli::{failure, format, project, summary};
use crate::model::{Health, Project, TaskStatus};

/// Options of `up`.
#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Only these services and what they depend on
    services: Vec<String>,

    /// Return once the stack is accepted, without waiting until it runs
    #[arg(short, long)]
    detach: bool,

    /// Wait until everything runs and is healthy; this is so unless --detach is given
    #[arg(long, hide = true, overrides_with = "detach")]
    wait: bool,

    /// Give up waiting after this many seconds; the stack goes on
    #[arg(long, value_name = "SECONDS", value_parser = format::duration)]
    wait_timeout: Option<Duration>,

    /// Replace all containers, also those whose service did not change
    #[arg(long, conflicts_with = "no_recreate")]
    force_recreate: bool,

    /// Leave services alone that are there already
    #[arg(long)]
    no_recreate: bool,

    /// Do not start what the named services depend on
    #[arg(long, requires = "services")]
    no_deps: bool,

    /// Prepare the services that are new without starting them; `start` starts them
    #[arg(long, conflicts_with_all = ["attach", "abort_on_container_exit", "exit_code_from"])]
    no_start: bool,

    /// Seconds that replaced programs have to end, instead of what their services say
    #[arg(short, long, value_name = "SECONDS", value_parser = format::duration)]
    timeout: Option<Duration>,

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

    #[command(flatten)]
    pulling: Pulling,

    /// How many containers a service has, instead of what the file says
    #[arg(long, value_name = "SERVICE=NUMBER", value_parser = count_of)]
    scale: Vec<(String, u32)>,

    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,

    /// Stay and show the logs of all services, or of one; Ctrl-C stops the stack
    #[arg(long, value_name = "SERVICE", num_args = 0..=1, require_equals = true)]
    attach: Option<Option<String>>,

    /// Show the logs, and stop everything as soon as one container ends
    #[arg(long, conflicts_with = "detach")]
    abort_on_container_exit: bool,

    /// Like --abort-on-container-exit, and exit with the status of this service
    #[arg(long, value_name = "SERVICE", conflicts_with = "detach")]
    exit_code_from: Option<String>,

    /// With --attach: show lines without the container's name
    #[arg(long)]
    no_log_prefix: bool,

    /// With --attach: show when each line was written
    #[arg(long)]
    timestamps: bool,
}

impl UpArgs {
    /// As `--dry-run`.
    pub(crate) fn try_only(&mut self) {
        self.dry_run = true;
    }
}

/// Runs `up`.
pub(crate) async fn run(context: &Context, args: UpArgs) -> Outcome<u8> {
    refuse_build(args.build)?;
    let mut project = project::project(context)?;
    apply_scale(&mut project, &args.scale)?;
    let recreate = Recreate::from_flags(args.force_recreate, args.no_recreate);
    let services = args.services.clone();
    let up = Up {
        project,
        services,
        no_deps: args.no_deps,
        recreate,
        no_start: args.no_start,
        grace: args.timeout,
    };
    if let Some(service) = args.exit_code_from.as_ref().filter(|s| !has_service(&up.project, s)) {
        return Err(CommandError::bad_input(format!("there is no service `{service}`")));
    }
    let client = context.client_or_start().await?;
    if args.dry_run {
        return show_plan(context, &client.plan(&up).await?);
    }
    pull::before_up(context, &client, &up, &args.pulling).await?;
    let stack = up.project.name.clone();
    let before = client.list().await?.into_iter().find(|report| report.status.name == stack);
    let progress = Progress::new(context.output, before.as_ref().map(|report| &report.status));
    let applied = client.apply(&up).await?;
    applied.warnings.iter().for_each(|warning| context.output.warning(warning));
    if let Some(follow) = follow(&args) {
        return follow::run(context, &client, &stack, applied.generation, follow).await;
    }
    if args.no_start {
        return prepared(context, &stack);
    }
    if args.detach {
        context.output.line(format_args!("{stack} accepted"))?;
        return Ok(0);
    }
    let mut wait = Wait {
        context,
        client: &client,
        stack: &stack,
        progress,
        timeout: args.wait_timeout,
        goes_on: format!("orca goes on with {stack}"),
    };
    let verdict = loop {
        let verdict = wait.until(|report| judge(report?, applied.generation)).await?;
        match unsettled(&verdict) {
            Some(rest) => tokio::time::sleep(rest).await,
            None => break verdict,
        }
    };
    conclude(context, &client, &stack, verdict).await
}

/// Says that a stack is there and waits for `start`.
pub(crate) fn prepared(context: &Context, stack: &str) -> Outcome<u8> {
    context.output.line(format_args!("{stack} is prepared: `orca -p {stack} start` starts it"))?;
    Ok(0)
}

/// Says what to do instead of `--build`.
pub(crate) fn refuse_build(build: bool) -> Outcome {
    if !build {
        return Ok(());
    }
    Err(CommandError::bad_input("--build: orca does not build images yet").with_hint(
        "build it with another program, then `docker save IMAGE | orca image load`, and leave \
         --build out",
    ))
}

/// How an `up` ended.
pub(crate) enum Verdict {
    /// All is as wanted.
    Converged(Box<StackReport>),
    /// It will not become so without help, for this reason.
    Failed(Box<StackReport>, String),
}

/// Whether the stack has become what generation `generation` of it says.
pub(crate) fn judge(report: &StackReport, generation: u64) -> Option<Verdict> {
    let status = &report.status;
    if status.generation < generation {
        return None;
    }
    match (&status.failed, status.converged) {
        (_, true) => Some(Verdict::Converged(Box::new(report.clone()))),
        (Some(reason), _) => Some(Verdict::Failed(Box::new(report.clone()), reason.clone())),
        (None, false) => None,
    }
}

/// How long a program without a health check must have run to count as up. Most that cannot run at all
/// (a wrong option, a missing file) end sooner.
const SETTLED: Duration = Duration::from_millis(300);

/// What is left until every program of a stack that is up has run for long enough; `None` when all
/// have.
fn unsettled(verdict: &Verdict) -> Option<Duration> {
    let Verdict::Converged(report) = verdict else { return None };
    let young = |task: &TaskStatus| {
        let checked = task.health != Health::None;
        SETTLED.checked_sub(task.running_for.filter(|_| !checked)?)
    };
    report.status.tasks.iter().filter_map(young).max()
}

/// Says how it ended.
pub(crate) async fn conclude(
    context: &Context,
    client: &Client,
    stack: &str,
    verdict: Verdict,
) -> Outcome<u8> {
    match verdict {
        Verdict::Converged(report) => {
            summary::lines(&report.status).iter().try_for_each(|line| context.output.line(line))?;
            problems(context, &report);
            Ok(0)
        }
        Verdict::Failed(report, reason) => {
            problems(context, &report);
            failure::show_last_words(context, client, &report.status).await;
            Err(CommandError::failed(format!("{stack} did not come up: {reason}"))
                .with_hint(format!("`orca -p {stack} ps -a` and `orca -p {stack} logs` show more")))
        }
    }
}

fn problems(context: &Context, report: &StackReport) {
    report.problems.iter().for_each(|problem| context.output.warning(&problem.message));
}

/// Prints what would be done.
pub(crate) fn show_plan(context: &Context, preview: &Preview) -> Outcome<u8> {
    preview.warnings.iter().for_each(|warning| context.output.warning(warning));
    if preview.steps.is_empty() {
        context.output.line("nothing to do")?;
    }
    preview.steps.iter().try_for_each(|step| context.output.line(step))?;
    Ok(0)
}

/// Puts `--scale` into the project.
pub(crate) fn apply_scale(project: &mut Project, scale: &[(String, u32)]) -> Outcome {
    for (name, count) in scale {
        let Some(service) = project.services.get_mut(name) else {
            let names: Vec<_> = project.services.keys().map(String::as_str).collect();
            let error = CommandError::bad_input(format!("--scale: there is no service `{name}`"));
            return Err(error.with_hint(format!("the services are: {}", names.join(", "))));
        };
        service.deploy.replicas = Some(*count);
    }
    Ok(())
}

fn has_service(project: &Project, name: &str) -> bool {
    project.services.contains_key(name)
}

fn follow(args: &UpArgs) -> Option<Follow> {
    let abort = args.abort_on_container_exit || args.exit_code_from.is_some();
    if args.attach.is_none() && !abort {
        return None;
    }
    let only = args.attach.clone().flatten();
    Some(Follow {
        services: only.into_iter().collect(),
        abort,
        exit_code_from: args.exit_code_from.clone(),
        prefix: !args.no_log_prefix,
        timestamps: args.timestamps,
    })
}
