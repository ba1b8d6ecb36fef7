//! How stacks are doing, for people and for those who wait.

use std::collections::BTreeMap;

use crate::model::{
    Agreed, Exit, Health, NetworkTable, Now, Observed, Outcome, Phase, Publication, Service,
    ServiceStatus, Stack, StackStatus, Task, TaskId, TaskState, TaskStatus, Want,
};

use super::depends::{self, describe};
use super::look::{self, Look};
use super::{container, environment, networks};

/// From so many failures in a row on a service counts as failed, though it is still tried again.
const CRASH_LOOP: u32 = 3;

/// How each stack is doing, by name.
pub fn status(
    agreed: &Agreed,
    observed: &Observed,
    network: &NetworkTable,
    now: &Now,
) -> BTreeMap<String, StackStatus> {
    let look = Look::new(agreed, observed, now);
    let stacks = agreed.stacks.iter();
    stacks.map(|(name, stack)| (name.clone(), stack_status(&look, stack, network))).collect()
}

fn stack_status(look: &Look<'_>, stack: &Stack, network: &NetworkTable) -> StackStatus {
    let project = &stack.project;
    let mut tasks: Vec<(TaskId, &Task)> = look
        .agreed
        .tasks
        .iter()
        .filter(|(_, task)| task.stack == project.name)
        .map(|(id, task)| (*id, task))
        .collect();
    tasks.sort_by_key(|(id, task)| (&task.service, task.slot, *id));
    let services = project
        .services
        .iter()
        .map(|(name, service)| (name.clone(), service_status(look, stack, name, service)))
        .collect();
    StackStatus {
        name: project.name.clone(),
        files: project.files.iter().map(|file| file.to_string_lossy().into_owned()).collect(),
        generation: stack.generation,
        converged: is_converged(look, stack, &tasks),
        failed: failure(look, stack),
        removing: stack.removing.is_some(),
        services,
        tasks: tasks.iter().map(|(id, task)| task_status(look, network, *id, task)).collect(),
    }
}

fn service_status(look: &Look<'_>, stack: &Stack, name: &str, service: &Service) -> ServiceStatus {
    let up = look::is_up(stack, name);
    let wanted = look.wanted(&stack.project.name, name);
    let available = wanted.filter(|(id, task)| look.is_available(*id, task)).count();
    ServiceStatus {
        image: service.image.clone(),
        wanted: if up { service.replicas() } else { 0 },
        available: u32::try_from(available).unwrap_or(u32::MAX),
        stopped: stack.stopped.contains(name),
        waiting: if up {
            waiting(look, stack, name, service).map(|unmet| unmet.reason)
        } else {
            None
        },
        failed: service_failure(look, stack, name, service),
        one_off: one_off(service),
    }
}

fn one_off(service: &Service) -> Option<String> {
    service.one_off.as_ref().map(|one| one.service.clone())
}

/// Why a service will not be as wanted without help.
fn service_failure(
    look: &Look<'_>,
    stack: &Stack,
    name: &str,
    service: &Service,
) -> Option<String> {
    if !look::is_up(stack, name) {
        return None;
    }
    let failed = look
        .wanted(&stack.project.name, name)
        .find_map(|(id, task)| task_failure(look, service, id, task));
    failed.or_else(|| {
        let unmet = waiting(look, stack, name, service).filter(|unmet| unmet.never)?;
        Some(unmet.reason)
    })
}

/// What a service waits for before its first start, if any of its tasks still does.
fn waiting(
    look: &Look<'_>,
    stack: &Stack,
    name: &str,
    service: &Service,
) -> Option<depends::Unmet> {
    if let Some(reason) = networks::obstacle(look, stack, service) {
        return Some(depends::Unmet { reason, never: true });
    }
    let mut begun = 0;
    for (id, task) in look.wanted(&stack.project.name, name) {
        if task.attempt > 0 && !look.is_from_earlier_boot(task) || task.outcome.is_some() {
            begun += 1;
            if look.container(id, task).is_none()
                && task.outcome.is_none()
                && let Some(reason) = container::obstacle(look, id, task)
            {
                return Some(depends::Unmet { reason, never: false });
            }
        }
    }
    if begun < service.replicas() { depends::unmet(look, stack, service) } else { None }
}

