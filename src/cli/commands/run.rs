//! `orca run`: runs a program in a container of its own, made from a service.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::Args;
use futures_util::StreamExt as _;

use super::pull::{self, Pulling};
use crate::api::client::ClientSession;
use crate::api::control::Run;
use crate::api::{Client, Recreate, Up};
use crate::cli::context::Context;
use crate::cli::error::{CommandError, Outcome};
use crate::cli::progress::Progress;
use crate::cli::session::{self, Connection, DetachKeys};
use crate::cli::{project, terminal};
use crate::compose::short;
use crate::model::{
    Deploy, DeployMode, MountSource, OneOff, Project, RestartCondition, RestartPolicy, Service,
    Volume,
};
use crate::sys::random;

/// Options of `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The service, and what it is to run instead of its own command; options of `run` come before it
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "SERVICE [COMMAND]"
    )]
    words: Vec<String>,

    /// Leave it alone once it runs, and print the container's name
    #[arg(short, long)]
    detach: bool,

    /// Remove the container when its program has ended
    #[arg(long)]
    rm: bool,

    /// Without a terminal, although there is one
    #[arg(short = 'T', long)]
    no_tty: bool,

    /// Accepted for docker: there is a terminal where there is one
    #[arg(short, long, hide = true, conflicts_with = "no_tty")]
    tty: bool,

    /// Accepted for docker: standard input is always connected
    #[arg(short, long, hide = true)]
    interactive: bool,

    /// The program, instead of what the service says
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,

    /// A variable; without a value it gets the one it has here
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,

    /// The user, and the group after a colon, by name or number
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,

    /// The directory the program starts in
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,

    /// One more mount
    #[arg(short, long, value_name = "SOURCE:TARGET[:OPTIONS]")]
    volume: Vec<String>,

    /// A port to publish
    #[arg(short = 'p', long, value_name = "[[IP:]HOST:]PORT", conflicts_with = "service_ports")]
    publish: Vec<String>,

    /// Publish the service's ports
    #[arg(short = 'P', long)]
    service_ports: bool,

    /// Answer to the service's names in its networks
    #[arg(long)]
    use_aliases: bool,

    /// The container's name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// One more label
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    label: Vec<String>,

    /// One more right
    #[arg(long, value_name = "CAPABILITY")]
    cap_add: Vec<String>,

    /// One right less
    #[arg(long, value_name = "CAPABILITY")]
    cap_drop: Vec<String>,

    /// Do not start what the service depends on
    #[arg(long)]
    no_deps: bool,

    #[command(flatten)]
    pulling: Pulling,

    /// Say nothing while it is waited for what the service depends on
    #[arg(short, long)]
    quiet: bool,

    /// Keys that leave the program alone and end this command
    #[arg(long, value_name = "KEYS", default_value = session::DETACH_KEYS)]
    detach_keys: DetachKeys,

    /// Accepted for docker compose: services that are gone from the file go with the next `up`
    #[arg(long, hide = true)]
    remove_orphans: bool,
}

impl RunArgs {
    fn service(&self) -> &str {
        self.words.first().map(String::as_str).unwrap_or_default()
    }

    /// Empty if the service's own is to run.
    fn command(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }
}

/// Runs `run`; its exit status is the program's.
pub(crate) async fn run(context: &Context, args: RunArgs) -> Outcome<u8> {
    let mut project = project::of_services(context, vec![args.service().to_owned()])?;
    let terminals = terminal::input_is_terminal() && std::io::stdout().is_terminal();
    let tty = terminals && !args.no_tty && !args.detach;
    let (key, service) = one_off(&mut project, &args, tty)?;
    let name = service.container_name.clone().unwrap_or_default();
    project.services.insert(key.clone(), service);
    let up = Up {
        services: vec![key.clone()],
        no_deps: args.no_deps,
        recreate: Recreate::Changed,
        project,
        ..Up::default()
    };
    let stdin = !args.detach;
    let size = if tty { terminal::size(std::io::stdout()) } else { None };
    let run = Run { service: key, stdin, size, detach: args.detach };
    let client = context.client_or_start().await?;
    // Standard output is the program's: nothing is shown there.
    pull::before_up(&context.unless_quiet(true), &client, &up, &args.pulling).await?;
    let session = started(context, &client, &up, run, args.quiet).await?;
    if args.detach {
        context.output.line(name)?;
        return session::run(session, Connection::default()).await;
    }
    let detach_keys = tty.then_some(args.detach_keys);
    let connection = Connection { tty, stdin, detach_keys, ..Connection::default() };
    let ended = session::run_through(session, connection).await?;
    if args.rm && ended.is_some() {
        until_gone(&client, &up).await?;
    }
    Ok(ended.unwrap_or(0))
}

/// Waits until nothing is left of what ran: whoever runs the same again finds its place free.
async fn until_gone(client: &Client, up: &Up) -> Outcome {
    let mut reports = client.watch(&up.project.name).await?;
    while let Some(report) = reports.next().await {
        let Some(report) = report? else { return Ok(()) };
        let ours = |name: &String| up.services.contains(name);
        if !report.status.tasks.iter().any(|task| ours(&task.service))
            && !report.status.services.keys().any(ours)
        {
            return Ok(());
        }
    }
    Ok(())
}

