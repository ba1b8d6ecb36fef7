//! Waits for a stack to become what was asked for.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::Instant;

use super::context::Context;
use super::error::{CommandError, Outcome};
use super::progress::Progress;
use crate::api::{Client, ClientError, StackReport};

/// The exit status of a command that was interrupted, as a shell shows it.
pub(super) const INTERRUPTED: u8 = 130;

/// How long a daemon may be away while a command waits: it may be restarted just now.
const ABSENCE: Duration = Duration::from_secs(10);

/// What to wait for.
#[derive(Debug)]
pub(super) struct Wait<'a> {
    /// How to speak to the user.
    pub(super) context: &'a Context,
    /// The daemon.
    pub(super) client: &'a Client,
    /// The stack.
    pub(super) stack: &'a str,
    /// What is shown meanwhile.
    pub(super) progress: Progress,
    /// For how long at most.
    pub(super) timeout: Option<Duration>,
    /// What goes on when the user stops the waiting: `shop goes on starting`.
    pub(super) goes_on: String,
}

/// Why a look at the stack ended.
enum Look<T> {
    /// The verdict.
    Over(T),
    /// The daemon went away.
    Lost(ClientError),
}

impl Wait<'_> {
    /// Looks at the stack until `judge` gives a verdict.
    ///
    /// # Errors
    /// After the timeout, after Ctrl-C, and if the daemon stays away.
    pub(super) async fn until<T>(
        &mut self,
        mut judge: impl FnMut(Option<&StackReport>) -> Option<T>,
    ) -> Outcome<T> {
        let deadline = self.timeout.map(|timeout| Instant::now() + timeout);
        let goes_on = self.goes_on.clone();
        tokio::select! {
            verdict = self.through_restarts(&mut judge) => verdict,
            interrupt = tokio::signal::ctrl_c() => {
                interrupt.map_err(|error| CommandError::io("cannot wait for Ctrl-C", &error))?;
                self.context.output.note(format_args!("\nstopped waiting; {goes_on}"));
                Err(CommandError::silent(INTERRUPTED))
            }
            () = at(deadline) => {
                let seconds = self.timeout.unwrap_or_default().as_secs_f64();
                Err(CommandError::failed(format!("stopped waiting after {seconds} seconds; {goes_on}"))
                    .with_hint("`orca ps -a` and `orca logs` show how it is"))
            }
        }
    }

    /// Looks again when the daemon comes back.
    async fn through_restarts<T>(
        &mut self,
        judge: &mut impl FnMut(Option<&StackReport>) -> Option<T>,
    ) -> Outcome<T> {
        let mut away_since: Option<Instant> = None;
        loop {
            let before = Instant::now();
            match self.look(judge).await? {
                Look::Over(verdict) => return Ok(verdict),
                Look::Lost(error) => {
                    // A look that took a while did see the daemon.
                    let seen = before.elapsed() > Duration::from_secs(1);
                    let since = *away_since.get_or_insert(before);
                    if seen {
                        away_since = Some(Instant::now());
                    } else if since.elapsed() > ABSENCE {
                        return Err(error.into());
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn look<T>(
        &mut self,
        judge: &mut impl FnMut(Option<&StackReport>) -> Option<T>,
    ) -> Outcome<Look<T>> {
        let mut reports = match self.client.watch(self.stack).await {
            Ok(reports) => reports,
            Err(error) if error.is_unreachable() => return Ok(Look::Lost(error)),
            Err(error) => return Err(error.into()),
        };
        loop {
            let report = tokio::select! {
                report = reports.next() => report,
                () = after(self.progress.next_tick()) => {
                    self.progress.tick()?;
                    continue;
                }
            };
            match report {
                Some(Ok(report)) => {
                    self.progress.show(report.as_ref().map(|report| &report.status))?;
                    if let Some(verdict) = judge(report.as_ref()) {
                        return Ok(Look::Over(verdict));
                    }
                }
                Some(Err(error)) if !error.is_unreachable() => return Err(error.into()),
                Some(Err(error)) => return Ok(Look::Lost(error)),
                None => return Ok(Look::Lost(ClientError::Lost("it has ended".to_owned()))),
            }
        }
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

async fn after(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}
