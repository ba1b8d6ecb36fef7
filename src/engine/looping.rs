//! The loop and its passes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, error, warn};

use super::{Ends, Host, Moment, Problem, Request, Start, View, events};
use crate::model::{Agreed, Boottime, Command, Observed};
use crate::plan::{self, Plan};
use crate::store::{CommitError, Store};

/// The shortest wait before another pass that only a timer asks for: a wrong plan then costs a
/// little work and never a core.
const WAIT_MIN: Duration = Duration::from_millis(5);

/// Decisions lead to further decisions, but never for long; more rounds than this are a mistake in
/// the planner, and the loop then goes on after a pause instead of for ever.
const ROUNDS_MAX: usize = 64;

/// The longest rest between two passes for news of the host.
const REST_MAX: Duration = Duration::from_millis(20);

/// How long whoever has worked on everything there is rests before news make them do so again. The work
/// costs as much as there are containers, and a hundred starts make hundreds of news: those that come
/// meanwhile share the next turn, and most of the processors is left to the starts. With few containers
/// that is no time at all.
pub(super) fn rest(worked: Duration) -> Duration {
    (3 * worked).min(REST_MAX)
}

/// The wait after a pass that could not be finished.
const RETRY_WAIT: Duration = Duration::from_secs(1);

/// Runs passes until `stop` is told or dropped. Requests that are already in the queue are answered
/// first.
pub async fn run<H: Host>(start: Start<H>, mut ends: Ends, mut stop: oneshot::Receiver<()>) {
    let mut changed = start.host.changed();
    let mut state = State {
        host: start.host,
        agreed: Arc::new(start.store.agreed().clone()),
        store: start.store,
        observed: Observed::default(),
        shown: false,
    };
    let mut waiting = Vec::new();
    loop {
        let began = Instant::now();
        let wake_at = state.pass(&ends, &mut waiting).await;
        let rested = Instant::now() + rest(began.elapsed());
        // Cancel-safe: a receiver loses nothing when its wait is dropped, a timer has nothing to lose.
        tokio::select! {
            biased;
            request = ends.requests.recv() => match request {
                Some(first) => {
                    waiting.extend(state.accept(first));
                    while let Ok(next) = ends.requests.try_recv() {
                        waiting.extend(state.accept(next));
                    }
                }
                None => return,
            },
            _ = &mut stop => return,
            still_there = news(&mut changed, rested) => if still_there.is_err() { return },
            () = until(state.host.now().boottime, wake_at) => {}
        }
    }
}

/// Who is told once the view has what they asked for.
type Answer = oneshot::Sender<Result<Arc<View>, CommitError>>;

/// What the loop remembers between passes.
struct State<H> {
    host: Arc<H>,
    store: Store,
    agreed: Arc<Agreed>,
    observed: Observed,
    /// Whether a view has been shown.
    shown: bool,
}

impl<H: Host> State<H> {
    /// Commits a user's command; a refusal is answered at once, the rest after the next pass.
    fn accept(&mut self, request: Request) -> Option<Answer> {
        match self.commit(&request.command) {
            Ok(()) => Some(request.answer),
            Err(refused) => {
                // The caller may have gone; then nobody needs the answer.
                drop(request.answer.send(Err(refused)));
                None
            }
        }
    }

    fn commit(&mut self, command: &Command) -> Result<(), CommitError> {
        let agreed = block_in_place(|| self.store.commit(command))?;
        self.agreed = Arc::new(agreed.clone());
        Ok(())
    }

