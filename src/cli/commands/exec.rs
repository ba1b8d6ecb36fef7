//! `orca exec`: runs a program in a container.

use std::io::IsTerminal as _;

use clap::Args;

use crate::api::control::Exec;
use crate::cli::context::Context;
use crate::cli::error::Outcome;
use crate::cli::session::{self, Connection};
use crate::cli::terminal;

/// Options of `exec`.
#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// The service, or a container
    service: String,

    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,

    /// Without a terminal, although standard input is one
    #[arg(short = 'T', long)]
    no_tty: bool,

    /// With a terminal, although standard input is none
    #[arg(short, long, conflicts_with_all = ["no_tty", "detach"])]
    tty: bool,

    /// Accepted for docker: standard input is always connected
    #[arg(short, long, hide = true)]
    interactive: bool,

    /// Leave the program alone once it runs
    #[arg(short, long)]
    detach: bool,

    /// A variable; without a value it gets the one it has here
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,

    /// The user, and the group after a colon, by name or number
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,

    /// The directory the program starts in
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,

    /// The container with this number [default: the first that runs]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    index: Option<u32>,

    /// With all rights
    #[arg(long)]
    privileged: bool,
}

/// Runs `exec`; its exit status is the program's.
pub(crate) async fn run(context: &Context, args: ExecArgs) -> Outcome<u8> {
    let target = context.target(vec![args.service], args.index)?;
    let both_terminals = terminal::input_is_terminal() && std::io::stdout().is_terminal();
    let tty = args.tty || both_terminals && !args.no_tty && !args.detach;
    let stdin = !args.detach;
    let exec = Exec {
        args: args.command,
        env: environment(args.env, tty),
        user: args.user,
        cwd: args.workdir,
        tty,
        stdin,
        privileged: args.privileged,
        size: if tty { terminal::size(std::io::stdout()) } else { None },
        detach: args.detach,
    };
    let client = context.client().await?;
    let session = client.exec(target, exec).await?;
    session::run(session, Connection { tty, stdin, ..Connection::default() }).await
}

/// `NAME` alone takes the value it has here, or is left out. A terminal needs to be named.
fn environment(given: Vec<String>, tty: bool) -> Vec<String> {
    let value = |entry: String| match entry.contains('=') {
        true => Some(entry),
        false => std::env::var(&entry).ok().map(|value| format!("{entry}={value}")),
    };
    let mut environment: Vec<String> = given.into_iter().filter_map(value).collect();
    if tty && !environment.iter().any(|entry| entry.starts_with("TERM=")) {
        let term = std::env::var("TERM").unwrap_or("xterm".to_owned());
        environment.push(format!("TERM={term}"));
    }
    environment
}
