//! What a command does to the agreed state.

use std::collections::BTreeSet;

use crate::model::{
    Agreed, AttemptId, BootId, Command, Decision, Exit, IdMaps, Stack, Task, TaskId, Want,
};

use super::check;

/// Why a command changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The stack is not there.
    #[error("there is no stack called `{0}`")]
    NoStack(String),
    /// The service is not there.
    #[error("stack `{stack}` has no service called `{service}`")]
    NoService {
        /// The stack.
        stack: String,
        /// The service.
        service: String,
    },
    /// The stack is on its way out.
    #[error("stack `{0}` is being taken down: wait for that, then try again")]
    Removing(String),
    /// The stack contradicts itself or another one.
    #[error("{0}")]
    Conflict(String),
    /// A decision was made for another state than this one.
    #[error("cannot apply what was decided: {0}")]
    Stale(String),
}

/// Applies a command. The same commands in the same order lead to the same state; a command that is
/// refused changes nothing.
pub fn apply(agreed: &mut Agreed, command: &Command) -> Result<(), Refused> {
    let mut next = agreed.clone();
    check::command(agreed, command)?;
    perform(&mut next, command)?;
    *agreed = next;
    Ok(())
}

/// What a command does once it has been let in. Reading the log again does only this: rules that came
/// later do not refuse what was agreed before. After an error the state is to be thrown away.
pub(super) fn perform(agreed: &mut Agreed, command: &Command) -> Result<(), Refused> {
    match command {
        Command::ApplyStack(stack) => {
            apply_stack(agreed, stack);
            Ok(())
        }
        Command::RemoveStack { stack, removal } => {
            let stack = find(agreed, stack)?;
            // Asking again may take more along, never less.
            let volumes = stack.removing.as_ref().is_some_and(|r| r.volumes) || removal.volumes;
            stack.removing = Some(crate::model::Removal { volumes });
            Ok(())
        }
        Command::Scale { stack, service, replicas } => {
            scale(find_active(agreed, stack)?, service, *replicas)
        }
        Command::StopServices { stack, services, remove } => {
            let stack = find_services(agreed, stack, services)?;
            stack.stopped.extend(services.iter().cloned());
            if *remove {
                renew_nonces(stack, services);
            }
            Ok(())
        }
        Command::StartServices { stack: name, services } => {
            let stack = find_services(agreed, name, services)?;
            for service in services {
                stack.stopped.remove(service);
            }
            renew(agreed, name, |task| services.contains(&task.service) && task.outcome.is_some());
            Ok(())
        }
        Command::DropOneOffs { stack: name, services } => {
            find_services(agreed, name, services)?;
            services.iter().try_for_each(|service| drop_one_off(agreed, name, service))
        }
        Command::Suspend(suspended) => {
            agreed.suspended = *suspended;
            if !suspended {
                start_always(agreed);
            }
            Ok(())
        }
        Command::GiveUsers(pool) => {
            agreed.users = pool.clone();
            Ok(())
        }
        Command::Boot(boot) => {
            // The first time there is nothing that was stopped before.
            if agreed.boot != BootId::default() {
                start_always(agreed);
            }
            agreed.boot.clone_from(boot);
            Ok(())
        }
        Command::RestartServices { stack, services } => {
            let stack = find_services(agreed, stack, services)?;
            for service in services {
                stack.stopped.remove(service);
            }
            renew_nonces(stack, services);
            Ok(())
        }
        Command::Decide(decisions) => {
            decisions.iter().try_for_each(|decision| decide_one(agreed, decision))
        }
    }
}

/// Starts what is always to start again, although a user had stopped it.
fn start_always(agreed: &mut Agreed) {
    for stack in agreed.stacks.values_mut() {
        let services = &stack.project.services;
        stack.stopped.retain(|name| {
            let service = services.get(name);
            !service.is_some_and(|service| service.deploy.restart.even_if_stopped)
        });
    }
}

