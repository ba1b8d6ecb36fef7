//! `orca port`: where a container's port is published.

use clap::Args;

use crate::cli::context::Context;
use crate::cli::error::{CommandError, Outcome};
use crate::cli::format;

/// Options of `port`.
#[derive(Debug, Args)]
pub(crate) struct PortArgs {
    /// The service
    service: String,

    /// The port in the container [default: all]
    port: Option<u16>,

    /// The protocol
    #[arg(long, default_value = "tcp", value_parser = ["tcp", "udp", "sctp"])]
    protocol: String,

    /// The container with this number [default: the first]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    index: Option<u32>,
}

/// Runs `port`.
pub(crate) async fn run(context: &Context, args: PortArgs) -> Outcome<u8> {
    let stack = context.stack()?;
    let report = context.client().await?.stack(&stack).await?;
    let is_meant = |index: u32| args.index.is_none_or(|wanted| wanted == index);
    let mut tasks = report.status.tasks.iter();
    let task =
        tasks.find(|task| task.service == args.service && task.wanted && is_meant(task.slot));
    let Some(task) = task else {
        return Err(CommandError::failed(format!("no container of `{}` is there", args.service)));
    };
    let publishers = format::publishers(task);
    let found: Vec<_> = publishers
        .iter()
        .filter(|p| {
            args.port.is_none_or(|port| p.target_port == port && p.protocol == args.protocol)
        })
        .collect();
    if found.is_empty() {
        let what =
            args.port.map_or("no port".to_owned(), |port| format!("port {port}/{}", args.protocol));
        let verb = if args.port.is_some() { "is not" } else { "is" };
        return Err(CommandError::failed(format!("{what} of {} {verb} published", task.name)));
    }
    for publisher in found {
        let url = &publisher.url;
        let host = if url.contains(':') { format!("[{url}]") } else { url.clone() };
        let port = publisher.published_port;
        match args.port {
            Some(_) => context.output.line(format_args!("{host}:{port}"))?,
            None => {
                let (target, protocol) = (publisher.target_port, publisher.protocol);
                context.output.line(format_args!("{target}/{protocol} -> {host}:{port}"))?;
            }
        }
    }
    Ok(0)
}
