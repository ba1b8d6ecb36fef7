//! The part of `orca up` that stays: shows logs, and stops the stack when it is over.

use futures_util::StreamExt as _;

use crate::api::control::{LogOptions, Services};
use crate::api::{Client, LogRequest, StackReport, Target};
use crate::cli::context::{Context, exit_code};
use crate::cli::error::{CommandError, Outcome};
use crate::cli::log_view::LogView;
use crate::cli::wait::INTERRUPTED;
use crate::model::{TaskState, TaskStatus};

/// How to stay.
#[derive(Debug)]
pub(super) struct Follow {
    /// Whose logs; empty is all.
    pub(super) services: Vec<String>,
    /// Whether the end of one container is the end of all.
    pub(super) abort: bool,
    /// Whose exit status counts.
    pub(super) exit_code_from: Option<String>,
    /// Whether lines have names.
    pub(super) prefix: bool,
    /// Whether lines have times.
    pub(super) timestamps: bool,
}

/// Shows logs until Ctrl-C, until everything has ended, or until what `follow` says.
pub(super) async fn run(
    context: &Context,
    client: &Client,
    stack: &str,
    generation: u64,
    follow: Follow,
) -> Outcome<u8> {
    wait_for_tasks(client, stack, generation).await?;
    let ended = tokio::select! {
        shown = show(context, client, stack, &follow) => {
            shown?;
            Some(0)
        }
        ended = over(client, stack, &follow) => Some(ended?),
        interrupt = tokio::signal::ctrl_c() => {
            interrupt.map_err(|error| CommandError::io("cannot wait for Ctrl-C", &error))?;
            None
        }
    };
    context.output.note(format_args!("\nstopping {stack} (Ctrl-C again leaves it to orca)"));
    let stop = Services { stack: stack.to_owned(), ..Services::default() };
    client.stop(stop).await?;
    tokio::select! {
        stopped = wait_for_silence(client, stack) => stopped?,
        _ = tokio::signal::ctrl_c() => {}
    }
    Ok(ended.unwrap_or(INTERRUPTED))
}

/// Waits until the view shows the stack that was just applied: logs of nothing end at once.
async fn wait_for_tasks(client: &Client, stack: &str, generation: u64) -> Outcome {
    let mut reports = client.watch(stack).await?;
    while let Some(report) = reports.next().await {
        if let Some(StackReport { status, .. }) = report?
            && status.generation >= generation
            && !status.tasks.is_empty()
        {
            return Ok(());
        }
    }
    Err(CommandError::unreachable("the orca daemon has ended"))
}

async fn show(context: &Context, client: &Client, stack: &str, follow: &Follow) -> Outcome {
    let names = follow.services.clone();
    let target = Target { stack: stack.to_owned(), names, index: None };
    let options = LogOptions { follow: true, ..LogOptions::default() };
    let entries = client.logs(LogRequest { target, options }).await?;
    let mut view = LogView::new(context.output.style, follow.prefix, follow.timestamps);
    let mut batches = entries.ready_chunks(256);
    while let Some(batch) = batches.next().await {
        let mut text = Vec::new();
        for entry in batch {
            view.render(&entry?, &mut text);
        }
        context.output.bytes(&text)?;
    }
    Ok(())
}

/// The exit status, once it is over.
async fn over(client: &Client, stack: &str, follow: &Follow) -> Outcome<u8> {
    let mut reports = client.watch(stack).await?;
    while let Some(report) = reports.next().await {
        let Some(report) = report? else { return Ok(0) };
        if let Some(code) = verdict(&report.status.tasks, follow) {
            return Ok(exit_code(code));
        }
    }
    Err(CommandError::unreachable("the orca daemon has ended"))
}

/// The exit status that the tasks give, if they are over: one that counts has ended, or all have.
fn verdict(tasks: &[TaskStatus], follow: &Follow) -> Option<i32> {
    let ended = |task: &&TaskStatus| {
        task.wanted && matches!(task.state, TaskState::Completed | TaskState::Failed)
    };
    let code = |task: &TaskStatus| task.exit_code.unwrap_or(1);
    let first = tasks.iter().find(ended)?;
    let all = tasks.iter().filter(|task| task.wanted).all(|task| ended(&task));
    if !follow.abort && !all {
        return None;
    }
    let Some(service) = &follow.exit_code_from else {
        let worst = tasks.iter().filter(ended).map(code).find(|code| *code != 0);
        return Some(if follow.abort { code(first) } else { worst.unwrap_or(0) });
    };
    let of_service = tasks.iter().filter(ended).find(|task| task.service == *service);
    // Another one ended first: what was asked for is stopped with the rest, and has no status of its
    // own worth passing on.
    Some(of_service.map_or_else(|| code(first), code))
}

/// Waits until no program runs any more.
async fn wait_for_silence(client: &Client, stack: &str) -> Outcome {
    let mut reports = client.watch(stack).await?;
    while let Some(report) = reports.next().await {
        let Some(report) = report? else { return Ok(()) };
        let status = &report.status;
        let stopped = status.services.values().all(|service| service.stopped);
        if stopped && !status.tasks.iter().any(runs) {
            return Ok(());
        }
    }
    Ok(())
}

/// Whether a task has a program that runs, or will have.
pub(super) fn runs(task: &TaskStatus) -> bool {
    !matches!(task.state, TaskState::Completed | TaskState::Failed)
}
