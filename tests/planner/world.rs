//! One history.

use std::collections::BTreeMap;
use std::time::Duration;

use orca::model::*;
use orca::plan::{Plan, Step, plan, status};
use orca::store::apply;

use crate::host::{self, Host};
use crate::project::{self, STACK};
use crate::random::Random;

/// Until then things go wrong, in milliseconds.
const CALM: u64 = 600_000;
/// Then everything is healed, in milliseconds: what waits may wait up to a minute.
const HEALED: u64 = CALM + 600_000;
/// And here everything has to be as wanted.
const END: u64 = HEALED + 900_000;

#[derive(Clone, Debug)]
enum Event {
    Done(Box<Step>, bool),
    Exit(AttemptId, i32),
    Health(AttemptId, Health),
    User,
    Heal,
    Crash,
    Reboot,
    Up,
    DiskFull(bool),
    Wake,
}

pub(crate) struct World {
    pub(crate) host: Host,
    /// What is in the log.
    durable: Agreed,
    /// What the daemon has in memory.
    pub(crate) agreed: Agreed,
    log: Vec<Command>,
    random: Random,
    clock: u64,
    /// When the host was started, and how often.
    boot: (u64, u64),
    queue: BTreeMap<(u64, u64), Event>,
    count: u64,
    wake: Option<(u64, u64)>,
    up: bool,
    disk_full: bool,
    lost_decisions: bool,
    decisions_at_end: u64,
    trace: bool,
}

impl World {
    pub(crate) fn new(seed: u64, trace: bool) -> Self {
        let mut random = Random::new(seed);
        let agreed = Agreed { identity: "i".to_owned(), next_task: 1, ..Agreed::default() };
        let stack = project::new_stack(&mut random);
        let mut world = Self {
            host: Host::default(),
            durable: agreed.clone(),
            agreed,
            log: Vec::new(),
            random,
            clock: 0,
            boot: (0, 0),
            queue: BTreeMap::new(),
            count: 0,
            wake: None,
            up: true,
            disk_full: false,
            lost_decisions: false,
            decisions_at_end: 0,
            trace,
        };
        world.command(Command::ApplyStack(Box::new(stack)));
        world.schedule();
        world
    }

    fn schedule(&mut self) {
        for n in 0..8 {
            let at = n * 70_000 + self.random.within(0, 70_000);
            self.at(at, Event::User);
        }
        for _ in 0..self.random.within(0, 4) {
            let at = self.random.within(0, CALM);
            self.at(at, Event::Crash);
        }
        if self.random.percent(25) {
            let at = self.random.within(0, CALM);
            self.at(at, Event::Reboot);
        }
        if self.random.percent(25) {
            let at = self.random.within(0, CALM - 100_000);
            self.at(at, Event::DiskFull(true));
            let end = at + self.random.within(1_000, 100_000);
            self.at(end, Event::DiskFull(false));
        }
        self.at(HEALED, Event::Heal);
        self.at(0, Event::Wake);
    }

    pub(crate) fn run(mut self) {
        while let Some((key @ (at, _), event)) = self.queue.pop_first() {
            if at > END {
                break;
            }
            if self.wake == Some(key) {
                self.wake = None;
            }
            self.clock = at;
            if !matches!(event, Event::Wake) {
                self.say(|| format!("{event:?}"));
            }
            self.happen(event);
            self.daemon();
            self.check_always();
        }
        self.check_end();
    }

    pub(crate) fn calm(&self) -> bool {
        self.clock >= CALM
    }

    pub(crate) fn now(&self) -> Now {
        let boottime = Boottime(Duration::from_millis(self.clock - self.boot.0));
        let wall = Timestamp(Duration::from_millis(self.clock));
        Now { boottime, boot: BootId(self.boot.1.to_string()), wall }
    }

    fn at(&mut self, at: u64, event: Event) -> (u64, u64) {
        self.count += 1;
        self.queue.insert((at, self.count), event);
        (at, self.count)
    }

    fn after(&mut self, from: u64, to: u64, event: Event) {
        let at = self.clock + self.random.within(from, to);
        self.at(at, event);
    }

