//! `orca config`: the project as orca reads it.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::api::control::Resolve;
use crate::cli::context::Context;
use crate::cli::docker_config;
use crate::cli::error::{CommandError, Outcome};
use crate::cli::project;
use crate::compose::{self, Config, LoadOptions};

/// Options of `config`.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// Only these services and what they depend on
    services: Vec<String>,

    #[command(flatten)]
    what: What,

    /// How to print [default: yaml; a table for --variables]
    #[arg(long, value_name = "FORMAT")]
    format: Option<ConfigFormat>,

    /// Leave variables as they are written
    #[arg(long)]
    no_interpolate: bool,

    /// Leave out what is implied
    #[arg(long)]
    no_normalize: bool,

    /// Leave paths relative
    #[arg(long)]
    no_path_resolution: bool,

    /// Leave env_file unread
    #[arg(long)]
    no_env_resolution: bool,

    /// Name images by the digests that their registries give for them now
    #[arg(long)]
    resolve_image_digests: bool,

    /// Print only the images by their digests: a file to lay over the others
    #[arg(long)]
    lock_image_digests: bool,

    /// Do not look whether everything that is named is there
    #[arg(long)]
    no_consistency: bool,

    /// Write to a file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// What to print instead of the whole; of several the first in the order of [`text`] counts.
#[derive(Debug, Args)]
struct What {
    /// Print nothing; the exit status tells whether the files are right
    #[arg(short, long)]
    quiet: bool,

    /// Print the names of services, each after what it depends on
    #[arg(long = "services")]
    list_services: bool,

    /// Print the names of images
    #[arg(long)]
    images: bool,

    /// Print the keys of volumes
    #[arg(long)]
    volumes: bool,

    /// Print the keys of networks
    #[arg(long)]
    networks: bool,

    /// Print the names of models
    #[arg(long)]
    models: bool,

    /// Print the names of profiles, on or off
    #[arg(long)]
    profiles: bool,

    /// Print the hash of what a service's containers are made from, or of all with `*`
    #[arg(long, value_name = "SERVICE")]
    hash: Option<String>,

    /// Print the variables that the files can use
    #[arg(long)]
    environment: bool,

    /// Print what the files say of each variable
    #[arg(long)]
    variables: bool,
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ConfigFormat {
    /// YAML
    Yaml,
    /// JSON
    Json,
}

/// Runs `config`.
pub(crate) async fn run(context: &Context, args: &ConfigArgs) -> Outcome<u8> {
    let mut config = load(context, args)?;
    config.warnings.iter().for_each(|warning| context.output.warning(warning));
    if args.resolve_image_digests || args.lock_image_digests {
        resolve(context, &mut config).await?;
    }
    if args.lock_image_digests {
        config.keep_only_images();
    }
    if args.what.quiet {
        return Ok(0);
    }
    let text = text(&config, args)?;
    match &args.output {
        Some(path) => std::fs::write(path, text).map_err(|error| {
            CommandError::io(format!("cannot write {}", path.display()), &error)
        })?,
        // docker compose ends JSON without a line end; on a terminal the prompt needs one.
        None if !text.ends_with('\n') && std::io::stdout().is_terminal() => {
            context.output.line(&text)?;
        }
        None => context.output.text(&text)?,
    }
    Ok(0)
}

/// Asks the registries what the images stand for.
async fn resolve(context: &Context, config: &mut Config) -> Outcome {
    let references: Vec<String> = config.named_images().into_iter().collect();
    if references.is_empty() {
        return Ok(());
    }
    let resolve = Resolve { references: references.clone(), logins: docker_config::logins()? };
    let client = context.client_or_start().await?;
    let pinned = client.resolve_images(resolve).await?;
    config.rename_images(&references.into_iter().zip(pinned).collect());
    Ok(())
}

fn load(context: &Context, args: &ConfigArgs) -> Outcome<Config> {
    let what = &args.what;
    let options = LoadOptions {
        services: args.services.clone(),
        no_interpolate: args.no_interpolate || what.variables,
        no_normalize: args.no_normalize,
        no_path_resolution: args.no_path_resolution,
        // Hashes are equal to docker compose's only without what env files say.
        no_env_resolution: args.no_env_resolution || what.hash.is_some(),
        no_consistency: args.no_consistency,
        ..project::options(context)?
    };
    compose::config(&options).map_err(|errors| project::told(context, &errors))
}

/// What is asked for; each line has its end.
fn text(config: &Config, args: &ConfigArgs) -> Outcome<String> {
    let what = &args.what;
    let listed = |names: Vec<String>| names.iter().map(|name| format!("{name}\n")).collect();
    let text = if what.list_services {
        listed(config.services())
    } else if what.volumes {
        listed(config.volumes())
    } else if what.networks {
        listed(config.networks())
    } else if what.models {
        listed(config.models())
    } else if let Some(service) = &what.hash {
        hashes(config, service)?
    } else if what.profiles {
        listed(config.profiles())
    } else if what.images {
        listed(config.images())
    } else if what.variables {
        match args.format {
            Some(ConfigFormat::Json) => config.variables_json(),
            Some(ConfigFormat::Yaml) => config.variables_yaml(),
            None => variables(config),
        }
    } else if what.environment {
        config.environment.iter().map(|(key, value)| format!("{key}={value}\n")).collect()
    } else {
        match args.format {
            Some(ConfigFormat::Json) => config.json(),
            Some(ConfigFormat::Yaml) | None => config.yaml(),
        }
    };
    Ok(text)
}

/// `web 6c3c…`, a line each.
fn hashes(config: &Config, wanted: &str) -> Outcome<String> {
    let hashes = config.hashes();
    let names: Vec<&str> = wanted.split(',').collect();
    if let Some(unknown) = names
        .iter()
        .find(|name| **name != "*" && hashes.iter().all(|(service, _)| service != *name))
    {
        return Err(CommandError::bad_input(format!("--hash: there is no service `{unknown}`")));
    }
    let is_wanted = |service: &str| names.contains(&"*") || names.contains(&service);
    let wanted = hashes.iter().filter(|(service, _)| is_wanted(service));
    Ok(wanted.map(|(service, hash)| format!("{service} {hash}\n")).collect())
}

/// The columns are as wide as docker compose makes them.
fn variables(config: &Config) -> String {
    let header = ["NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"].map(str::to_owned);
    let row = |variable: compose::Variable| {
        let required = variable.required.to_string();
        [variable.name, required, variable.default_value, variable.presence_value]
    };
    let rows: Vec<[String; 4]> =
        std::iter::once(header).chain(config.variables().into_iter().map(row)).collect();
    let width = |column: usize| {
        let longest = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        (longest + 3).max(20)
    };
    let widths = [width(0), width(1), width(2)];
    let line = |[name, required, default, alternate]: &[String; 4]| {
        let [a, b, c] = widths;
        format!("{name:a$}{required:b$}{default:c$}{alternate}\n")
    };
    rows.iter().map(line).collect()
}
