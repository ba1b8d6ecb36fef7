//! `orca stop`, `orca start`, `orca restart` and `orca scale`: change services of a stack that is up.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;

use super::follow::runs;
use super::up::{Verdict, conclude};
use crate::api::control::{Scale, Services};
use crate::api::{Client, StackReport};
use crate::cli::context::{Context, count_of};
use crate::cli::error::Outcome;
use crate::cli::format;
use crate::cli::progress::Progress;
use crate::cli::wait::Wait;
use crate::model::{TaskId, TaskState, TaskStatus};

/// Options of `stop` and `restart`.
#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// The services; all if none is named
    services: Vec<String>,

    /// Seconds that programs have to end, instead of what their services say
    #[arg(short, long, value_name = "SECONDS", value_parser = format::duration)]
    timeout: Option<Duration>,
}

/// Options of `start`.
#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    /// The services; all if none is named
    services: Vec<String>,
}

/// Options of `scale`.
#[derive(Debug, Args)]
pub(crate) struct ScaleArgs {
    /// How many containers a service has
    #[arg(required = true, value_name = "SERVICE=NUMBER", value_parser = count_of)]
    scale: Vec<(String, u32)>,

    /// Return once the change is accepted, without waiting
    #[arg(short, long)]
    detach: bool,

    /// Accepted for docker compose: only the named services are changed in any case
    #[arg(long, hide = true)]
    no_deps: bool,
}

/// Runs `stop`.
pub(crate) async fn stop(context: &Context, args: StopArgs) -> Outcome<u8> {
    down(context, args.services, args.timeout, false).await
}

/// Stops services (all if none is named) and waits until nothing of them runs. With `remove`, until
/// nothing of them is left.
pub(crate) async fn down(
    context: &Context,
    names: Vec<String>,
    grace: Option<Duration>,
    remove: bool,
) -> Outcome<u8> {
    let change = Change::begin(context).await?;
    let services = change.services(&names);
    change.client.stop(Services { remove, ..change.request(names, grace) }).await?;
    let stack = change.stack.clone();
    let stopped = |report: &StackReport| {
        let all = services
            .iter()
            .all(|name| report.status.services.get(name).is_none_or(|service| service.stopped));
        let is_left = |task: &TaskStatus| remove || runs(task);
        let mut tasks = report.status.tasks.iter();
        let gone = !tasks.any(|task| services.contains(&task.service) && is_left(task));
        (all && gone).then_some(())
    };
    let mut wait = change.wait(format!("orca goes on stopping services of {stack}"));
    wait.until(|report| report.map_or(Some(()), stopped)).await?;
    Ok(0)
}

/// Runs `start`.
pub(crate) async fn start(context: &Context, args: StartArgs) -> Outcome<u8> {
    let change = Change::begin(context).await?;
    let services = change.services(&args.services);
    // Those that ended for good are made anew.
    let old = change.tasks(|task| services.contains(&task.service) && !runs(task));
    change.client.start(change.request(args.services, None)).await?;
    change
        .until_converged("starting services", |report| {
            let status = &report.status;
            let started =
                services.iter().all(|s| status.services.get(s).is_none_or(|s| !s.stopped));
            started && !status.tasks.iter().any(|task| old.contains(&task.task))
        })
        .await
}

/// Runs `restart`.
pub(crate) async fn restart(context: &Context, args: StopArgs) -> Outcome<u8> {
    let change = Change::begin(context).await?;
    let services = change.services(&args.services);
    let old = change.tasks(|task| services.contains(&task.service));
    change.client.restart(change.request(args.services, args.timeout)).await?;
    change
        .until_converged("restarting services", |report| {
            !report.status.tasks.iter().any(|task| old.contains(&task.task))
        })
        .await
}

/// Runs `scale`.
pub(crate) async fn scale(context: &Context, args: ScaleArgs) -> Outcome<u8> {
    let change = Change::begin(context).await?;
    let replicas: std::collections::BTreeMap<_, _> = args.scale.into_iter().collect();
    let stack = change.stack.clone();
    change.client.scale(Scale { stack, replicas: replicas.clone() }).await?;
    if args.detach {
        return Ok(0);
    }
    change
        .until_converged("scaling", |report| {
            let wanted = |name| report.status.services.get(name).map(|service| service.wanted);
            replicas.iter().all(|(name, count)| wanted(name) == Some(*count))
        })
        .await
}