/// Waits until the program runs, and shows on standard error what is waited for.
async fn started(
    context: &Context,
    client: &Client,
    up: &Up,
    run: Run,
    quiet: bool,
) -> Outcome<ClientSession> {
    let output = if quiet { context.output.quiet() } else { context.output };
    let stack = &up.project.name;
    let before = client.list().await?.into_iter().find(|report| report.status.name == *stack);
    let own = run.service.clone();
    let mut progress = Progress::aside(output, before.as_ref().map(|report| &report.status));
    let mut reports = client.watch(stack).await?;
    let mut session = std::pin::pin!(client.run(up, run));
    loop {
        tokio::select! {
            session = &mut session => return Ok(session?),
            report = reports.next() => match report {
                Some(Ok(report)) => {
                    let status = report.map(|report| report.status);
                    let status = status.map(|mut status| {
                        // Its own start is told by its output.
                        status.tasks.retain(|task| task.service != own);
                        status
                    });
                    progress.show(status.as_ref())?;
                }
                // The session says what became of the daemon.
                _ => return Ok(session.await?),
            },
        }
    }
}

/// The service that runs once, and its name: the written one as the options change it.
fn one_off(project: &mut Project, args: &RunArgs, tty: bool) -> Outcome<(String, Service)> {
    let mut service = project.services.get(args.service()).cloned().unwrap_or_default();
    let number: [u8; 6] =
        random::bytes().map_err(|error| CommandError::io("cannot choose a name", &error))?;
    let key = format!("{}-run-{}", args.service(), crate::model::hex(&number));
    let own_name = || format!("{}-{key}", project.name);
    service.container_name = Some(args.name.clone().unwrap_or_else(own_name));
    service.one_off = Some(OneOff { service: args.service().to_owned(), remove: args.rm });
    service.deploy = Deploy {
        mode: DeployMode::ReplicatedJob,
        replicas: Some(1),
        restart: RestartPolicy {
            condition: RestartCondition::Never,
            on_unhealthy: false,
            ..RestartPolicy::default()
        },
        ..Deploy::default()
    };
    service.tty = tty;
    service.stdin_open = true;
    program(&mut service, args)?;
    rights(&mut service, args);
    networks(&mut service, args)?;
    mounts(project, &mut service, args)?;
    if args.no_deps {
        service.depends_on.clear();
    }
    Ok((key, service))
}

fn program(service: &mut Service, args: &RunArgs) -> Outcome {
    if let Some(line) = &args.entrypoint {
        let words = short::words(line)
            .map_err(|error| CommandError::bad_input(format!("--entrypoint: {error}")))?;
        service.entrypoint = Some(words);
        // The arguments were made for another program.
        service.command = Some(Vec::new());
    }
    if !args.command().is_empty() {
        service.command = Some(args.command().to_vec());
    }
    service.user = args.user.clone().or(service.user.take());
    service.working_dir = args.workdir.clone().or(service.working_dir.take());
    for entry in &args.env {
        match entry.split_once('=') {
            Some((name, value)) => {
                service.environment.insert(name.to_owned(), Some(value.to_owned()));
            }
            None => {
                service.environment.insert(entry.clone(), std::env::var(entry).ok());
            }
        }
    }
    service.labels.extend(labels(&args.label));
    Ok(())
}

fn labels(given: &[String]) -> BTreeMap<String, String> {
    let pair = |label: &String| {
        let (name, value) = label.split_once('=').unwrap_or((label, ""));
        (name.to_owned(), value.to_owned())
    };
    given.iter().map(pair).collect()
}

/// What is added is not taken away by what the service says, and the other way round.
fn rights(service: &mut Service, args: &RunArgs) {
    service.cap_drop.retain(|right| !args.cap_add.contains(right));
    service.cap_add.retain(|right| !args.cap_drop.contains(right));
    service.cap_add.extend(args.cap_add.clone());
    service.cap_drop.extend(args.cap_drop.clone());
}

/// Fixed addresses belong to the service's own container, and so do its names unless they are asked
/// for.
fn networks(service: &mut Service, args: &RunArgs) -> Outcome {
    service.mac_address = None;
    for attachment in service.networks.values_mut() {
        attachment.ipv4_address = None;
        attachment.ipv6_address = None;
        attachment.mac_address = None;
        if args.use_aliases {
            attachment.aliases.push(args.service().to_owned());
        } else {
            attachment.aliases.clear();
        }
    }
    if !args.service_ports {
        service.ports.clear();
    }
    for text in &args.publish {
        let ports = short::ports(text)
            .map_err(|error| CommandError::bad_input(format!("--publish {text}: {error}")))?;
        service.ports.extend(ports);
    }
    Ok(())
}

/// A volume that the project does not declare is the instance's own of that name.
fn mounts(project: &mut Project, service: &mut Service, args: &RunArgs) -> Outcome {
    let here: PathBuf = std::env::current_dir()
        .map_err(|error| CommandError::io("cannot find the working directory", &error))?;
    let home = std::env::var("HOME").ok();
    for text in &args.volume {
        let mount = short::mount(text, &here, home.as_deref())
            .map_err(|error| CommandError::bad_input(format!("--volume {text}: {error}")))?;
        if let MountSource::Volume { volume, .. } = &mount.source
            && !project.volumes.contains_key(volume)
        {
            let own = Volume { name: volume.clone(), ..Volume::default() };
            project.volumes.insert(volume.clone(), own);
        }
        service.mounts.retain(|other| other.target != mount.target);
        service.mounts.push(mount);
    }
    Ok(())
}
