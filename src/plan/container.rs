//! A service and its image, as one container with nothing left to decide.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::model::{
    AttemptId, Container, ContainerId, DNS_ADDRESS, IdMaps, Interface, Namespace, NamespaceMode,
    Namespaces, NetworkMode, NetworkNamespace, PinnedImage, Project, Resolv, RestartCondition,
    Sandbox, Service, Stack, Task, TaskId, labels,
};

use super::Start;
use super::look::{self, Look};
use super::networks::networks_of;
use super::{depends, environment, mounts};

/// Size of `/dev/shm` unless a service says otherwise, as in Docker.
const SHM_SIZE: u64 = 64 << 20;

/// The start of a task's current attempt, or why it has to wait.
pub(super) fn start(look: &Look<'_>, id: TaskId, task: &Task) -> Result<Start, String> {
    let (stack, service) = look.service(task).ok_or("its service is gone")?;
    let attempt = task.current(id).ok_or("no attempt is decided")?;
    let image = stack
        .images
        .get(&service.image)
        .ok_or_else(|| format!("image {} is not there", service.image))?;
    let (mounts, volumes) = mounts::mounts(look, stack, service, image, id)?;
    let namespaces = namespaces(look, stack, service, id)?;
    let has_sandbox = namespaces.network == NetworkNamespace::Sandbox(id);
    let container_id = look.agreed.container_id(attempt);
    let (net_sysctls, sysctls) = service
        .sysctls
        .clone()
        .into_iter()
        .partition(|(key, _)| has_sandbox && key.starts_with("net."));
    let users = users(look, id, task, &namespaces.network);
    let container = Container {
        name: name(&stack.project, &task.service, task.slot),
        labels: labels_of(stack, service, image, task, attempt),
        image: image.id.clone(),
        args: environment::args(service, &image.config),
        env: environment::env(service, &image.config),
        cwd: environment::cwd(service, &image.config),
        user: service.user.clone().unwrap_or_else(|| image.config.user.clone()),
        groups: service.group_add.clone(),
        tty: service.tty,
        stdin: service.stdin_open,
        init: service.init,
        hostname: service.hostname.clone().unwrap_or_else(|| container_id.short().to_owned()),
        domainname: service.domainname.clone(),
        mounts,
        read_only: service.read_only,
        shm_size: service.shm_size.unwrap_or(SHM_SIZE),
        storage_size: service.storage_size(),
        extra_hosts: extra_hosts(look, stack, service),
        resolv: resolv(service, &namespaces.network),
        namespaces,
        cap_add: service.cap_add.clone(),
        cap_drop: service.cap_drop.clone(),
        users,
        privileged: service.privileged,
        security_opt: service.security_opt.clone(),
        devices: service.devices.clone(),
        device_requests: service.device_requests.clone(),
        device_cgroup_rules: service.device_cgroup_rules.clone(),
        sysctls,
        ulimits: service.ulimits.clone(),
        oom_score_adj: service.oom_score_adj,
        resources: service.resources.clone(),
        cgroup_parent: service.cgroup_parent.clone(),
        logging: service.logging.clone(),
        stop_signal: stop_signal(stack, service),
        stop_grace: stop_grace(service),
        post_start: service.post_start.clone(),
        pre_stop: service.pre_stop.clone(),
        annotations: service.annotations.clone(),
        id: container_id,
    };
    let sandbox = has_sandbox.then(|| sandbox(stack, service, id, task, net_sysctls));
    let host_users = why_host_users(stack, service);
    let health = look::health_check(stack, service);
    Ok(Start { attempt, volumes, sandbox, container, host_users, health })
}

/// Why the current attempt of a task has to wait, if it has to. What [`start`] would say, without
/// making all of it.
pub(super) fn obstacle(look: &Look<'_>, id: TaskId, task: &Task) -> Option<String> {
    let parts = || -> Result<(), String> {
        let (stack, service) = look.service(task).ok_or("its service is gone")?;
        task.current(id).ok_or("no attempt is decided")?;
        let image = stack
            .images
            .get(&service.image)
            .ok_or_else(|| format!("image {} is not there", service.image))?;
        let files = !service.configs.is_empty() || !service.secrets.is_empty();
        if files || !service.mounts.is_empty() || !depends::shares(service).is_empty() {
            mounts::mounts(look, stack, service, image, id)?;
        }
        namespaces(look, stack, service, id).map(drop)
    };
    parts().err()
}

/// A container's name: its own, else `<project>-<service>-<slot>`.
pub(super) fn name(project: &Project, service: &str, slot: u32) -> String {
    project
        .services
        .get(service)
        .and_then(|service| service.container_name.clone())
        .unwrap_or_else(|| format!("{}-{service}-{slot}", project.name))
}