/// A change of a stack that is up.
struct Change<'a> {
    context: &'a Context,
    client: Client,
    stack: String,
    before: StackReport,
}

impl<'a> Change<'a> {
    async fn begin(context: &'a Context) -> Outcome<Self> {
        let stack = context.stack()?;
        let client = context.client().await?;
        let before = client.stack(&stack).await?;
        Ok(Self { context, client, stack, before })
    }

    /// The services that were named, or all.
    fn services(&self, names: &[String]) -> BTreeSet<String> {
        if names.is_empty() {
            return self.before.status.services.keys().cloned().collect();
        }
        names.iter().cloned().collect()
    }

    /// The tasks that were there before and that `which` is about.
    fn tasks(&self, which: impl Fn(&TaskStatus) -> bool) -> BTreeSet<TaskId> {
        let tasks = self.before.status.tasks.iter();
        tasks.filter(|task| which(task)).map(|task| task.task).collect()
    }

    fn request(&self, services: Vec<String>, grace: Option<Duration>) -> Services {
        Services { stack: self.stack.clone(), services, grace, remove: false }
    }

    fn wait(&self, goes_on: String) -> Wait<'_> {
        Wait {
            context: self.context,
            client: &self.client,
            stack: &self.stack,
            progress: Progress::new(self.context.output, Some(&self.before.status)),
            timeout: None,
            goes_on,
        }
    }

    /// Waits until the view shows the change (`seen`) and all is as wanted.
    async fn until_converged(
        self,
        doing: &str,
        seen: impl Fn(&StackReport) -> bool,
    ) -> Outcome<u8> {
        let mut wait = self.wait(format!("orca goes on {doing} of {}", self.stack));
        let verdict = wait
            .until(|report| {
                let report = report?;
                if !seen(report) {
                    return None;
                }
                let status = &report.status;
                match (&status.failed, status.converged) {
                    (_, true) => Some(Verdict::Converged(Box::new(report.clone()))),
                    (Some(why), _) => Some(Verdict::Failed(Box::new(report.clone()), why.clone())),
                    (None, false) => None,
                }
            })
            .await?;
        conclude(self.context, &self.client, &self.stack, verdict).await
    }
}

/// Options of `wait`.
#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// The services
    #[arg(required = true)]
    services: Vec<String>,

    /// Take the stack down as soon as the first container has ended
    #[arg(long)]
    down_project: bool,
}

/// Runs `wait`: until the containers of the services have ended for good, or were stopped.
pub(crate) async fn wait(context: &Context, args: WaitArgs) -> Outcome<u8> {
    let change = Change::begin(context).await?;
    let target = context.target(args.services.clone(), None)?;
    // Only to be told of names that are wrong.
    drop(change.client.stats(Some(target), true).await?);
    let mut wait = Wait {
        progress: Progress::new(context.output.quiet(), None),
        ..change.wait("nothing was changed".to_owned())
    };
    let codes = wait
        .until(|report| {
            let tasks = report.map(|report| report.status.tasks.as_slice()).unwrap_or_default();
            let named = |task: &&TaskStatus| {
                args.services.contains(&task.service) || args.services.contains(&task.name)
            };
            let ours = tasks.iter().filter(named);
            let ended: Vec<_> = ours.clone().filter(|task| is_over(task)).collect();
            let over = ended.len() == ours.count() || args.down_project && !ended.is_empty();
            over.then(|| ended.iter().map(|task| task.exit_code.unwrap_or(0)).collect::<Vec<_>>())
        })
        .await?;
    codes.iter().try_for_each(|code| context.output.line(code))?;
    if args.down_project {
        let stack = change.stack.clone();
        change.client.remove(crate::api::control::Remove { stack, ..Default::default() }).await?;
    }
    let first = codes.iter().copied().find(|code| *code != 0).unwrap_or(0);
    Ok(crate::cli::context::exit_code(first))
}

fn is_over(task: &TaskStatus) -> bool {
    matches!(task.state, TaskState::Completed | TaskState::Failed)
}