    fn say(&self, what: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>9} {}", self.clock, what());
        }
    }

    fn happen(&mut self, event: Event) {
        let now = self.now().boottime;
        match event {
            Event::Done(step, success) => self.done(&step, success),
            Event::Exit(attempt, code) => self.exit(attempt, code),
            Event::Health(attempt, health) => self.host.health(attempt, health, now),
            Event::User => self.user(),
            Event::Heal => self.heal(),
            Event::Crash => self.crash(),
            Event::Reboot => self.reboot(),
            Event::Up => self.up = true,
            Event::DiskFull(full) => self.disk_full = full,
            Event::Wake => {}
        }
    }

    fn done(&mut self, step: &Step, success: bool) {
        let now = self.now().boottime;
        let Some(attempt) = self.host.end(step, success, now) else { return };
        let fake = self.host.containers[&attempt].clone();
        match (fake.behaviour.as_str(), self.calm()) {
            ("crash", _) => self.after(10, 2_000, Event::Exit(attempt, 1)),
            ("flaky", false) => self.after(2_000, 90_000, Event::Exit(attempt, 1)),
            ("job", calm) => {
                let code = i32::from(!calm && !self.random.percent(70));
                self.after(100, 20_000, Event::Exit(attempt, code));
            }
            _ => {}
        }
        if fake.has_check {
            let says = if fake.behaviour == "sick" { Health::Unhealthy } else { Health::Healthy };
            self.after(100, 15_000, Event::Health(attempt, says));
        }
    }

    fn exit(&mut self, attempt: AttemptId, code: i32) {
        let calm_flaky = |fake: &host::Fake| fake.behaviour == "flaky" && self.calm();
        if self.host.containers.get(&attempt).is_some_and(calm_flaky) {
            return;
        }
        let now = self.now().boottime;
        self.host.exit(attempt, code, now);
    }

    fn user(&mut self) {
        if !self.up {
            return;
        }
        let Some(stack) = self.agreed.stacks.get(STACK).cloned() else {
            let stack = project::new_stack(&mut self.random);
            return self.command(Command::ApplyStack(Box::new(stack)));
        };
        let name = STACK.to_owned();
        let service = self.random.pick(&["db", "migrate", "app", "web"]).to_owned();
        let services = vec![service.clone()];
        let command = match self.random.within(0, 12) {
            0 => {
                let removal = Removal { volumes: self.random.percent(50) };
                Command::RemoveStack { stack: name, removal }
            }
            1 | 2 if service != "migrate" => {
                let replicas = self.random.within(0, 6) as u32;
                Command::Scale { stack: name, service, replicas }
            }
            3 => {
                let remove = self.random.percent(30);
                Command::StopServices { stack: name, services, remove }
            }
            4 => {
                let services = stack.stopped.iter().cloned().collect();
                Command::StartServices { stack: name, services }
            }
            5 | 6 => Command::RestartServices { stack: name, services },
            _ => Command::ApplyStack(Box::new(project::changed(&mut self.random, &stack))),
        };
        self.command(command);
    }

    fn heal(&mut self) {
        assert!(self.up, "the daemon is not up again");
        if let Some(stack) = self.agreed.stacks.get(STACK).filter(|s| s.removing.is_none()) {
            let healed = project::healed(stack);
            self.command(Command::ApplyStack(Box::new(healed)));
        }
    }

    /// A user's command: refused when it makes no sense, or nothing can be written.
    fn command(&mut self, command: Command) {
        if self.disk_full {
            return;
        }
        let mut next = self.agreed.clone();
        match apply(&mut next, &command) {
            Ok(()) => {
                self.say(|| format!("USER {command:?}").chars().take(150).collect());
                self.written(next, command);
            }
            Err(refused) => self.say(|| format!("REFUSED {refused}")),
        }
    }

    fn written(&mut self, next: Agreed, command: Command) {
        // After lost decisions the whole state is written, not the command alone.
        self.lost_decisions |= self.agreed != self.durable;
        self.log.push(command);
        self.durable = next.clone();
        self.agreed = next;
    }

    fn decide(&mut self, group: Vec<Decision>) {
        for decision in &group {
            self.check_decision(decision);
        }
        let command = Command::Decide(group);
        let mut next = self.agreed.clone();
        apply(&mut next, &command).expect("a decision fits the state it was made for");
        if self.disk_full {
            self.agreed = next;
        } else {
            self.written(next, command);
        }
    }

    /// The daemon's loop: decide until there is nothing to decide, then act.
    fn daemon(&mut self) {
        if !self.up {
            return;
        }
        for round in 0.. {
            assert!(round < 50, "decides for ever: {}", self.plan());
            let plan = self.plan();
            if plan.decisions.is_empty() {
                return self.act(plan);
            }
            assert!(plan.steps.is_empty(), "R1: steps beside decisions");
            self.say(|| plan.to_string());
            for group in plan.decisions {
                if !self.calm() && self.random.once_in(200) {
                    return self.crash();
                }
                self.decisions_at_end += u64::from(self.clock > END - 300_000);
                self.decide(group);
            }
        }
    }

    pub(crate) fn plan(&self) -> Plan {
        plan(&self.agreed, &self.host.observed(), &self.now())
    }

    fn act(&mut self, plan: Plan) {
        for step in plan.steps {
            self.check_step(&step);
            if !self.host.begin(&step) {
                continue;
            }
            self.say(|| step.to_string());
            let success = self.calm() || !self.random.percent(10);
            let longest = host::longest(&step).as_millis() as u64;
            self.after(1, longest, Event::Done(Box::new(step), success));
        }
        let again = self.plan();
        assert!(again.decisions.is_empty(), "C6: not idempotent: {again}");
        for step in &again.steps {
            let waits = matches!(step, Step::RemoveSandbox { .. } | Step::RemoveVolume { .. });
            assert!(waits, "C6: not idempotent: {step}");
        }
        if let Some(key) = self.wake.take() {
            self.queue.remove(&key);
        }
        if let Some(at) = again.wake_at {
            let now = self.now().boottime;
            assert!(at > now, "wakes in the past");
            // Rounded up: a timer never rings early.
            let wait = at.since(now).as_micros().div_ceil(1000) as u64;
            self.wake = Some(self.at(self.clock + wait, Event::Wake));
        }
    }

    /// The daemon dies. Operations under way have taken effect or not.
    fn crash(&mut self) {
        if !self.up {
            return;
        }
        self.say(|| "daemon dies".to_owned());
        self.up = false;
        let under_way: Vec<_> = self
            .queue
            .iter()
            .filter(|(_, event)| matches!(event, Event::Done(..)))
            .map(|(key, _)| *key)
            .collect();
        for key in under_way {
            if let Some(Event::Done(step, success)) = self.queue.remove(&key)
                && self.random.percent(50)
            {
                self.done(&step, success);
            }
        }
        self.host.forget();
        self.agreed = self.read_back();
        self.after(10, 20_000, Event::Up);
    }

    /// C12: what is read back from disk is what was written.
    fn read_back(&self) -> Agreed {
        let text = serde_json::to_string(&self.durable).unwrap();
        let read: Agreed = serde_json::from_str(&text).unwrap();
        assert_eq!(read, self.durable, "C12: the state changes when it is written and read");
        read
    }

    fn reboot(&mut self) {
        self.queue.retain(|_, event| {
            !matches!(event, Event::Done(..) | Event::Exit(..) | Event::Health(..) | Event::Up)
        });
        self.host.reboot();
        self.agreed = self.read_back();
        self.boot = (self.clock, self.boot.1 + 1);
        self.up = false;
        self.after(10, 20_000, Event::Up);
    }

    /// C13: the same commands lead to the same state; C7 and C14: all is as wanted, and nothing is
    /// decided any more.
    fn check_end(&mut self) {
        if !self.lost_decisions {
            let mut again = Agreed { identity: "i".to_owned(), next_task: 1, ..Agreed::default() };
            for command in &self.log {
                apply(&mut again, command).expect("what was applied once can be applied again");
            }
            assert_eq!(again, self.durable, "C13: the log leads to another state");
        }
        self.check_converged();
        assert!(self.decisions_at_end == 0, "C14: decides though nothing happens");
    }

    pub(crate) fn status(&self) -> BTreeMap<String, StackStatus> {
        let network = self.plan().network;
        status(&self.agreed, &self.host.observed(), &network, &self.now())
    }
}