/// The signal that asks a service's containers to end.
pub(super) fn stop_signal(stack: &Stack, service: &Service) -> String {
    let image = stack.images.get(&service.image).map(|image| image.config.stop_signal.clone());
    let signal = service.stop_signal.clone().or(image).unwrap_or_default();
    if signal.is_empty() { "SIGTERM".to_owned() } else { signal }
}

/// How long a service's containers have to end.
pub(super) fn stop_grace(service: &Service) -> Duration {
    service.grace()
}

/// Whether an unhealthy container of the service is to be restarted.
pub(super) fn restarts_unhealthy(service: &Service) -> bool {
    let policy = &service.deploy.restart;
    policy.on_unhealthy && policy.condition != RestartCondition::Never
}

/// The labels of a task's container.
pub(super) fn labels_of(
    stack: &Stack,
    service: &Service,
    image: &PinnedImage,
    task: &Task,
    attempt: AttemptId,
) -> BTreeMap<String, String> {
    let project = &stack.project;
    let files: Vec<_> = project.files.iter().map(|file| file.to_string_lossy()).collect();
    let written = service.one_off.as_ref().map_or(&task.service, |one| &one.service);
    let one_off = if service.one_off.is_some() { "True" } else { "False" };
    let own = [
        (labels::PROJECT, project.name.clone()),
        (labels::SERVICE, written.clone()),
        (labels::NUMBER, task.slot.to_string()),
        (labels::CONFIG_HASH, task.revision.clone()),
        (labels::ATTEMPT, attempt.to_string()),
        (labels::NAME, name(project, &task.service, task.slot)),
        ("com.docker.compose.oneoff", one_off.to_owned()),
        ("com.docker.compose.project.config_files", files.join(",")),
        (
            "com.docker.compose.project.working_dir",
            project.directory.to_string_lossy().into_owned(),
        ),
    ];
    let mut labels = image.config.labels.clone();
    labels.extend(service.labels.clone());
    labels.extend(own.map(|(key, value)| (key.to_owned(), value)));
    labels
}

fn namespaces(
    look: &Look<'_>,
    stack: &Stack,
    service: &Service,
    id: TaskId,
) -> Result<Namespaces, String> {
    let of = |mode: &NamespaceMode| namespace(look, stack, mode);
    Ok(Namespaces {
        network: network_namespace(look, stack, service, id, 0)?,
        pid: of(&service.pid)?,
        ipc: of(&service.ipc)?,
        uts: of(&service.uts)?,
        cgroup: of(&service.cgroup)?,
    })
}

fn namespace(look: &Look<'_>, stack: &Stack, mode: &NamespaceMode) -> Result<Namespace, String> {
    let (id, task) = match mode {
        NamespaceMode::Private | NamespaceMode::Shareable | NamespaceMode::None => {
            return Ok(Namespace::Private);
        }
        NamespaceMode::Host => return Ok(Namespace::Host),
        NamespaceMode::Service(name) => first_task(look, stack, name)?,
        NamespaceMode::Container(name) => named_task(look, name)?,
    };
    running_container(look, id, task).map(Namespace::Container)
}

/// The users of a task's containers: those that its network belongs to.
fn users(look: &Look<'_>, id: TaskId, task: &Task, network: &NetworkNamespace) -> Option<IdMaps> {
    let (stack, service) = look.service(task)?;
    let own = own_users(stack, service)?;
    match network {
        NetworkNamespace::Host => None,
        NetworkNamespace::Sandbox(other) if *other != id => {
            let (stack, service) = look.service(look.agreed.tasks.get(other)?)?;
            own_users(stack, service)
        }
        NetworkNamespace::None | NetworkNamespace::Sandbox(_) => Some(own),
    }
}

/// Why a service's containers have the users of the host, as far as the stack decides it.
pub(super) fn why_host_users(stack: &Stack, service: &Service) -> Option<String> {
    let image = stack.images.get(&service.image);
    let user = image.map_or("", |image| image.config.user.as_str());
    service.why_host_users(user).map(|host| host.why)
}

/// The users that a service's containers have by themselves.
fn own_users(stack: &Stack, service: &Service) -> Option<IdMaps> {
    match why_host_users(stack, service) {
        None => stack.users.map(IdMaps::given),
        Some(_) => None,
    }
}

/// How deep one service may use the network of another that uses the network of a third.
const SHARED_DEPTH: u32 = 16;

fn network_namespace(
    look: &Look<'_>,
    stack: &Stack,
    service: &Service,
    id: TaskId,
    depth: u32,
) -> Result<NetworkNamespace, String> {
    let (other, task) = match &service.network_mode {
        NetworkMode::Networks => return Ok(NetworkNamespace::Sandbox(id)),
        NetworkMode::Host => return Ok(NetworkNamespace::Host),
        NetworkMode::None => return Ok(NetworkNamespace::None),
        NetworkMode::Service(name) => first_task(look, stack, name)?,
        NetworkMode::Container(name) => named_task(look, name)?,
    };
    let (its_stack, its_service) = look.service(task).ok_or("its network's owner is gone")?;
    let of = format!("{} shares its network with", task.service);
    if depth >= SHARED_DEPTH {
        return Err(format!("{of} too many others"));
    }
    running_container(look, other, task)?;
    match network_namespace(look, its_stack, its_service, other, depth + 1)? {
        NetworkNamespace::None => {
            Err(format!("waiting for the network of {}, which has none", task.service))
        }
        shared => Ok(shared),
    }
}

