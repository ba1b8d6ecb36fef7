//! The last words of containers that failed.

use std::time::Duration;

use futures_util::StreamExt as _;

use super::context::Context;
use super::log_view::LogView;
use crate::api::control::LogOptions;
use crate::api::{Client, LogRequest, Target};
use crate::model::{Health, StackStatus, TaskState, TaskStatus};

/// How many lines of each container are shown.
const LINES: u64 = 10;

/// Of how many containers.
const CONTAINERS: usize = 5;

/// For how long they are waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Shows the last lines of the containers that are the reason. Where that does not work, the reason
/// itself must do.
pub(super) async fn show_last_words(context: &Context, client: &Client, status: &StackStatus) {
    for task in status.tasks.iter().filter(|task| is_reason(task)).take(CONTAINERS) {
        let lines = tokio::time::timeout(PATIENCE, last_words(context, client, task)).await;
        let text = lines.unwrap_or_default();
        if !text.is_empty() {
            context.output.note(format_args!("the last lines of {}:", task.name));
            context.output.note(text.trim_end());
        }
    }
}

fn is_reason(task: &TaskStatus) -> bool {
    let failing = matches!(task.state, TaskState::Failed | TaskState::Restarting);
    // One that has just been started again looks well for a moment.
    let again = task.restarts > 0 && task.exit_code.is_some_and(|code| code != 0);
    task.wanted && (failing || again || task.health == Health::Unhealthy)
}

async fn last_words(context: &Context, client: &Client, task: &TaskStatus) -> String {
    let names = vec![task.name.clone()];
    let target = Target { stack: task.stack.clone(), names, index: None };
    let options = LogOptions { tail: Some(LINES), ..LogOptions::default() };
    let mut view = LogView::new(context.output.plain().style, true, false);
    let mut text = Vec::new();
    if let Ok(mut entries) = client.logs(LogRequest { target, options }).await {
        while let Some(Ok(entry)) = entries.next().await {
            view.render(&entry, &mut text);
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}
