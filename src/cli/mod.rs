//! The command line: one file per command. The only room that prints.
//!
//! [`Verb`] is the list of commands; a new one is a file in `commands`, a line there and a line in
//! [`run`].

mod args;
mod chunks;
mod commands;
mod context;
mod docker_config;
mod error;
mod failure;
mod filter;
mod format;
mod log_view;
mod output;
mod progress;
mod project;
mod session;
mod start;
mod style;
mod summary;
mod terminal;
mod transfer;
mod wait;

use std::process::ExitCode;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use self::args::{InstanceArgs, ProjectArgs};
use self::commands::{
    attach, check, completion, config, containers, cp, create, daemon, down, events, exec, image,
    images, login, logs, ls, network, oci, plan, port, ps, pull, push, rm, run, services, stats,
    system, top, up, version, volume,
};
use self::context::Context;
use self::error::{CommandError, Outcome};
use self::output::Output;
use crate::model::Instance;

/// The container orchestrator for one server: reads compose files and keeps them true.
#[derive(Debug, Parser)]
#[command(
    name = "orca",
    version,
    after_help = "Examples:\n  \
        orca up -f stack.yaml        bring a stack up and wait until it is healthy\n  \
        orca ps                      show its containers\n  \
        orca logs -f web             follow what a service writes\n  \
        orca exec db sh              look around inside a container\n  \
        orca down                    take it down\n\n\
        Exit status: 0 all is as wanted, 1 failed, 2 wrong usage or a wrong file, 3 no daemon can be \
        reached. exec, wait and up --exit-code-from pass the program's own on."
)]
struct Arguments {
    #[command(flatten)]
    instance: InstanceArgs,
    #[command(flatten)]
    project: ProjectArgs,
    /// Show what would be done, and do nothing; as docker compose has it, for `up`
    #[arg(long, hide = true)]
    dry_run: bool,
    #[command(subcommand)]
    verb: Verb,
}

/// A command about a project, with the options that say which.
#[derive(Debug, Args)]
struct Of<T: Args> {
    #[command(flatten)]
    project: ProjectArgs,
    #[command(flatten)]
    args: T,
}

