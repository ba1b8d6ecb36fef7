//! `orca ps`: the containers of a stack.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::cli::context::Context;
use crate::cli::error::{CommandError, Outcome};
use crate::cli::format::{self, Publisher};
use crate::model::{ContainerId, Health, TaskState, TaskStatus, Timestamp};
use crate::sys::clock;

/// Options of `ps`.
#[derive(Debug, Args)]
pub(crate) struct PsArgs {
    /// Only these services
    services: Vec<String>,

    /// Also containers that have ended
    #[arg(short, long)]
    all: bool,

    /// Only the ids
    #[arg(short, long)]
    quiet: bool,

    /// Only the names of services
    #[arg(long = "services", conflicts_with = "quiet")]
    only_services: bool,

    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: PsFormat,

    /// Only containers in this state: created, running, paused, restarting, exited
    #[arg(long, value_name = "STATE", value_parser = STATES)]
    status: Vec<String>,

    /// Only containers with this property: status=STATE, health=HEALTH, name=NAME
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,

    /// Show everything in full
    #[arg(long)]
    no_trunc: bool,
}

/// Docker's words for states.
const STATES: [&str; 5] = ["created", "running", "paused", "restarting", "exited"];

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PsFormat {
    /// A table
    Table,
    /// One JSON object for each container, a line each
    Json,
}

/// Runs `ps`.
pub(crate) async fn run(context: &Context, args: PsArgs) -> Outcome<u8> {
    let filters =
        args.filter.iter().map(|text| Filter::new(text)).collect::<Result<Vec<_>, _>>()?;
    let stack = context.stack()?;
    let tasks = tasks(context, &stack).await?;
    if let Some(unknown) = unknown_service(&args.services, &tasks) {
        return Err(CommandError::failed(format!("there is no service or container `{unknown}`")));
    }
    let is_shown = |task: &&TaskStatus| {
        let named = args.services.is_empty()
            || args.services.iter().any(|name| name == service(task) || *name == task.name);
        let state = format::docker_state(task.state);
        let asked = args.status.is_empty() || args.status.iter().any(|status| status == state);
        let all = args.all || !args.status.is_empty() || !args.filter.is_empty();
        // As in docker compose: what runs one program beside the services is shown with --all.
        let beside = task.one_off.is_some() && !args.all && args.services.is_empty();
        let ended = !all && state == "exited";
        named && asked && !beside && !ended && filters.iter().all(|f| f.lets(task))
    };
    let shown: Vec<_> = tasks.iter().filter(is_shown).collect();
    print(context, &args, &shown)?;
    Ok(0)
}

/// The stack's tasks; none when there is no such stack or no daemon.
async fn tasks(context: &Context, stack: &str) -> Outcome<Vec<TaskStatus>> {
    let Some(client) = context.client_unless_stopped().await? else {
        context.output.note("no orca daemon is running");
        return Ok(Vec::new());
    };
    let reports = client.list().await?;
    let report = reports.into_iter().find(|report| report.status.name == stack);
    Ok(report.map(|report| report.status.tasks).unwrap_or_default())
}

/// The service that a task is of, or was made from.
fn service(task: &TaskStatus) -> &str {
    task.one_off.as_deref().unwrap_or(&task.service)
}

fn unknown_service<'a>(names: &'a [String], tasks: &[TaskStatus]) -> Option<&'a String> {
    let known = |name: &String| tasks.iter().any(|t| service(t) == name || t.name == *name);
    names.iter().find(|name| !tasks.is_empty() && !known(name))
}

fn print(context: &Context, args: &PsArgs, tasks: &[&TaskStatus]) -> Outcome {
    let output = context.output;
    if args.quiet {
        let id = |task: &TaskStatus| task.container.as_ref().map(ContainerId::to_string);
        return tasks.iter().filter_map(|task| id(task)).try_for_each(|id| output.line(id));
    }
    if args.only_services {
        let mut names: Vec<_> = tasks.iter().map(|task| service(task)).collect();
        names.sort_unstable();
        names.dedup();
        return names.into_iter().try_for_each(|name| output.line(name));
    }
    let now = clock::wall();
    match args.format {
        PsFormat::Json => tasks.iter().try_for_each(|task| output.json(&Row::of(task, now))),
        PsFormat::Table => output.text(&table(tasks, now, args.no_trunc)),
    }
}

