//! `orca login` and `orca logout`: who the user is at a registry, kept where docker keeps it.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};

use clap::Args;

use crate::api::control::CheckLogin;
use crate::cli::context::Context;
use crate::cli::docker_config;
use crate::cli::error::{CommandError, Outcome};
use crate::cli::terminal::Hidden;
use crate::model::{Credentials, DEFAULT_REGISTRY, registry_host};

/// The longest password, in bytes: some are tokens.
const LONGEST: u64 = 64 << 10;

/// Options of `login`.
#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// The registry, such as registry.lan:5000
    #[arg(default_value = DEFAULT_REGISTRY, value_name = "REGISTRY")]
    registry: String,

    /// The user [default: asked for]
    #[arg(short, long, value_name = "NAME")]
    username: Option<String>,

    /// The password or token; others can see it here, so better use --password-stdin
    #[arg(short, long, value_name = "PASSWORD", conflicts_with = "password_stdin")]
    password: Option<String>,

    /// Read the password from standard input
    #[arg(long, requires = "username")]
    password_stdin: bool,
}

/// Options of `logout`.
#[derive(Debug, Args)]
pub(crate) struct LogoutArgs {
    /// The registry
    #[arg(default_value = DEFAULT_REGISTRY, value_name = "REGISTRY")]
    registry: String,
}

/// Runs `login`.
pub(crate) async fn login(context: &Context, args: LoginArgs) -> Outcome<u8> {
    let registry = host(&args.registry)?;
    let file = docker_config::file()?;
    // A file that cannot be used is told of before anything is asked.
    let known = docker_config::logins()?;
    if args.password.is_some() {
        context.output.warning(
            "a password on the command line can be seen by others; \
             --password-stdin keeps it to yourself",
        );
    }
    let user = match args.username {
        Some(user) => user,
        None => asked("Username: ")?,
    };
    let password = match args.password {
        Some(password) => password,
        None if args.password_stdin => from_stdin()?,
        None => asked_for_password()?,
    };
    if user.is_empty() || password.is_empty() {
        return Err(CommandError::bad_input("a login needs a user name and a password"));
    }
    if user.contains(':') {
        return Err(CommandError::bad_input("a user name cannot contain `:`"));
    }
    let credentials = Credentials::Password { user, password };
    let client = context.client_or_start().await?;
    let (registry_name, checked) = (registry.clone(), credentials.clone());
    client.check_login(CheckLogin { registry: registry_name, credentials: checked }).await?;
    docker_config::write(&file, &registry, Some(&credentials))?;
    if let Some(program) = known.helper(&registry) {
        context.output.warning(format_args!(
            "{} leaves logins to the program `docker-credential-{program}`, which orca does not run: \
             this login is in the file itself, where orca finds it",
            file.display()
        ));
    }
    context.output.line(format_args!("logged in to {registry}; kept in {}", file.display()))?;
    Ok(0)
}

/// Runs `logout`.
pub(crate) fn logout(context: &Context, args: &LogoutArgs) -> Outcome<u8> {
    let registry = host(&args.registry)?;
    let file = docker_config::file()?;
    let said = match docker_config::write(&file, &registry, None)? {
        true => format!("logged out of {registry}"),
        false => format!("there was no login for {registry} in {}", file.display()),
    };
    context.output.line(said)?;
    Ok(0)
}

/// The registry as references name it; people also write its address.
fn host(registry: &str) -> Outcome<String> {
    let host = registry_host(registry.trim());
    let good = |c: char| c.is_ascii_alphanumeric() || ".-:[]_".contains(c);
    if host.is_empty() || !host.chars().all(good) {
        let error = CommandError::bad_input(format!("`{registry}` is no registry"));
        return Err(error.with_hint("one is named like registry.lan:5000"));
    }
    Ok(host)
}

fn from_stdin() -> Outcome<String> {
    let mut text = String::new();
    let read = io::stdin().take(LONGEST).read_to_string(&mut text);
    read.map_err(|error| CommandError::io("cannot read the password", &error))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn asked(question: &str) -> Outcome<String> {
    if !io::stdin().is_terminal() {
        let error = CommandError::bad_input("standard input is no terminal to ask at");
        return Err(error.with_hint("give --username and --password-stdin"));
    }
    eprint(question);
    let mut line = String::new();
    let read = io::stdin().lock().take(LONGEST).read_line(&mut line);
    read.map_err(|error| CommandError::io("cannot read the answer", &error))?;
    Ok(line.trim().to_owned())
}

fn asked_for_password() -> Outcome<String> {
    if !io::stdin().is_terminal() {
        let error = CommandError::bad_input("standard input is no terminal to ask at");
        return Err(error.with_hint("--password-stdin reads the password from it"));
    }
    let hidden =
        Hidden::begin().map_err(|error| CommandError::io("cannot hide what is typed", &error))?;
    eprint("Password: ");
    let mut line = String::new();
    let read = io::stdin().lock().take(LONGEST).read_line(&mut line);
    drop(hidden);
    eprint("\n");
    read.map_err(|error| CommandError::io("cannot read the password", &error))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Questions go where they are seen when the output goes elsewhere.
fn eprint(text: &str) {
    use io::Write as _;
    // There is nobody left to ask.
    let _unheard = io::stderr().write_all(text.as_bytes()).is_err();
}