    /// Observes, decides until nothing is left to decide, acts, and shows the result. Returns when to
    /// look again.
    async fn pass(&mut self, ends: &Ends, waiting: &mut Vec<Answer>) -> Option<Boottime> {
        let (plan, observed) = self.decide().await;
        let mut problems = self.host.put_network(&self.agreed, &plan.network).await;
        for step in &plan.steps {
            debug!(%step);
            self.host.begin(step.clone());
        }
        problems.extend(self.host.problems());
        problems.extend((!self.store.is_durable()).then(not_durable));
        // What was there when the daemon came did not happen now.
        if self.shown {
            let now = self.host.now().wall;
            events::tell(&ends.events, &self.observed, &observed, &self.agreed, now);
        }
        self.observed = observed;
        let view = self.view(plan, problems);
        for answer in waiting.drain(..) {
            drop(answer.send(Ok(Arc::clone(&view.0))));
        }
        ends.view.send_if_modified(|shown| {
            // The first is told even if it shows nothing: callers wait for it.
            let differs = **shown != *view.0 || !self.shown;
            *shown = Arc::clone(&view.0);
            differs
        });
        self.shown = true;
        view.1
    }

    /// Plans and commits until a plan has no more decisions.
    async fn decide(&mut self) -> (Plan, Observed) {
        for _ in 0..ROUNDS_MAX {
            let observed = self.host.observe(&self.agreed).await;
            let plan = plan::plan(&self.agreed, &observed, &self.host.now());
            if plan.decisions.is_empty() {
                return (plan, observed);
            }
            for group in &plan.decisions {
                if let Err(refused) = self.decided(Command::Decide(group.clone())) {
                    error!(error = &refused as &dyn std::error::Error, "a decision was refused");
                    return (wait_a_moment(plan, self.host.now().boottime), observed);
                }
            }
        }
        error!("the planner does not come to an end; the pass goes on after a pause");
        let observed = self.host.observe(&self.agreed).await;
        let plan = plan::plan(&self.agreed, &observed, &self.host.now());
        (wait_a_moment(plan, self.host.now().boottime), observed)
    }

    /// Commits a decision. A disk that takes no more does not stop restarts: the decision then holds
    /// in memory, and the view says so.
    fn decided(&mut self, command: Command) -> Result<(), CommitError> {
        match self.commit(&command) {
            Ok(()) => Ok(()),
            Err(CommitError::Refused(refused)) => Err(refused.into()),
            Err(unwritten) => {
                warn!(error = &unwritten as &dyn std::error::Error, "decided in memory only");
                self.agreed = Arc::new(self.store.apply_volatile(&command)?.clone());
                Ok(())
            }
        }
    }

    fn view(&self, plan: Plan, problems: Vec<Problem>) -> (Arc<View>, Option<Boottime>) {
        let now = self.host.now();
        let stacks = plan::status(&self.agreed, &self.observed, &plan.network, &now);
        let view = View {
            agreed: Arc::clone(&self.agreed),
            observed: self.observed.clone(),
            network: plan.network,
            stacks,
            made: Moment::default(),
            problems,
        };
        (Arc::new(view), plan.wake_at)
    }
}

/// A plan that does nothing but come back soon.
fn wait_a_moment(plan: Plan, now: Boottime) -> Plan {
    Plan {
        decisions: vec![],
        steps: vec![],
        network: plan.network,
        wake_at: Some(now + RETRY_WAIT),
    }
}

fn not_durable() -> Problem {
    Problem {
        stack: String::new(),
        service: None,
        message:
            "the disk takes no more: decisions are kept in memory only, and new stacks are refused"
                .to_owned(),
    }
}

/// Waits for news of the host, and then for the end of the rest.
async fn news(
    changed: &mut watch::Receiver<u64>,
    rested: Instant,
) -> Result<(), watch::error::RecvError> {
    // Nothing is lost when this is dropped between the two: a change counts until it is marked as seen.
    if !changed.has_changed()? {
        changed.changed().await?;
        changed.mark_changed();
    }
    sleep_until(rested).await;
    changed.mark_unchanged();
    Ok(())
}

async fn until(now: Boottime, wake_at: Option<Boottime>) {
    match wake_at {
        Some(at) => sleep(at.since(now).max(WAIT_MIN)).await,
        None => std::future::pending().await,
    }
}
