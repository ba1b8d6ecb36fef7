//! One test for each rule: a state in one line, the plan as text.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::model::*;

mod containers;
mod lifecycle;
mod naming;
mod networking;
mod statuses;
mod updates;

/// The stack `shop` at 100 s of boot `b`, in one network.
#[derive(Clone)]
struct Scene {
    agreed: Agreed,
    observed: Observed,
    now: Now,
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn at(n: u64) -> Boottime {
    Boottime(seconds(n))
}

impl Scene {
    /// A stack with these services, each from the image `image` and in the network `default`.
    fn new(services: &[&str]) -> Self {
        let mut project = Project { name: "shop".to_owned(), ..Project::default() };
        let network = Network { name: "shop_default".to_owned(), ..Network::default() };
        project.networks.insert("default".to_owned(), network);
        for name in services {
            let mut service = Service { image: "image".to_owned(), ..Service::default() };
            service.networks.insert("default".to_owned(), Attachment::default());
            project.services.insert((*name).to_owned(), service);
        }
        let id = Digest::sha256(&"5".repeat(64)).unwrap();
        let image = PinnedImage { id, digest: None, config: ImageConfig::default() };
        let images = BTreeMap::from([("image".to_owned(), image)]);
        let stack = Stack { project, images, ..Stack::default() };
        let network = AgreedNetwork {
            stack: "shop".to_owned(),
            key: "default".to_owned(),
            subnet: "10.200.0.0/24".parse().unwrap(),
            gateway: "10.200.0.1".parse().unwrap(),
            subnet6: None,
            last: "10.200.0.1".parse().unwrap(),
        };
        let agreed = Agreed {
            identity: "store".to_owned(),
            next_task: 1,
            stacks: BTreeMap::from([("shop".to_owned(), stack)]),
            networks: BTreeMap::from([("shop_default".to_owned(), network)]),
            ..Agreed::default()
        };
        let now = Now { boottime: at(100), boot: BootId("b".to_owned()), ..Now::default() };
        Self { agreed, observed: Observed::default(), now }.revised()
    }

    fn stack(&mut self) -> &mut Stack {
        self.agreed.stacks.get_mut("shop").unwrap()
    }

    fn revised(mut self) -> Self {
        let stack = self.stack();
        let services = stack.project.services.keys();
        let revision = |name: &String| revision(&stack.project, name, &stack.images);
        stack.revisions = services.map(|name| (name.clone(), revision(name))).collect();
        self
    }

    /// Changes a service, as it was when its tasks are made.
    fn with(mut self, service: &str, change: impl FnOnce(&mut Service)) -> Self {
        change(self.stack().project.services.get_mut(service).unwrap());
        self.revised()
    }

    fn checked(self, service: &str) -> Self {
        let check = HealthCheck { test: Some(Probe::Tcp(80)), ..HealthCheck::default() };
        self.with(service, |service| service.healthcheck = Some(check))
    }

    fn needs(self, service: &str, other: &str, condition: Condition) -> Self {
        let dependency = Dependency { condition, restart: false, required: true };
        self.with(service, |service| {
            service.depends_on.insert(other.to_owned(), dependency);
        })
    }

    /// The next task of a service, in its next slot, at its current revision, before its first attempt.
    fn task(mut self, service: &str) -> Self {
        let id = self.agreed.next_task;
        let slot =
            self.agreed.tasks_of("shop", service).map(|(_, task)| task.slot).max().unwrap_or(0) + 1;
        let mut task = Task {
            stack: "shop".to_owned(),
            service: service.to_owned(),
            slot,
            stop_grace: seconds(10),
            ..Task::default()
        };
        let stack = self.stack();
        if let Some(service) = stack.project.services.get(service) {
            task.revision.clone_from(&stack.revisions[&task.service]);
            task.nonce = look::nonce(stack, &task.service);
            if service.networks.contains_key("default") {
                let v4 = std::net::Ipv4Addr::new(10, 200, 0, u8::try_from(id).unwrap() + 1);
                let address = TaskAddress { v4, v6: None };
                task.addresses.insert("shop_default".to_owned(), address);
            }
        }
        self.agreed.tasks.insert(TaskId(id), task);
        self.agreed.next_task += 1;
        self
    }

    fn change(mut self, task: u64, change: impl FnOnce(&mut Task)) -> Self {
        change(self.agreed.tasks.get_mut(&TaskId(task)).unwrap());
        self
    }

    /// The task's current attempt is this one, decided in this boot.
    fn attempt(self, task: u64, number: u32) -> Self {
        let deadline = Deadline { boot: self.now.boot.clone(), at: at(0) };
        self.change(task, |task| {
            task.attempt = number;
            task.not_before = Some(deadline);
        })
    }

    /// The container of the task's current attempt (the first, if there is none yet) is like this.
    fn container(mut self, task: u64, phase: Phase) -> Self {
        let id = TaskId(task);
        if self.agreed.tasks.get(&id).is_some_and(|task| task.attempt == 0) {
            self = self.attempt(task, 1);
        }
        let number = self.agreed.tasks.get(&id).map_or(1, |task| task.attempt);
        let attempt = AttemptId { task: id, number };
        let container =
            ObservedContainer { id: self.agreed.container_id(attempt), phase, busy: false };
        self.observed.containers.insert(attempt, container);
        self.observed.sandboxes.insert(id);
        self
    }

    /// Runs since 50 s.
    fn running(self, task: u64, health: Health) -> Self {
        let (since, health_since) = (at(50), at(60));
        let (stopping, paused) = (false, false);
        let phase = Phase::Running { since, pid: 1, health, health_since, stopping, paused };
        self.container(task, phase)
    }

    fn exited(self, task: u64, code: i32) -> Self {
        self.container(task, Phase::Exited(Exit { code, ran: seconds(1), ..Exit::default() }))
    }

    fn busy(mut self) -> Self {
        for container in self.observed.containers.values_mut() {
            container.busy = true;
        }
        self
    }

    fn plan(&self) -> Plan {
        plan(&self.agreed, &self.observed, &self.now)
    }

    fn status(&self) -> StackStatus {
        let network = self.plan().network;
        status(&self.agreed, &self.observed, &network, &self.now).remove("shop").unwrap()
    }

    /// Checks the plan, line by line.
    #[track_caller]
    fn check(&self, expected: &[&str]) {
        let plan = self.plan().to_string();
        assert_eq!(plan.lines().collect::<Vec<_>>(), expected);
        // A decision is made before anything is done.
        assert!(self.plan().decisions.is_empty() || self.plan().steps.is_empty());
    }
}

#[test]
fn nothing_agreed_needs_nothing() {
    let scene = Scene { agreed: Agreed::default(), ..Scene::new(&[]) };
    scene.check(&[]);
}

#[test]
fn the_same_state_has_the_same_plan() {
    let scene = Scene::new(&["app", "db", "web"]).task("app").task("db").running(1, Health::None);
    assert_eq!(scene.plan(), scene.plan());
}