/// The table as docker compose draws it.
fn table(tasks: &[&TaskStatus], now: Timestamp, in_full: bool) -> String {
    let row = |task: &&TaskStatus| {
        let command =
            if in_full { task.command.clone() } else { format::shortened(&task.command, 20) };
        vec![
            task.name.clone(),
            task.image.clone(),
            format!("\"{command}\""),
            service(task).to_owned(),
            format::ago(age(task, now)),
            format::status(task),
            format::ports(&format::publishers(task)),
        ]
    };
    let header = ["NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS"];
    format::table(&header, tasks.iter().map(row))
}

fn age(task: &TaskStatus, now: Timestamp) -> Duration {
    now.0.saturating_sub(task.created.0)
}

/// A container in JSON: docker compose's words where it has them, then ours.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    name: &'a str,
    names: &'a str,
    service: &'a str,
    project: &'a str,
    image: &'a str,
    command: String,
    created_at: String,
    running_for: String,
    state: &'static str,
    status: String,
    health: &'static str,
    exit_code: i32,
    publishers: Vec<Publisher>,
    ports: String,
    networks: String,
    labels: String,
    // From here on ours.
    slot: u32,
    task: String,
    attempt: u32,
    phase: &'static str,
    reason: Option<&'a str>,
    oom_killed: bool,
    restarts: u32,
    revision: &'a str,
    pid: Option<u32>,
    addresses: BTreeMap<&'a str, String>,
    host_users: Option<&'a str>,
}

impl<'a> Row<'a> {
    fn of(task: &'a TaskStatus, now: Timestamp) -> Self {
        let publishers = format::publishers(task);
        let label = |(key, value): (&String, &String)| format!("{key}={value}");
        let address =
            |(network, ip): (&'a String, &std::net::Ipv4Addr)| (network.as_str(), ip.to_string());
        Self {
            id: task.container.as_ref().map(ContainerId::as_str).unwrap_or_default(),
            name: &task.name,
            names: &task.name,
            service: service(task),
            project: &task.stack,
            image: &task.image,
            command: format!("\"{}\"", task.command),
            created_at: format::local(task.created),
            running_for: format::ago(age(task, now)),
            state: format::docker_state(task.state),
            status: format::status(task),
            health: health(task.health),
            exit_code: exit_code(task),
            ports: format::ports(&publishers),
            publishers,
            networks: task.addresses.keys().cloned().collect::<Vec<_>>().join(","),
            labels: task.labels.iter().map(label).collect::<Vec<_>>().join(","),
            slot: task.slot,
            task: task.task.to_string(),
            attempt: task.attempt.map_or(0, |attempt| attempt.number),
            phase: format::phase(task.state),
            reason: task.reason.as_deref(),
            oom_killed: task.oom,
            restarts: task.restarts,
            revision: &task.revision,
            pid: task.pid,
            addresses: task.addresses.iter().map(address).collect(),
            host_users: task.host_users.as_deref(),
        }
    }
}

/// 0 while the program runs, as in docker.
fn exit_code(task: &TaskStatus) -> i32 {
    let runs = matches!(task.state, TaskState::Running | TaskState::Paused | TaskState::Stopping);
    if runs { 0 } else { task.exit_code.unwrap_or(0) }
}

fn health(health: Health) -> &'static str {
    match health {
        Health::None => "",
        Health::Starting => "starting",
        Health::Healthy => "healthy",
        Health::Unhealthy => "unhealthy",
    }
}

/// What `--filter` asks for.
#[derive(Debug, PartialEq, Eq)]
enum Filter {
    Status(String),
    Health(String),
    Name(String),
}

impl Filter {
    fn new(text: &str) -> Outcome<Self> {
        let value = |value: &str| value.to_owned();
        match text.split_once('=') {
            Some(("status", state)) if STATES.contains(&state) => Ok(Self::Status(value(state))),
            Some(("status", state)) => {
                let error =
                    CommandError::bad_input(format!("--filter: there is no state `{state}`"));
                Err(error.with_hint(format!("the states are: {}", STATES.join(", "))))
            }
            Some(("health", health)) => Ok(Self::Health(value(health))),
            Some(("name", name)) => Ok(Self::Name(value(name))),
            _ => Err(CommandError::bad_input(format!("--filter: cannot understand `{text}`"))
                .with_hint("use status=STATE, health=HEALTH or name=NAME")),
        }
    }

    fn lets(&self, task: &TaskStatus) -> bool {
        match self {
            Self::Status(state) => format::docker_state(task.state) == state,
            Self::Health(wanted) => health(task.health) == wanted,
            Self::Name(name) => task.name.contains(name.as_str()),
        }
    }
}

#[cfg(test)]
mod tests;
