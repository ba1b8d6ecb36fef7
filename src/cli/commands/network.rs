//! `orca network …`: the networks of stacks.

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use crate::api::NetworkSummary;
use crate::cli::context::Context;
use crate::cli::error::{CommandError, Outcome};
use crate::cli::format;

/// The verbs of `network`.
#[derive(Debug, Subcommand)]
pub(crate) enum NetworkVerb {
    /// List networks
    #[command(visible_alias = "list")]
    Ls(LsArgs),
    /// Show all about networks, in JSON
    Inspect(InspectArgs),
}

/// Options of `network ls`.
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// Only the names
    #[arg(short, long)]
    quiet: bool,

    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: ListFormat,
}

/// Options of `network inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// The networks
    #[arg(required = true, value_name = "NETWORK")]
    names: Vec<String>,
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ListFormat {
    /// A table
    Table,
    /// One JSON object for each network, a line each
    Json,
}

/// A network in JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row<'a> {
    name: &'a str,
    driver: &'static str,
    stack: &'a str,
    key: &'a str,
    subnet: String,
    gateway: String,
    subnet6: Option<String>,
    gateway6: Option<String>,
    internal: bool,
    containers: &'a std::collections::BTreeMap<String, std::net::Ipv4Addr>,
}

/// Runs a verb of `network`.
pub(crate) async fn run(context: &Context, verb: NetworkVerb) -> Outcome<u8> {
    let networks = match context.client_unless_stopped().await? {
        Some(client) => client.list_networks().await?,
        None => Vec::new(),
    };
    match verb {
        NetworkVerb::Ls(args) => ls(context, &args, &networks)?,
        NetworkVerb::Inspect(args) => inspect(context, &args, &networks)?,
    }
    Ok(0)
}

fn ls(context: &Context, args: &LsArgs, networks: &[NetworkSummary]) -> Outcome {
    let output = context.output;
    if args.quiet {
        return networks.iter().try_for_each(|network| output.line(&network.name));
    }
    if args.format == ListFormat::Json {
        return networks.iter().try_for_each(|network| output.json(&Row::of(network)));
    }
    let cells = |network: &NetworkSummary| {
        vec![
            network.name.clone(),
            network.stack.clone(),
            network.subnet.to_string(),
            network.gateway.to_string(),
            if network.internal { "internal" } else { "" }.to_owned(),
            network.containers.len().to_string(),
        ]
    };
    let header = ["NAME", "STACK", "SUBNET", "GATEWAY", "SCOPE", "CONTAINERS"];
    output.text(&format::table(&header, networks.iter().map(cells)))
}

fn inspect(context: &Context, args: &InspectArgs, networks: &[NetworkSummary]) -> Outcome {
    let mut rows = Vec::new();
    for name in &args.names {
        match networks.iter().find(|network| network.name == *name) {
            Some(network) => rows.push(Row::of(network)),
            None => {
                return Err(CommandError::failed(format!("there is no network `{name}`"))
                    .with_hint("`orca network ls` lists the networks"));
            }
        }
    }
    context.output.pretty_json(&rows)
}

impl<'a> Row<'a> {
    fn of(network: &'a NetworkSummary) -> Self {
        Self {
            name: &network.name,
            driver: "bridge",
            stack: &network.stack,
            key: &network.key,
            subnet: network.subnet.to_string(),
            gateway: network.gateway.to_string(),
            subnet6: network.subnet6.map(|(subnet, _)| subnet.to_string()),
            gateway6: network.subnet6.map(|(_, gateway)| gateway.to_string()),
            internal: network.internal,
            containers: &network.containers,
        }
    }
}