/// The first task of a service: the one whose namespaces others may use.
pub(super) fn first_task<'a>(
    look: &Look<'a>,
    stack: &Stack,
    service: &str,
) -> Result<(TaskId, &'a Task), String> {
    look.wanted(&stack.project.name, service)
        .min_by_key(|(_, task)| task.slot)
        .ok_or_else(|| format!("waiting for {service} to start"))
}

/// The task whose container has a name.
fn named_task<'a>(look: &Look<'a>, wanted: &str) -> Result<(TaskId, &'a Task), String> {
    let is_it = |task: &Task| {
        look.service(task)
            .is_some_and(|(stack, _)| name(&stack.project, &task.service, task.slot) == wanted)
    };
    look.agreed
        .tasks
        .iter()
        .find(|(_, task)| is_it(task))
        .map(|(id, task)| (*id, task))
        .ok_or_else(|| format!("waiting for container {wanted}, which does not exist"))
}

fn running_container(look: &Look<'_>, id: TaskId, task: &Task) -> Result<ContainerId, String> {
    match (look.running(id, task), look.container(id, task)) {
        (Some(_), Some(container)) => Ok(container.id.clone()),
        _ => Err(format!("waiting for {} to start", task.service)),
    }
}

fn sandbox(
    stack: &Stack,
    service: &Service,
    id: TaskId,
    task: &Task,
    sysctls: BTreeMap<String, String>,
) -> Sandbox {
    let order = interface_order(stack, service);
    let first_mac = service.mac_address.as_deref().and_then(parse_mac);
    let interface = |(index, (key, network)): (usize, (&String, &str))| {
        let attachment = service.networks.get(key)?;
        let address = task.addresses.get(network)?;
        let own_mac = attachment.mac_address.as_deref().and_then(parse_mac);
        Some(Interface {
            network: network.to_owned(),
            address: address.v4,
            address6: address.v6,
            mac: own_mac.or(first_mac.filter(|_| index == 0)),
            name: attachment.interface_name.clone(),
        })
    };
    let interfaces = order.into_iter().enumerate().filter_map(interface).collect();
    Sandbox { task: id, interfaces, users: own_users(stack, service), sysctls }
}

/// The networks of a service in the order of its interfaces, by key and by name: who is to have the
/// default route first, then by priority, then by key.
pub(super) fn interface_order<'a>(
    stack: &'a Stack,
    service: &'a Service,
) -> Vec<(&'a String, &'a str)> {
    let mut order: Vec<_> = networks_of(stack, service)
        .map(|(key, network)| {
            let attachment = service.networks.get(key);
            let rank = attachment.map_or((0, 0), |a| (a.gw_priority, a.priority));
            (std::cmp::Reverse(rank), key, network.name.as_str())
        })
        .collect();
    order.sort();
    order.into_iter().map(|(_, key, name)| (key, name)).collect()
}

/// Reads `02:42:ac:11:00:02`; `compose` has checked it.
fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let bytes: Vec<u8> = text
        .split([':', '-'])
        .map(|part| u8::from_str_radix(part, 16))
        .collect::<Result<_, _>>()
        .ok()?;
    bytes.try_into().ok()
}

fn resolv(service: &Service, network: &NetworkNamespace) -> Resolv {
    let search = (!service.dns_search.is_empty()).then(|| service.dns_search.clone());
    let mut options = service.dns_opt.clone();
    let nameservers = match network {
        NetworkNamespace::Sandbox(_) => {
            // A name with a dot is asked as it is first: `web.shop` must not go outside before.
            if !options.iter().any(|option| option.starts_with("ndots:")) {
                options.push("ndots:0".to_owned());
            }
            vec![IpAddr::V4(DNS_ADDRESS)]
        }
        NetworkNamespace::Host | NetworkNamespace::None => service.dns.clone(),
    };
    Resolv { nameservers, search, options }
}

/// Lines of `/etc/hosts`, as address and name.
fn extra_hosts(look: &Look<'_>, stack: &Stack, service: &Service) -> Vec<(String, String)> {
    let gateway = || {
        let (_, first) = interface_order(stack, service).into_iter().next()?;
        Some(look.agreed.networks.get(first)?.gateway.to_string())
    };
    let line = |(name, address): &(String, String)| {
        let address = match address.as_str() {
            "host-gateway" => gateway().unwrap_or_else(|| "127.0.0.1".to_owned()),
            address => address.to_owned(),
        };
        (address, name.clone())
    };
    service.extra_hosts.iter().map(line).collect()
}