fn apply_stack(agreed: &mut Agreed, stack: &Stack) {
    let name = &stack.project.name;
    let before = agreed.stacks.get(name);
    let mut stack = stack.clone();
    stack.removing = None;
    stack.generation = before.map_or(0, |before| before.generation).saturating_add(1);
    stack.users = before.and_then(|before| before.users).or_else(|| free_users(agreed));
    for service in stack.project.services.keys() {
        // What comes with the command counts on from what was: restarts stay done.
        let old = before.and_then(|before| before.nonces.get(service)).copied().unwrap_or(0);
        if let Some(nonce) = stack.nonces.get_mut(service) {
            *nonce = nonce.wrapping_add(old);
        } else if old != 0 {
            stack.nonces.insert(service.clone(), old);
        }
    }
    let name = name.clone();
    let services = &stack.project.services;
    let one_offs = services.iter().filter(|(_, service)| service.one_off.is_some());
    let one_offs: BTreeSet<String> = one_offs.map(|(name, _)| name.clone()).collect();
    agreed.stacks.insert(name.clone(), stack);
    // What failed for good is tried again; what completed has completed, and what was to run once has
    // had its turn.
    renew(agreed, &name, |task| {
        matches!(task.outcome, Some(crate::model::Outcome::Failed(_)))
            && !one_offs.contains(&task.service)
    });
}

/// Makes what there is of services out of date.
fn renew_nonces(stack: &mut Stack, services: &[String]) {
    for service in services {
        let nonce = stack.nonces.entry(service.clone()).or_default();
        *nonce = nonce.wrapping_add(1);
    }
}

/// The first number of a range of users that no stack has.
pub(super) fn free_users(agreed: &Agreed) -> Option<u32> {
    let given = agreed.stacks.values().filter_map(|stack| stack.users);
    let taken: Vec<u32> = given.filter_map(|kept| IdMaps::given(kept).user(0)).collect();
    agreed.users.free(&taken)
}

/// Lets the tasks of a stack that ended for good be made anew.
fn renew(agreed: &mut Agreed, stack: &str, which: impl Fn(&Task) -> bool) {
    for task in agreed.tasks.values_mut().filter(|task| task.stack == stack && which(task)) {
        task.want = Want::Stop;
    }
}

fn scale(stack: &mut Stack, service: &str, replicas: u32) -> Result<(), Refused> {
    let name = stack.project.name.clone();
    let no_service = || Refused::NoService { stack: name.clone(), service: service.to_owned() };
    let found = stack.project.services.get_mut(service).ok_or_else(no_service)?;
    found.deploy.replicas = Some(replicas);
    Ok(())
}

fn find<'a>(agreed: &'a mut Agreed, name: &str) -> Result<&'a mut Stack, Refused> {
    agreed.stacks.get_mut(name).ok_or_else(|| Refused::NoStack(name.to_owned()))
}

fn find_active<'a>(agreed: &'a mut Agreed, name: &str) -> Result<&'a mut Stack, Refused> {
    let stack = find(agreed, name)?;
    match stack.removing {
        Some(_) => Err(Refused::Removing(name.to_owned())),
        None => Ok(stack),
    }
}

fn find_services<'a>(
    agreed: &'a mut Agreed,
    name: &str,
    services: &[String],
) -> Result<&'a mut Stack, Refused> {
    let stack = find_active(agreed, name)?;
    match services.iter().find(|service| !stack.project.services.contains_key(*service)) {
        Some(service) => {
            Err(Refused::NoService { stack: name.to_owned(), service: service.clone() })
        }
        None => Ok(stack),
    }
}

