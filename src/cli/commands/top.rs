//! `orca top`: the processes of containers.

use std::time::Duration;

use clap::Args;

use crate::api::control::Process;
use crate::cli::context::Context;
use crate::cli::error::Outcome;
use crate::cli::format;

/// Options of `top`.
#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    /// Services or containers; all if none is named
    names: Vec<String>,
}

/// Runs `top`.
pub(crate) async fn run(context: &Context, args: TopArgs) -> Outcome<u8> {
    let target = context.target(args.names, None)?;
    let containers = context.client().await?.top(target).await?;
    for (n, container) in containers.iter().enumerate() {
        if n > 0 {
            context.output.line("")?;
        }
        context.output.line(&container.name)?;
        let header = ["UID", "PID", "PPID", "TIME", "ELAPSED", "CMD"];
        context.output.text(&format::table(&header, container.processes.iter().map(row)))?;
    }
    Ok(0)
}

fn row(process: &Process) -> Vec<String> {
    vec![
        process.uid.to_string(),
        process.pid.to_string(),
        process.parent.to_string(),
        clock(process.cpu),
        clock(process.age),
        process.command.clone(),
    ]
}

/// `00:01:05`.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
