//! The command line of `orca oci`: runc's, with options before and after the id.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::runtime::oci::Store;

/// An OCI runtime: run containers from bundles, for podman, docker, containerd and others
#[derive(Debug, Parser)]
#[command(
    name = "orca oci",
    bin_name = "orca oci",
    version,
    after_help = "Examples:\n  \
        orca oci spec                       write a config.json to begin with\n  \
        orca oci run --bundle dir web       run a container until it ends\n  \
        podman --runtime /usr/bin/orca-oci  a link by that name is this command alone\n\n\
        Exit status: that of the program for run and exec, else 0 or 1."
)]
pub(super) struct OciArguments {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

/// Options of all verbs; they stand before the verb.
#[derive(Debug, Args)]
pub(super) struct Global {
    /// Where containers are kept; not for long, so it should be in memory
    #[arg(long, value_name = "DIR", default_value = Store::DEFAULT)]
    pub(super) root: PathBuf,

    /// Write errors and warnings to this file as well
    #[arg(long, value_name = "FILE")]
    pub(super) log: Option<PathBuf>,

    /// The form of the lines in that file
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) log_format: LogFormat,

    /// Say more
    #[arg(long)]
    pub(super) debug: bool,

    /// Read cgroupsPath as slice:prefix:name, and make the cgroup where systemd would
    #[arg(long)]
    pub(super) systemd_cgroup: bool,

    /// The same, in crun's words
    #[arg(long, value_name = "MANAGER", default_value = "cgroupfs")]
    pub(super) cgroup_manager: CgroupManager,

    /// Whether to run without root's rights; orca finds out by itself
    #[arg(long, value_name = "WHETHER", default_value = "auto")]
    pub(super) rootless: Rootless,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// `key=value`
    Text,
    /// An object in each line
    Json,
}

/// How `cgroupsPath` is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum CgroupManager {
    /// As a path
    Cgroupfs,
    /// As slice:prefix:name
    Systemd,
}

/// Whether root's rights are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Rootless {
    /// Find out
    Auto,
    /// They are missing
    True,
    /// They are there
    False,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Make a container; its program waits to be started
    Create(CreateArgs),
    /// Start the program of a container that was made
    Start(Id),
    /// Make a container, start it, and take it away once it has ended
    Run(RunArgs),
    /// Show the state of a container
    State(Id),
    /// Send a signal to a container
    Kill(KillArgs),
    /// Take away a container that has stopped
    Delete(DeleteArgs),
    /// Run another program in a container
    Exec(Box<ExecArgs>),
    /// List the processes of a container
    Ps(PsArgs),
    /// List the containers
    List(ListArgs),
    /// Freeze the processes of a container
    Pause(Id),
    /// Let them run again
    Resume(Id),
    /// Change what a container may use
    Update(Box<super::update::UpdateArgs>),
    /// Show what a container uses, now and again
    Events(EventsArgs),
    /// Show what this runtime can do
    Features,
    /// Write a config.json to begin with
    Spec(SpecArgs),
}

/// A container.
#[derive(Debug, Args)]
pub(super) struct Id {
    /// The container
    #[arg(value_name = "ID")]
    pub(super) id: String,
}

/// Options of `create` and `run`.
#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// The container's id
    #[arg(value_name = "ID")]
    pub(super) id: String,

    /// The directory with config.json [default: this one]
    #[arg(short, long, value_name = "DIR")]
    pub(super) bundle: Option<PathBuf>,

    /// The configuration, if it is not config.json in the bundle
    #[arg(short = 'f', long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// Write the id of the first process to this file
    #[arg(long, value_name = "FILE")]
    pub(super) pid_file: Option<PathBuf>,

    /// Hand the terminal to who listens at this socket
    #[arg(long, value_name = "SOCKET")]
    pub(super) console_socket: Option<PathBuf>,

    /// Move the root over the host's instead of exchanging them: for hosts that run from a RAM disk.
    /// Less safe
    #[arg(long)]
    pub(super) no_pivot: bool,

    /// Accepted for runc's sake: orca makes no session keyrings
    #[arg(long)]
    pub(super) no_new_keyring: bool,

    /// Give the program this many more descriptors, from 3 on
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) preserve_fds: u32,
}

/// Options of `run`.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) create: CreateArgs,

    /// Return once the program runs
    #[arg(short, long)]
    pub(super) detach: bool,

    /// Leave the container when its program has ended
    #[arg(long)]
    pub(super) keep: bool,

    /// Accepted for runc's sake
    #[arg(long)]
    pub(super) no_subreaper: bool,
}