/// Whether everything is as wanted, and nothing else is left.
fn is_converged(look: &Look<'_>, stack: &Stack, tasks: &[(TaskId, &Task)]) -> bool {
    let project = &stack.project;
    let as_wanted = |(name, service): (&String, &Service)| {
        let working = |(id, task): &(TaskId, &Task)| {
            // What failed a moment ago is given the time to show that it runs now.
            (task.fails == 0 || task.outcome.is_some()) && look.is_available(*id, task)
        };
        let wanted = if look::is_up(stack, name) { service.replicas() } else { 0 };
        let count = look.wanted(&project.name, name).filter(working).count();
        u32::try_from(count) == Ok(wanted)
    };
    let in_place = |(id, task): &(TaskId, &Task)| {
        let stays = task.want == Want::Run && look.is_current(*id);
        let stopped = stack.stopped.contains(&task.service) && task.want == Want::Stop;
        stays || (stopped && !look.is_alive(*id))
    };
    // What runs one program beside a stack is not part of what the stack has to be.
    let lasting = |service: &Service| service.one_off.is_none();
    let lasts = |task: &Task| project.services.get(&task.service).is_none_or(lasting);
    stack.removing.is_none()
        && project.services.iter().filter(|(_, service)| lasting(service)).all(as_wanted)
        && tasks.iter().filter(|(_, task)| lasts(task)).all(in_place)
}

/// Why a stack will not converge without help: first what failed itself, then what waits for it.
fn failure(look: &Look<'_>, stack: &Stack) -> Option<String> {
    let counts =
        |name: &str, service: &Service| look::is_up(stack, name) && service.one_off.is_none();
    let up = || stack.project.services.iter().filter(|(name, service)| counts(name, service));
    let failed = up().find_map(|(name, service)| {
        let reason = look
            .wanted(&stack.project.name, name)
            .find_map(|(id, task)| task_failure(look, service, id, task))?;
        Some(format!("service {name}: {reason}"))
    });
    failed.or_else(|| {
        up().find_map(|(name, service)| {
            let unmet = waiting(look, stack, name, service).filter(|unmet| unmet.never)?;
            Some(format!("service {name}: {}", unmet.reason))
        })
    })
}

fn task_failure(look: &Look<'_>, service: &Service, id: TaskId, task: &Task) -> Option<String> {
    match &task.outcome {
        Some(Outcome::Failed(exit)) => return Some(describe(exit)),
        Some(Outcome::Completed(_)) => return None,
        None => {}
    }
    if task.fails >= CRASH_LOOP {
        let last = task.last_exit.as_ref().map_or_else(String::new, describe);
        return Some(format!("failed {} times in a row: {last}", task.fails));
    }
    let sick = matches!(look.running(id, task), Some((Health::Unhealthy, _)));
    if sick && !container::restarts_unhealthy(service) {
        return Some("unhealthy".to_owned());
    }
    (sick && task.fails > 0).then(|| "unhealthy, also after a restart".to_owned())
}

fn task_status(look: &Look<'_>, network: &NetworkTable, id: TaskId, task: &Task) -> TaskStatus {
    let (state, reason) = state(look, id, task);
    let container = look.container(id, task);
    let phase = container.map(|container| &container.phase);
    let exit = match (phase, &task.outcome) {
        (Some(Phase::Exited(exit)), _)
        | (_, Some(Outcome::Completed(exit) | Outcome::Failed(exit))) => Some(exit),
        _ => task.last_exit.as_ref(),
    };
    let (health, pid, running_for) = match phase {
        Some(Phase::Running { since, pid, health, .. }) => {
            (*health, Some(*pid), Some(look.now.boottime.since(*since)))
        }
        _ => (Health::None, None, None),
    };
    let service = look.service(task);
    let image = service.and_then(|(stack, service)| stack.images.get(&service.image));
    TaskStatus {
        task: id,
        attempt: task.current(id),
        container: container.map(|container| container.id.clone()),
        name: service.map_or_else(
            || format!("{}-{}-{}", task.stack, task.service, task.slot),
            |(stack, _)| container::name(&stack.project, &task.service, task.slot),
        ),
        stack: task.stack.clone(),
        service: task.service.clone(),
        slot: task.slot,
        revision: task.revision.clone(),
        image: service.map(|(_, service)| service.image.clone()).unwrap_or_default(),
        command: service
            .zip(image)
            .map(|((_, service), image)| environment::args(service, &image.config).join(" "))
            .unwrap_or_default(),
        state,
        health,
        reason,
        exit_code: exit.map(|exit| exit.code),
        oom: exit.is_some_and(|exit| exit.oom),
        restarts: task.restarts,
        pid,
        created: task.created,
        running_for,
        addresses: task.addresses.iter().map(|(name, a)| (name.clone(), a.v4)).collect(),
        publications: publications(network, task),
        wanted: task.want == Want::Run && look.is_current(id),
        labels: service
            .zip(image)
            .map(|((stack, service), image)| {
                let attempt = task.current(id).unwrap_or_default();
                container::labels_of(stack, service, image, task, attempt)
            })
            .unwrap_or_default(),
        one_off: service.and_then(|(_, service)| one_off(service)),
        host_users: service.and_then(|(stack, service)| container::why_host_users(stack, service)),
    }
}

