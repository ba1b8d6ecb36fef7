//! Ports of the host: which are chosen, and where they lead.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::model::{
    ChosenPort, Decision, Health, NetworkTable, Port, Protocol, Publication, Service, Stack, Want,
};

use super::Decided;
use super::backoff::hash;
use super::container::interface_order;
use super::look::{self, Look};
use super::networks;

/// Where ports without a wish are chosen: the kernel's own range for connections, as Docker does.
const EPHEMERAL: (u16, u16) = (32768, 60999);

/// Chooses host ports where a service leaves the choice, and gives back those it needs no more.
pub(super) fn decide(look: &Look<'_>) -> Decided {
    let mut decided = Decided::default();
    let mut taken = fixed_ports(look);
    let mut have = BTreeSet::new();
    for chosen in &look.agreed.chosen_ports {
        let ports = open_ports(look, &chosen.stack, &chosen.service);
        let keep = ports.into_iter().flatten().any(|port| fits(port, chosen))
            && !is_lost(look, chosen, &taken);
        if keep {
            taken.insert((chosen.protocol, chosen.host_port));
            have.insert((&chosen.stack, &chosen.service, chosen.target, chosen.protocol));
        } else {
            decided.group.push(Decision::DropPort(chosen.clone()));
        }
    }
    for (stack_name, stack) in &look.agreed.stacks {
        for service in stack.project.services.keys() {
            for port in open_ports(look, stack_name, service).into_iter().flatten() {
                let key = (stack_name, service, port.target, port.protocol);
                if have.contains(&key) {
                    continue;
                }
                let Some(host_port) = choose(look, stack_name, service, port, &taken) else {
                    continue;
                };
                taken.insert((port.protocol, host_port));
                have.insert(key);
                decided.group.push(Decision::ChoosePort(ChosenPort {
                    stack: stack_name.clone(),
                    service: service.clone(),
                    target: port.target,
                    protocol: port.protocol,
                    host_port,
                }));
            }
        }
    }
    decided
}

/// What the network should be.
pub(super) fn table(look: &Look<'_>) -> NetworkTable {
    let mut publications = Vec::new();
    for stack in look.agreed.stacks.values() {
        for (name, service) in &stack.project.services {
            if look::is_up(stack, name) {
                publications.extend(publications_of(look, stack, name, service));
            }
        }
    }
    publications.sort();
    NetworkTable { bridges: networks::bridges(look), publications }
}

/// The published ports of a service, with those who answer.
fn publications_of(
    look: &Look<'_>,
    stack: &Stack,
    name: &str,
    service: &Service,
) -> Vec<Publication> {
    let addresses = backends(look, stack, name, service);
    let publication = |port: &Port| {
        Some(Publication {
            host_ip: port.host_ip,
            host_port: host_port(look, &stack.project.name, name, port)?,
            protocol: port.protocol,
            backends: addresses.iter().map(|address| (*address, port.target)).collect(),
            owner: format!("{}/{name}", stack.project.name),
        })
    };
    service.ports.iter().filter_map(publication).collect()
}

/// The port on the host: the fixed one, or the chosen one once there is one.
fn host_port(look: &Look<'_>, stack: &str, service: &str, port: &Port) -> Option<u16> {
    match port.published {
        Some((first, last)) if first == last => Some(first),
        _ => look
            .agreed
            .chosen_ports
            .iter()
            .find(|c| c.stack == stack && c.service == service && fits(port, c))
            .map(|chosen| chosen.host_port),
    }
}

/// The addresses of the containers that can answer, by slot: those that run and are healthy. When none
/// is, all that run: a check that is wrong about everybody should not take the service away.
fn backends(look: &Look<'_>, stack: &Stack, name: &str, service: &Service) -> Vec<Ipv4Addr> {
    let order = interface_order(stack, service);
    let mut running: Vec<_> = look
        .tasks(&stack.project.name, name)
        .iter()
        .filter(|(_, task)| task.want == Want::Run)
        .filter_map(|(id, task)| {
            let (health, _) = look.running(*id, task)?;
            let address = order.iter().find_map(|(_, network)| task.addresses.get(*network))?;
            Some((task.slot, address.v4, matches!(health, Health::None | Health::Healthy)))
        })
        .collect();
    if running.iter().any(|(_, _, good)| *good) {
        running.retain(|(_, _, good)| *good);
    }
    running.sort();
    running.into_iter().map(|(_, address, _)| address).collect()
}

/// The ports of a service whose host port is left to orca. `None` if there is no such service.
fn open_ports<'a>(
    look: &Look<'a>,
    stack: &str,
    service: &str,
) -> Option<impl Iterator<Item = &'a Port> + use<'a>> {
    let stack = look.agreed.stacks.get(stack).filter(|stack| stack.removing.is_none())?;
    let ports = &stack.project.services.get(service)?.ports;
    Some(ports.iter().filter(|port| port.published.is_none_or(|(first, last)| first != last)))
}

fn fits(port: &Port, chosen: &ChosenPort) -> bool {
    let (first, last) = port.published.unwrap_or(EPHEMERAL);
    port.target == chosen.target
        && port.protocol == chosen.protocol
        && (first..=last).contains(&chosen.host_port)
        && port.published.is_none_or(|(first, last)| first != last)
}

/// Whether somebody else has a chosen port, and another could be chosen instead.
fn is_lost(look: &Look<'_>, chosen: &ChosenPort, taken: &BTreeSet<(Protocol, u16)>) -> bool {
    let key = (chosen.protocol, chosen.host_port);
    (look.observed.taken_ports.contains_key(&key) || taken.contains(&key))
        && open_ports(look, &chosen.stack, &chosen.service)
            .into_iter()
            .flatten()
            .filter(|port| fits(port, chosen))
            .any(|port| choose(look, &chosen.stack, &chosen.service, port, taken).is_some())
}

/// The first free port from a place that depends on the store and the service on: it tends to stay the
/// same over `down` and `up`. In a range that a user wrote down, the first free one.
fn choose(
    look: &Look<'_>,
    stack: &str,
    service: &str,
    port: &Port,
    taken: &BTreeSet<(Protocol, u16)>,
) -> Option<u16> {
    let (first, last) = port.published.unwrap_or(EPHEMERAL);
    let count = u64::from(last.checked_sub(first)?) + 1;
    let start = match port.published {
        Some(_) => 0,
        None => {
            let text = format!("{}/{stack}/{service}/{}", look.agreed.identity, port.target);
            hash(&text) % count
        }
    };
    let free = |n: &u16| {
        let key = (port.protocol, *n);
        !taken.contains(&key)
            && !look.observed.taken_ports.contains_key(&key)
            && !look.agreed.chosen_ports.iter().any(|c| (c.protocol, c.host_port) == key)
    };
    (0..count).filter_map(|n| Some(first + u16::try_from((start + n) % count).ok()?)).find(free)
}

/// All host ports that users wrote down, whatever the address: none of them is chosen.
fn fixed_ports(look: &Look<'_>) -> BTreeSet<(Protocol, u16)> {
    let services = look.agreed.stacks.values().flat_map(|s| s.project.services.values());
    services
        .flat_map(|service| &service.ports)
        .filter_map(|port| match port.published {
            Some((first, last)) if first == last => Some((port.protocol, first)),
            _ => None,
        })
        .collect()
}
