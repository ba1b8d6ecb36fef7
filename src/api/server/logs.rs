//! Merges the logs of many containers into one stream, by time.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tonic::Status;

use super::{STREAM_BUFFER, select};
use crate::api::control::{Answer, Control, LogLine, LogOptions};
use crate::api::message::{LogEntry, LogRequest, Target};
use crate::api::proto;
use crate::engine::View;
use crate::model::{TaskId, TaskStatus};

/// How long a line waits for an older one of another container that may still arrive.
const PATIENCE: Duration = Duration::from_millis(50);

/// Starts to read all logs of a target. With `follow`, containers that appear later are read too,
/// from their beginning, and the stream ends when the stack is gone.
pub(super) async fn merge(
    control: Arc<dyn Control>,
    request: LogRequest,
) -> Answer<mpsc::Receiver<Result<proto::LogEntry, Status>>> {
    let LogRequest { target, options } = request;
    let mut views = control.view();
    let view = views.borrow_and_update().clone();
    let mut merger = Merger { control, target, sources: Vec::new(), known: Vec::new() };
    for task in select::tasks(&view, &merger.target)? {
        merger.add(task, options.clone()).await?;
    }
    let (entries, received) = mpsc::channel(STREAM_BUFFER);
    tokio::spawn(async move {
        tokio::select! {
            () = merger.run(options.follow.then_some(views), &entries) => {}
            () = entries.closed() => {}
        }
    });
    Ok(received)
}

/// The logs that are being read.
struct Merger {
    control: Arc<dyn Control>,
    target: Target,
    sources: Vec<Source>,
    /// The tasks whose logs were begun, as far as they are still there.
    known: Vec<TaskId>,
}

/// One log.
struct Source {
    /// What its entries have in common.
    of: LogEntry,
    lines: mpsc::Receiver<LogLine>,
    /// Its oldest line that was not sent yet, and since when it waits.
    head: Option<(LogLine, Instant)>,
}

type Entries = mpsc::Sender<Result<proto::LogEntry, Status>>;

impl Merger {
    async fn add(&mut self, task: &TaskStatus, options: LogOptions) -> Answer<()> {
        let lines = self.control.logs(task.task, options).await?;
        let of = LogEntry {
            stack: task.stack.clone(),
            service: task.service.clone(),
            slot: task.slot,
            container: task.name.clone(),
            line: LogLine::default(),
        };
        self.known.push(task.task);
        self.sources.push(Source { of, lines, head: None });
        Ok(())
    }

    /// Sends lines until all logs have ended; with `views`, until the stack is gone.
    async fn run(&mut self, mut views: Option<watch::Receiver<Arc<View>>>, entries: &Entries) {
        loop {
            let oldest = self.oldest();
            let due = match &oldest {
                // Every log has shown its next line, so this is the oldest of all.
                Some(_) if self.sources.iter().all(|source| source.head.is_some()) => {
                    Some(Instant::now())
                }
                Some(oldest) => self.since(*oldest).map(|since| since + PATIENCE),
                None if self.sources.is_empty() && views.is_none() => return,
                None => None,
            };
            if let (Some(oldest), Some(due)) = (oldest, due)
                && due <= Instant::now()
            {
                if !self.send(oldest, entries).await {
                    return;
                }
                continue;
            }
            tokio::select! {
                () = read(&mut self.sources) => {}
                () = wait_until(due) => {}
                view = next(&mut views) => match view {
                    Some(view) if self.news(&view).await => {}
                    _ => views = None,
                },
            }
        }
    }

    /// The source whose line is the oldest of those that wait.
    fn oldest(&self) -> Option<usize> {
        let heads = self.sources.iter().enumerate();
        let heads = heads.filter_map(|(n, source)| Some((source.head.as_ref()?.0.time, n)));
        heads.min().map(|(_, n)| n)
    }

    fn since(&self, source: usize) -> Option<Instant> {
        self.sources.get(source)?.head.as_ref().map(|(_, since)| *since)
    }

    /// Whether there is still somebody to send to.
    async fn send(&mut self, source: usize, entries: &Entries) -> bool {
        let Some((line, _)) = self.sources[source].head.take() else { return true };
        let entry = LogEntry { line, ..self.sources[source].of.clone() };
        entries.send(Ok(entry.into())).await.is_ok()
    }

    /// Begins to read the logs that are new in a view; false once the stack is gone.
    async fn news(&mut self, view: &View) -> bool {
        let Some(stack) = view.stacks.get(&self.target.stack) else { return false };
        self.known.retain(|known| stack.tasks.iter().any(|task| task.task == *known));
        for task in &stack.tasks {
            if select::is_meant(task, &self.target) && !self.known.contains(&task.task) {
                let from_its_beginning = LogOptions { follow: true, ..LogOptions::default() };
                // It may be gone again already.
                let _gone = self.add(task, from_its_beginning).await.is_err();
            }
        }
        true
    }
}

/// The next view; `None` when there will be no more.
async fn next(views: &mut Option<watch::Receiver<Arc<View>>>) -> Option<Arc<View>> {
    let Some(views) = views else { return std::future::pending().await };
    views.changed().await.ok()?;
    Some(views.borrow_and_update().clone())
}

/// Waits until one more source has a line ready, or has ended and is taken out.
async fn read(sources: &mut Vec<Source>) {
    poll_fn(|context| {
        let mut progress = false;
        sources.retain_mut(|source| {
            if source.head.is_some() {
                return true;
            }
            match source.lines.poll_recv(context) {
                Poll::Pending => true,
                Poll::Ready(Some(line)) => {
                    source.head = Some((line, Instant::now()));
                    progress = true;
                    true
                }
                Poll::Ready(None) => {
                    progress = true;
                    false
                }
            }
        });
        if progress { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

async fn wait_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