/// The published ports that lead to a task.
fn publications(network: &NetworkTable, task: &Task) -> Vec<Publication> {
    let mine = |publication: &&Publication| {
        let address = |(ip, _): &(std::net::Ipv4Addr, u16)| {
            task.addresses.values().any(|address| address.v4 == *ip)
        };
        publication.backends.iter().any(address)
    };
    network.publications.iter().filter(mine).cloned().collect()
}

/// Where a task is in its life, and why.
fn state(look: &Look<'_>, id: TaskId, task: &Task) -> (TaskState, Option<String>) {
    if task.want == Want::Stop {
        return ending(look, id, task);
    }
    match &task.outcome {
        Some(Outcome::Completed(exit)) => return (TaskState::Completed, Some(describe(exit))),
        Some(Outcome::Failed(exit)) => return (TaskState::Failed, Some(describe(exit))),
        None => {}
    }
    if task.attempt == 0 || look.is_from_earlier_boot(task) && look.container(id, task).is_none() {
        return (TaskState::Pending, first_wait(look, task));
    }
    match look.container(id, task).map(|container| &container.phase) {
        None => absent(look, id, task),
        Some(Phase::Creating) => (TaskState::Starting, None),
        Some(Phase::Running { stopping: true, health, .. }) => {
            let sick = (*health == Health::Unhealthy).then(|| "unhealthy".to_owned());
            (TaskState::Stopping, sick)
        }
        Some(Phase::Running { paused: true, .. }) => (TaskState::Paused, None),
        Some(Phase::Running { health, .. }) => {
            let sick = (*health == Health::Unhealthy).then(|| why_sick_runs(look, task));
            (TaskState::Running, sick)
        }
        Some(Phase::Exited(exit)) => (TaskState::Restarting, Some(describe(exit))),
    }
}

fn ending(look: &Look<'_>, id: TaskId, task: &Task) -> (TaskState, Option<String>) {
    match look.container(id, task).map(|container| &container.phase) {
        Some(Phase::Exited(_)) => (TaskState::Completed, Some("stopped".to_owned())),
        _ => (TaskState::Stopping, None),
    }
}

fn first_wait(look: &Look<'_>, task: &Task) -> Option<String> {
    let (stack, service) = look.service(task)?;
    Some(depends::unmet(look, stack, service)?.reason)
}

/// An attempt is decided and its container is not there yet.
fn absent(look: &Look<'_>, id: TaskId, task: &Task) -> (TaskState, Option<String>) {
    let left = task.not_before.as_ref().and_then(|d| d.left(&look.now.boot, look.now.boottime));
    match (&task.last_exit, left) {
        (Some(exit), left) if task.fails > 0 => {
            (TaskState::Restarting, Some(restarting(task.fails, left, exit)))
        }
        _ => match container::obstacle(look, id, task) {
            None => (TaskState::Starting, None),
            reason => (TaskState::Pending, reason),
        },
    }
}

/// `restarting in 3 s (failed 4 times in a row): exited with status 1`.
fn restarting(fails: u32, left: Option<std::time::Duration>, exit: &Exit) -> String {
    let when = match left {
        None => String::new(),
        Some(left) => format!(" in {} s", left.as_millis().div_ceil(1000)),
    };
    let loops = match fails {
        CRASH_LOOP.. => format!(" (failed {fails} times in a row)"),
        _ => String::new(),
    };
    format!("restarting{when}{loops}: {}", describe(exit))
}

/// Why a container that is unhealthy has not been stopped.
fn why_sick_runs(look: &Look<'_>, task: &Task) -> String {
    let Some((stack, service)) = look.service(task) else { return "unhealthy".to_owned() };
    if !container::restarts_unhealthy(service) {
        return "unhealthy; its restart policy leaves it running".to_owned();
    }
    match depends::sick_dependency(look, stack, service) {
        Some(name) => format!("unhealthy; not restarted while {name} does not work"),
        None => "unhealthy; restarts when its turn comes".to_owned(),
    }
}