/// Options of `kill`.
#[derive(Debug, Args)]
pub(super) struct KillArgs {
    /// The container
    #[arg(value_name = "ID")]
    pub(super) id: String,

    /// The signal, by name or number
    #[arg(value_name = "SIGNAL", default_value = "TERM")]
    pub(super) signal: String,

    /// To all processes of the container
    #[arg(short, long)]
    pub(super) all: bool,
}

/// Options of `delete`.
#[derive(Debug, Args)]
pub(super) struct DeleteArgs {
    /// The container
    #[arg(value_name = "ID")]
    pub(super) id: String,

    /// Kill it first if it runs; no error if it is not there
    #[arg(short, long)]
    pub(super) force: bool,
}

/// Options of `exec`.
#[derive(Debug, Args)]
pub(super) struct ExecArgs {
    /// The container
    #[arg(value_name = "ID")]
    pub(super) id: String,

    /// The program and its arguments
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    pub(super) command: Vec<String>,

    /// A file that says all of it, of the form of process in config.json
    #[arg(short, long, value_name = "FILE")]
    pub(super) process: Option<PathBuf>,

    /// Give it a terminal
    #[arg(short, long)]
    pub(super) tty: bool,

    /// Where it starts
    #[arg(long, value_name = "DIR")]
    pub(super) cwd: Option<String>,

    /// A variable of its environment; can be given more than once
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub(super) env: Vec<String>,

    /// Whom to run it as, in numbers
    #[arg(short, long, value_name = "UID[:GID]")]
    pub(super) user: Option<String>,

    /// One more group; can be given more than once
    #[arg(short = 'g', long, value_name = "GID", value_delimiter = ',')]
    pub(super) additional_gids: Vec<u32>,

    /// One more capability; can be given more than once
    #[arg(short, long, value_name = "NAME", value_delimiter = ',')]
    pub(super) cap: Vec<String>,

    /// A profile of AppArmor
    #[arg(long, value_name = "PROFILE")]
    pub(super) apparmor: Option<String>,

    /// A label of SELinux
    #[arg(long, value_name = "LABEL")]
    pub(super) process_label: Option<String>,

    /// It can never gain privileges
    #[arg(long)]
    pub(super) no_new_privs: bool,

    /// A cgroup below the container's to run it in
    #[arg(long, value_name = "PATH")]
    pub(super) cgroup: Option<String>,

    /// Also if the container is paused
    #[arg(long)]
    pub(super) ignore_paused: bool,

    /// Return once it runs
    #[arg(short, long)]
    pub(super) detach: bool,

    /// Write the id of its process to this file
    #[arg(long, value_name = "FILE")]
    pub(super) pid_file: Option<PathBuf>,

    /// Hand the terminal to who listens at this socket
    #[arg(long, value_name = "SOCKET")]
    pub(super) console_socket: Option<PathBuf>,

    /// Give it this many more descriptors, from 3 on
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) preserve_fds: u32,

    /// Accepted for runc's sake
    #[arg(long)]
    pub(super) no_subreaper: bool,
}

/// Options of `ps`.
#[derive(Debug, Args)]
pub(super) struct PsArgs {
    /// The container
    #[arg(value_name = "ID")]
    pub(super) id: String,

    /// The form
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(super) format: Format,
}

/// Options of `list`.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// The form
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(super) format: Format,

    /// The ids alone
    #[arg(short, long)]
    pub(super) quiet: bool,
}

/// The form of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Columns
    Table,
    /// One JSON value
    Json,
}

/// Options of `events`.
#[derive(Debug, Args)]
pub(super) struct EventsArgs {
    /// The container
    #[arg(value_name = "ID")]
    pub(super) id: String,

    /// Only once, and only what it uses
    #[arg(long)]
    pub(super) stats: bool,

    /// How often, such as 5s
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = interval)]
    pub(super) interval: std::time::Duration,
}

fn interval(text: &str) -> Result<std::time::Duration, String> {
    let (number, unit) =
        text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = number.parse().map_err(|_| format!("{text:?} is not a time such as 5s"))?;
    let milliseconds = match unit {
        "ms" => Some(number),
        "s" | "" => number.checked_mul(1000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        _ => None,
    };
    match milliseconds {
        Some(milliseconds @ 1..) => Ok(std::time::Duration::from_millis(milliseconds)),
        _ => Err(format!("{text:?} is not a time such as 5s")),
    }
}

/// Options of `spec`.
#[derive(Debug, Args)]
pub(super) struct SpecArgs {
    /// The directory to write it in [default: this one]
    #[arg(short, long, value_name = "DIR")]
    pub(super) bundle: Option<PathBuf>,

    /// For a user other than root
    #[arg(long)]
    pub(super) rootless: bool,
}