/// The commands.
#[derive(Debug, Subcommand)]
enum Verb {
    /// Bring a stack up, or change it to what the files say now, and wait until it is so
    ///
    /// Only what changed is replaced; services that are gone from the files are removed. Starts the
    /// daemon if none runs.
    #[command(after_help = "Examples:\n  \
        orca up -f stack.yaml\n  \
        orca up -d --scale web=3\n  \
        orca up --dry-run\n  \
        orca up --exit-code-from tests")]
    Up(Of<up::UpArgs>),
    /// Prepare a stack without starting it
    Create(Of<create::CreateArgs>),
    /// Take a stack down; its named volumes stay unless -v is given
    #[command(after_help = "Examples:\n  orca down\n  orca -p shop down -v")]
    Down(Of<down::DownArgs>),
    /// List the containers of a stack
    Ps(Of<ps::PsArgs>),
    /// List the stacks
    Ls(ls::LsArgs),
    /// Show what containers wrote
    #[command(after_help = "Examples:\n  \
        orca logs -f web\n  \
        orca logs --since 10m --tail 100\n  \
        orca --file stack.yaml logs -f")]
    Logs(Of<logs::LogsArgs>),
    /// Run a program in a running container
    #[command(after_help = "Examples:\n  \
        orca exec db sh\n  \
        orca exec -T db pg_dump shop > shop.sql\n  \
        orca exec -u root --index 2 web id")]
    Exec(Of<exec::ExecArgs>),
    /// Run a program in a container of its own, made from a service
    ///
    /// What the service depends on is started first and waited for. The container is on the
    /// service's networks; its ports are not published unless asked for. It stays when its program
    /// has ended, unless --rm is given: `orca rm` and `orca down` remove it.
    #[command(after_help = "Examples:\n  \
        orca run --rm app sh\n  \
        orca run --rm -T app ./manage.py dumpdata > data.json\n  \
        orca run --no-deps -e DEBUG=1 -v ./src:/src web pytest -x")]
    Run(Of<run::RunArgs>),
    /// Copy files between a container and here
    ///
    /// The container need not run. As docker does it: a directory is copied into a directory that is
    /// there, or becomes one that is not; `DIR/.` is what is in DIR; `-` is a tar archive on standard
    /// input or output.
    #[command(after_help = "Examples:\n  \
        orca cp app:/etc/nginx ./nginx\n  \
        orca cp ./site/. web:/usr/share/nginx/html\n  \
        orca cp db:/var/lib/data - | gzip > data.tar.gz")]
    Cp(Of<cp::CpArgs>),
    /// Connect to the program of a running container
    Attach(Of<attach::AttachArgs>),
    /// Show what `up` would do
    #[command(visible_alias = "diff")]
    Plan(Of<plan::PlanArgs>),
    /// Change how many containers services have
    #[command(after_help = "Examples:\n  orca scale web=3 worker=0")]
    Scale(Of<services::ScaleArgs>),
    /// Stop services; they stay down until they are started
    Stop(Of<services::StopArgs>),
    /// Start services that were stopped
    Start(Of<services::StartArgs>),
    /// Replace the containers of services
    Restart(Of<services::StopArgs>),
    /// Remove what is left of services that do not run
    #[command(after_help = "Examples:\n  orca rm migrate\n  orca rm -s web")]
    Rm(Of<rm::RmArgs>),
    /// Send a signal to the first process of containers
    #[command(after_help = "Examples:\n  orca kill -s HUP proxy")]
    Kill(Of<containers::KillArgs>),
    /// Freeze containers
    Pause(Of<containers::PauseArgs>),
    /// Thaw containers that were frozen
    Unpause(Of<containers::PauseArgs>),
    /// Wait until the containers of services have ended, and print their exit statuses
    Wait(Of<services::WaitArgs>),
    /// Show the processes of containers
    Top(Of<top::TopArgs>),
    /// Show what containers use of the machine
    Stats(Of<stats::StatsArgs>),
    /// Show where the ports of a service are published
    Port(Of<port::PortArgs>),
    /// Show what happens, as it happens
    Events(Of<events::EventsArgs>),
    /// List the images that a stack's containers run from
    Images(Of<images::ImagesArgs>),
    /// Get the images of a stack from their registries
    #[command(after_help = "Examples:\n  orca pull\n  orca pull --policy missing web")]
    Pull(Of<pull::PullArgs>),
    /// Send the images of a stack to their registries
    Push(Of<push::PushArgs>),
    /// Log in to a registry; the login is kept in docker's config.json
    #[command(after_help = "Examples:\n  \
        orca login registry.lan:5000\n  \
        orca login -u me --password-stdin < password")]
    Login(login::LoginArgs),
    /// Log out of a registry
    Logout(login::LogoutArgs),
    /// Print the project as orca reads it, with everything filled in
    #[command(visible_alias = "convert")]
    Config(Of<config::ConfigArgs>),
    /// Tell whether the files are right, and what of them would not be honoured
    Check(Of<check::CheckArgs>),
    /// Manage images
    #[command(subcommand)]
    Image(image::ImageVerb),
    /// Manage volumes
    #[command(subcommand)]
    Volume(volume::VolumeVerb),
    /// Look at networks
    #[command(subcommand)]
    Network(network::NetworkVerb),
    /// Look at the daemon, and stop it
    #[command(subcommand)]
    System(system::SystemVerb),
    /// Run the daemon in this process; `up` starts one by itself
    Daemon(daemon::DaemonArgs),
    /// Print the version of orca and of its daemon
    Version(version::VersionArgs),
    /// Print the completions for a shell
    #[command(after_help = "Examples:\n  orca completion bash > /etc/bash_completion.d/orca")]
    Completion(completion::CompletionArgs),
    /// Run containers from bundles, as an OCI runtime for podman, docker and others
    #[command(disable_help_flag = true)]
    Oci {
        /// Verb and options; see `orca oci --help`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<std::ffi::OsString>,
    },
    /// Run the network helper of an instance; the daemon starts it by itself
    #[command(hide = true)]
    Netd,
    /// Small programs to try orca with; the built-in image runs them
    #[command(subcommand)]
    Demo(crate::demo::Command),
}

impl Verb {
    /// The command with `--dry-run`, which stood before it.
    fn tried(mut self) -> Outcome<Self> {
        match &mut self {
            Self::Up(of) => of.args.try_only(),
            Self::Plan(_) | Self::Config(_) | Self::Check(_) | Self::Ps(_) | Self::Ls(_) => {}
            Self::Logs(_) | Self::Images(_) | Self::Port(_) | Self::Top(_) | Self::Version(_) => {}
            _ => {
                return Err(CommandError::bad_input(
                    "--dry-run: only `up` can be tried; this command would do what it says",
                ));
            }
        }
        Ok(self)
    }
}

/// Runs the program; its status is the process's.
pub fn main() -> ExitCode {
    // Before anything else looks at the arguments: engines run it for every container.
    if let Some(args) = oci::asked(std::env::args_os()) {
        return oci::main(args);
    }
    let args = std::env::args_os().skip(1).collect::<Vec<_>>();
    // Before anything else looks at the arguments: the launcher must stay small.
    if let [verb, _, root, _, run] = args.as_slice()
        && verb == "launcher"
    {
        let (root, run) = (root.into(), run.into());
        return crate::runtime::launcher::main(&Instance { root, run });
    }
    let Arguments { instance: args, project, dry_run, verb } = parsed();
    let output = Output::new(&args);
    let verb = if dry_run { verb.tried() } else { Ok(verb) };
    let verb = match verb {
        Ok(verb) => verb,
        Err(error) => return ended(output, Err(error)),
    };
    let instance = match args.instance() {
        Ok(instance) => instance,
        Err(error) => {
            return ended(output, Err(CommandError::io("cannot find the instance", &error)));
        }
    };
    match verb {
        Verb::Netd => crate::netd::main(&instance),
        Verb::Daemon(args) => daemon::run(&args, instance),
        Verb::Demo(command) => crate::demo::run(command),
        Verb::Oci { args } => oci::main(args),
        verb => client(Context { instance, output, project }, verb),
    }
}