fn decide_one(agreed: &mut Agreed, decision: &Decision) -> Result<(), Refused> {
    match decision {
        Decision::AddNetwork { name, network } => {
            let old = agreed.networks.insert(name.clone(), network.clone());
            ensure(old.is_none(), || format!("network {name} has addresses already"))
        }
        Decision::DropNetwork { name } => {
            let used = agreed.tasks.values().any(|task| task.addresses.contains_key(name));
            ensure(!used, || format!("network {name} is in use"))?;
            agreed.networks.remove(name);
            Ok(())
        }
        Decision::ChoosePort(port) => {
            ensure(!agreed.chosen_ports.contains(port), || format!("{port:?} is chosen already"))?;
            agreed.chosen_ports.push(port.clone());
            agreed.chosen_ports.sort();
            Ok(())
        }
        Decision::DropPort(port) => {
            agreed.chosen_ports.retain(|other| other != port);
            Ok(())
        }
        Decision::CreateTask { id, task } => create_task(agreed, *id, task),
        Decision::StopTask { task } => {
            // Never changes back, so that a repeated decision does no harm.
            find_task(agreed, *task)?.want = Want::Stop;
            Ok(())
        }
        Decision::NextAttempt { attempt, fails, not_before, last_exit } => {
            let task = find_task(agreed, attempt.task)?;
            ensure(task.want == Want::Run && task.outcome.is_none(), || {
                format!("{attempt} is an attempt of a task that ends")
            })?;
            next_attempt(task, *attempt, *fails, last_exit.as_ref())?;
            task.not_before.clone_from(not_before);
            Ok(())
        }
        Decision::ResetFails { task } => {
            find_task(agreed, *task)?.fails = 0;
            Ok(())
        }
        Decision::Finish { task, outcome } => {
            let task = find_task(agreed, *task)?;
            task.outcome = Some(outcome.clone());
            Ok(())
        }
        Decision::ReapTask { task } => {
            let found = find_task(agreed, *task)?;
            ensure(found.want == Want::Stop, || format!("{task} is to run"))?;
            agreed.tasks.remove(task);
            Ok(())
        }
        Decision::DropOneOff { stack, service } => drop_one_off(agreed, stack, service),
        Decision::DropStack { stack } => drop_stack(agreed, stack),
    }
}

fn drop_one_off(agreed: &mut Agreed, name: &str, service: &str) -> Result<(), Refused> {
    let stack = find(agreed, name)?;
    let found = stack.project.services.get(service);
    ensure(found.is_some_and(|found| found.one_off.is_some()), || {
        format!("{service} of stack {name} is not there to run once")
    })?;
    stack.project.services.remove(service);
    stack.revisions.remove(service);
    stack.nonces.remove(service);
    stack.stopped.remove(service);
    Ok(())
}

fn create_task(agreed: &mut Agreed, id: TaskId, task: &Task) -> Result<(), Refused> {
    ensure(id.0 >= agreed.next_task, || format!("{id} was there before"))?;
    for (name, address) in &task.addresses {
        let stale = || Refused::Stale(format!("network {name} is gone"));
        agreed.networks.get_mut(name).ok_or_else(stale)?.last = address.v4;
    }
    agreed.tasks.insert(id, task.clone());
    agreed.next_task = id.0.saturating_add(1);
    Ok(())
}

fn next_attempt(
    task: &mut Task,
    attempt: AttemptId,
    fails: u32,
    last_exit: Option<&Exit>,
) -> Result<(), Refused> {
    ensure(attempt.number == task.attempt.saturating_add(1), || {
        format!("{attempt} does not follow attempt {}", task.attempt)
    })?;
    if task.attempt > 0 {
        task.restarts = task.restarts.saturating_add(1);
    }
    task.attempt = attempt.number;
    task.fails = fails;
    if last_exit.is_some() {
        task.last_exit = last_exit.cloned();
    }
    Ok(())
}

fn drop_stack(agreed: &mut Agreed, name: &str) -> Result<(), Refused> {
    let stack = find(agreed, name)?;
    let removing = stack.removing.is_some();
    ensure(removing, || format!("stack {name} is not to go"))?;
    let has_tasks = agreed.tasks.values().any(|task| task.stack == name);
    ensure(!has_tasks, || format!("stack {name} still has tasks"))?;
    agreed.stacks.remove(name);
    agreed.chosen_ports.retain(|port| port.stack != name);
    Ok(())
}

fn find_task(agreed: &mut Agreed, id: TaskId) -> Result<&mut Task, Refused> {
    agreed.tasks.get_mut(&id).ok_or_else(|| Refused::Stale(format!("{id} is gone")))
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), Refused> {
    if holds { Ok(()) } else { Err(Refused::Stale(otherwise())) }
}
