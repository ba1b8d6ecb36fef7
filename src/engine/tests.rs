//! The loop against a host made of values.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::{Engine, Host, Problem, Start, View, run};
use crate::model::{
    Agreed, BootId, Boottime, Command, Digest, Exit, Health, ImageConfig, NetworkTable, Now,
    Observed, ObservedContainer, Phase, PinnedImage, Project, Removal, Service, Stack,
};
use crate::plan::{Step, revision};
use crate::store::Store;

/// A host on which every step succeeds at once.
#[derive(Debug)]
struct Values {
    observed: Mutex<Observed>,
    steps: Mutex<Vec<String>>,
    changed: watch::Sender<u64>,
}

impl Values {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            observed: Mutex::default(),
            steps: Mutex::default(),
            changed: watch::Sender::new(0),
        })
    }

    /// The program of the first container that runs ends.
    fn end_one(&self) {
        let mut observed = self.observed.lock().unwrap();
        let container = observed.containers.values_mut().next().unwrap();
        container.phase =
            Phase::Exited(Exit { code: 1, ran: Duration::from_secs(60), ..Exit::default() });
        drop(observed);
        self.changed.send_modify(|count| *count += 1);
    }

    fn running(&self) -> usize {
        let observed = self.observed.lock().unwrap();
        observed.containers.values().filter(|c| matches!(c.phase, Phase::Running { .. })).count()
    }
}

impl Host for Values {
    async fn observe(&self, _: &Agreed) -> Observed {
        self.observed.lock().unwrap().clone()
    }

    async fn put_network(&self, _: &Arc<Agreed>, _: &NetworkTable) -> Vec<Problem> {
        vec![]
    }

    fn begin(self: &Arc<Self>, step: Step) {
        self.steps.lock().unwrap().push(step.to_string());
        let mut observed = self.observed.lock().unwrap();
        match step {
            Step::Start(start) => {
                observed.sandboxes.extend(start.sandbox.map(|sandbox| sandbox.task));
                let phase = Phase::Running {
                    since: self.now().boottime,
                    pid: 1,
                    health: Health::None,
                    health_since: Boottime::default(),
                    stopping: false,
                    paused: false,
                };
                let id = start.container.id;
                let container = ObservedContainer { id, phase, busy: false };
                observed.containers.insert(start.attempt, container);
            }
            Step::Stop { attempt, .. } => {
                observed.containers.get_mut(&attempt).unwrap().phase =
                    Phase::Exited(Exit::default());
            }
            Step::Remove { id, .. } => observed.containers.retain(|_, c| c.id != id),
            Step::RemoveSandbox { task } => {
                observed.sandboxes.remove(&task);
            }
            Step::RemoveVolume { .. } => {}
        }
        drop(observed);
        self.changed.send_modify(|count| *count += 1);
    }

    fn problems(&self) -> Vec<Problem> {
        vec![]
    }

    fn now(&self) -> Now {
        Now { boot: BootId("one".to_owned()), ..crate::sys::clock::now() }
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

/// An engine that runs, until it is dropped.
struct Running {
    engine: Engine,
    host: Arc<Values>,
    _stop: oneshot::Sender<()>,
    _directory: TempDir,
}

fn start() -> Running {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(directory.path()).unwrap();
    let (engine, ends) = Engine::new();
    let (stop, stopped) = oneshot::channel();
    let host = Values::new();
    tokio::spawn(run(Start { host: Arc::clone(&host), store }, ends, stopped));
    Running { engine, host, _stop: stop, _directory: directory }
}

fn stack(services: &[&str]) -> Stack {
    let mut project = Project { name: "s".to_owned(), ..Project::default() };
    for name in services {
        let service = Service { image: "i".to_owned(), ..Service::default() };
        project.services.insert((*name).to_owned(), service);
    }
    let id = Digest::sha256(&"a".repeat(64)).unwrap();
    let config = ImageConfig { cmd: vec!["/bin/true".to_owned()], ..ImageConfig::default() };
    let images = BTreeMap::from([("i".to_owned(), PinnedImage { id, digest: None, config })]);
    let revisions =
        project.services.keys().map(|name| (name.clone(), revision(&project, name, &images)));
    Stack { revisions: revisions.collect(), project, images, ..Stack::default() }
}

async fn until(engine: &Engine, what: impl FnMut(&Arc<View>) -> bool) {
    let mut view = engine.view();
    timeout(Duration::from_secs(20), view.wait_for(what)).await.expect("in time").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_that_is_applied_runs_and_one_that_is_removed_goes() {
    let this = start();
    this.engine.commit(Command::ApplyStack(Box::new(stack(&["a", "b"])))).await.unwrap();
    until(&this.engine, |view| view.stacks.get("s").is_some_and(|stack| stack.converged)).await;
    assert_eq!(this.host.running(), 2);
    let removal = Removal::default();
    this.engine.commit(Command::RemoveStack { stack: "s".to_owned(), removal }).await.unwrap();
    until(&this.engine, |view| view.agreed.stacks.is_empty()).await;
    assert_eq!(this.host.running(), 0);
    assert!(this.host.observed.lock().unwrap().sandboxes.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_ends_is_started_again_and_told_of() {
    let this = start();
    this.engine.commit(Command::ApplyStack(Box::new(stack(&["a"])))).await.unwrap();
    until(&this.engine, |view| view.stacks.get("s").is_some_and(|stack| stack.converged)).await;
    let mut events = this.engine.events(None).1;
    this.host.end_one();
    until(&this.engine, |view| {
        view.agreed.tasks.values().any(|task| task.restarts == 1) && this.host.running() == 1
    })
    .await;
    let died = loop {
        let event = timeout(Duration::from_secs(10), events.recv()).await.unwrap().unwrap();
        if event.action == "die" {
            break event;
        }
    };
    assert_eq!(died.attributes["exitCode"], "1");
    assert_eq!(died.service.as_deref(), Some("a"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_makes_no_sense_is_refused_and_changes_nothing() {
    let this = start();
    let removal = Removal::default();
    let command = Command::RemoveStack { stack: "unknown".to_owned(), removal };
    assert!(this.engine.commit(command).await.is_err());
    assert!(this.host.steps.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_done_twice_when_nothing_changes() {
    let this = start();
    this.engine.commit(Command::ApplyStack(Box::new(stack(&["a", "b", "c"])))).await.unwrap();
    until(&this.engine, |view| view.stacks.get("s").is_some_and(|stack| stack.converged)).await;
    let before = this.host.steps.lock().unwrap().clone();
    for _ in 0..5 {
        this.host.changed.send_modify(|count| *count += 1);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(*this.host.steps.lock().unwrap(), before);
}