/// The command line as clap checks it.
fn command() -> clap::Command {
    // To follow a log is what people mean by `logs -f`, `rm -f` that nothing is asked, and `run -p` to
    // publish a port; `--file` and `--project-name` are still there.
    Arguments::command()
        .mut_subcommand("logs", |logs| logs.mut_arg("file", |file| file.short(None)))
        .mut_subcommand("run", |run| run.mut_arg("project_name", |name| name.short(None)))
        .mut_subcommand("rm", |rm| {
            rm.mut_arg("file", |file| file.short(None)).mut_arg("force", |force| force.short('f'))
        })
}

fn parsed() -> Arguments {
    let matches = command().get_matches();
    // Cannot fail: the matches are those of the very same command.
    Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// Runs a command that may talk to a daemon.
fn client(context: Context, verb: Verb) -> ExitCode {
    let output = context.output;
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return ended(output, Err(CommandError::io("cannot start", &error))),
    };
    ended(output, runtime.block_on(run(context, verb)))
}

/// Says how it ended; the exit status.
fn ended(output: Output, outcome: Outcome<u8>) -> ExitCode {
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            output.error(&error);
            ExitCode::from(error.code)
        }
    }
}

async fn run(context: Context, verb: Verb) -> Outcome<u8> {
    let base = &context;
    match verb {
        Verb::Up(of) => up::run(&context.about(of.project), of.args).await,
        Verb::Create(of) => create::run(&context.about(of.project), of.args).await,
        Verb::Down(of) => down::run(&context.about(of.project), of.args).await,
        Verb::Ps(of) => ps::run(&context.about(of.project), of.args).await,
        Verb::Ls(args) => ls::run(base, args).await,
        Verb::Logs(of) => logs::run(&context.about(of.project), of.args).await,
        Verb::Exec(of) => exec::run(&context.about(of.project), of.args).await,
        Verb::Run(of) => run::run(&context.about(of.project), of.args).await,
        Verb::Cp(of) => cp::run(&context.about(of.project), of.args).await,
        Verb::Attach(of) => attach::run(&context.about(of.project), of.args).await,
        Verb::Plan(of) => plan::run(&context.about(of.project), of.args).await,
        Verb::Scale(of) => services::scale(&context.about(of.project), of.args).await,
        Verb::Stop(of) => services::stop(&context.about(of.project), of.args).await,
        Verb::Start(of) => services::start(&context.about(of.project), of.args).await,
        Verb::Restart(of) => services::restart(&context.about(of.project), of.args).await,
        Verb::Rm(of) => rm::run(&context.about(of.project), of.args).await,
        Verb::Kill(of) => containers::kill(&context.about(of.project), of.args).await,
        Verb::Pause(of) => containers::pause(&context.about(of.project), of.args).await,
        Verb::Unpause(of) => containers::unpause(&context.about(of.project), of.args).await,
        Verb::Wait(of) => services::wait(&context.about(of.project), of.args).await,
        Verb::Top(of) => top::run(&context.about(of.project), of.args).await,
        Verb::Stats(of) => stats::run(&context.about(of.project), of.args).await,
        Verb::Port(of) => port::run(&context.about(of.project), of.args).await,
        Verb::Events(of) => events::run(&context.about(of.project), of.args).await,
        Verb::Images(of) => images::run(&context.about(of.project), of.args).await,
        Verb::Pull(of) => pull::run(&context.about(of.project), of.args).await,
        Verb::Push(of) => push::run(&context.about(of.project), of.args).await,
        Verb::Login(args) => login::login(base, args).await,
        Verb::Logout(args) => login::logout(base, &args),
        Verb::Config(of) => config::run(&context.about(of.project), &of.args).await,
        Verb::Check(of) => check::run(&context.about(of.project), &of.args),
        Verb::Image(verb) => image::run(base, verb).await,
        Verb::Volume(verb) => volume::run(base, verb).await,
        Verb::Network(verb) => network::run(base, verb).await,
        Verb::System(verb) => system::run(base, verb).await,
        Verb::Version(args) => version::run(base, args).await,
        Verb::Completion(args) => completion::run(base, &args, command()),
        Verb::Daemon(_) | Verb::Netd | Verb::Demo(_) | Verb::Oci { .. } => {
            // They have a runtime of their own, and were run before.
            Err(CommandError::failed("this command cannot be run from here"))
        }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_support;
