//! Whether a stack can be agreed beside the others.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::model::{Agreed, Command, Network, NetworkMode, Port, Protocol, Service, Stack, USERS};

use super::{Refused, apply};

/// The most replicas of a service: more than a host can hold of anything, few enough to plan with.
const MOST_REPLICAS: u32 = 1000;

/// Whether a command can be let in.
pub(super) fn command(agreed: &Agreed, command: &Command) -> Result<(), Refused> {
    match command {
        Command::ApplyStack(applied) => {
            let name = &applied.project.name;
            if agreed.stacks.get(name).is_some_and(|before| before.removing.is_some()) {
                return Err(Refused::Removing(name.clone()));
            }
            stack(agreed, applied).map_err(Refused::Conflict)
        }
        Command::Scale { stack, service, replicas: wanted } => {
            let found = agreed.stacks.get(stack).and_then(|s| s.project.services.get(service));
            // What is not there is refused when the command is performed.
            found
                .map_or(Ok(()), |found| replicas(stack, service, found, *wanted))
                .map_err(Refused::Conflict)
        }
        _ => Ok(()),
    }
}

/// What is wrong with a stack, by itself or beside the others, as a sentence.
fn stack(agreed: &Agreed, stack: &Stack) -> Result<(), String> {
    let name = &stack.project.name;
    if name.is_empty() {
        return Err("a stack needs a name".to_owned());
    }
    for (service_name, service) in &stack.project.services {
        replicas(name, service_name, service, service.replicas())?;
        if !stack.images.contains_key(&service.image) {
            let image = &service.image;
            return Err(format!("service {service_name}: image {image} is not here"));
        }
    }
    let others: Vec<&Stack> =
        agreed.stacks.values().filter(|other| other.project.name != *name).collect();
    ports(stack, &others)?;
    container_names(stack, &others)?;
    networks(agreed, stack, &others)?;
    volumes(stack, &others)?;
    users(agreed, stack)
}

/// Whether there are users for containers that are to have some of their own: without, they would have
/// those of the host.
fn users(agreed: &Agreed, stack: &Stack) -> Result<(), String> {
    let name = &stack.project.name;
    let has_some = agreed.stacks.get(name).is_some_and(|before| before.users.is_some());
    let image_user = |service: &Service| {
        stack.images.get(&service.image).map_or("", |image| image.config.user.as_str())
    };
    let needs = |service: &Service| service.why_host_users(image_user(service)).is_none();
    let mut services = stack.project.services.iter().filter(|(_, service)| needs(service));
    let Some((service, _)) = services.next().filter(|_| !has_some) else { return Ok(()) };
    match apply::free_users(agreed) {
        Some(_) => Ok(()),
        None => Err(format!(
            "{name}/{service}: no {USERS} users of the host are free for the stack's containers: take a \
             stack down, set more aside for orca in /etc/subuid and /etc/subgid, or give its services \
             `userns_mode: host`"
        )),
    }
}

/// Whether a service can have so many replicas.
fn replicas(stack: &str, name: &str, service: &Service, replicas: u32) -> Result<(), String> {
    if replicas > MOST_REPLICAS {
        return Err(format!("{stack}/{name}: at most {MOST_REPLICAS} replicas, not {replicas}"));
    }
    let fixed = service.networks.values().any(|attachment| attachment.ipv4_address.is_some());
    match (replicas, &service.container_name) {
        (2.., Some(own)) => Err(format!(
            "{stack}/{name}: cannot have {replicas} replicas with the one container name `{own}`"
        )),
        (2.., None) if fixed && service.network_mode == NetworkMode::Networks => Err(format!(
            "{stack}/{name}: cannot have {replicas} replicas with one fixed ipv4_address"
        )),
        _ => Ok(()),
    }
}

/// Who has a port of the host, and on which address.
type Holder = (Option<IpAddr>, String);

/// A port of the host leads to one service.
fn ports(stack: &Stack, others: &[&Stack]) -> Result<(), String> {
    let mut seen: BTreeMap<(Protocol, u16), Vec<Holder>> = BTreeMap::new();
    for other in others.iter().copied().chain([stack]) {
        for (name, service) in &other.project.services {
            for port in &service.ports {
                let Some(host_port) = fixed(port) else { continue };
                let owner = format!("{}/{name}", other.project.name);
                let holders = seen.entry((port.protocol, host_port)).or_default();
                let clash = holders.iter().find(|(ip, _)| overlap(*ip, port.host_ip));
                if let Some((_, holder)) = clash {
                    return Err(format!(
                        "{owner}: port {host_port}/{} of the host is published by {holder} already",
                        port.protocol.as_str()
                    ));
                }
                holders.push((port.host_ip, owner));
            }
        }
    }
    Ok(())
}

fn fixed(port: &Port) -> Option<u16> {
    port.published.filter(|(first, last)| first == last).map(|(first, _)| first)
}

/// Whether two host addresses share a socket address: no address, and the unspecified ones, are all.
fn overlap(a: Option<IpAddr>, b: Option<IpAddr>) -> bool {
    match (a, b) {
        (None, _) | (_, None) => true,
        (Some(a), Some(b)) if a.is_ipv4() != b.is_ipv4() => false,
        (Some(a), Some(b)) => a == b || a.is_unspecified() || b.is_unspecified(),
    }
}

/// A container's name is its own.
fn container_names(stack: &Stack, others: &[&Stack]) -> Result<(), String> {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for other in others.iter().copied().chain([stack]) {
        let project = &other.project.name;
        for (service, definition) in &other.project.services {
            let owner = format!("{project}/{service}");
            let names = match &definition.container_name {
                Some(own) => vec![own.clone()],
                None => (1..=definition.replicas().min(MOST_REPLICAS))
                    .map(|slot| format!("{project}-{service}-{slot}"))
                    .collect(),
            };
            for name in names {
                if let Some(holder) = seen.insert(name.clone(), owner.clone()) {
                    return Err(format!("{owner}: container name `{name}` is {holder}'s already"));
                }
            }
        }
    }
    Ok(())
}

/// A network has one owner, and fixed addresses that nobody else has.
fn networks(agreed: &Agreed, stack: &Stack, others: &[&Stack]) -> Result<(), String> {
    for (key, network) in &stack.project.networks {
        if network.external {
            continue;
        }
        let name = &network.name;
        let owner = |other: &&&Stack| own_networks(other).any(|(_, n)| n.name == *name);
        if let Some(other) = others.iter().find(owner) {
            let other = &other.project.name;
            return Err(format!(
                "network {key}: stack {other} has a network called `{name}` already; \
                 say `external: true` to share it"
            ));
        }
        let Some(subnet) = network.subnet else { continue };
        let overlaps =
            |n: &ipnet::Ipv4Net| n.contains(&subnet.network()) || subnet.contains(&n.network());
        let agreed_others = agreed.networks.iter().filter(|(other, _)| *other != name);
        let written = others.iter().flat_map(|other| own_networks(other));
        let own = own_networks(stack).filter(|(other, _)| *other != key);
        let taken = agreed_others
            .filter(|(_, n)| n.stack != stack.project.name)
            .map(|(other, n)| (other, Some(n.subnet)))
            .chain(written.chain(own).map(|(_, n)| (&n.name, n.subnet)))
            .find(|(_, n)| n.is_some_and(|n| overlaps(&n)));
        if let Some((other, _)) = taken {
            return Err(format!(
                "network {key}: subnet {subnet} overlaps that of network `{other}`"
            ));
        }
    }
    fixed_addresses(stack, others)
}

fn own_networks(stack: &Stack) -> impl Iterator<Item = (&String, &Network)> {
    stack.project.networks.iter().filter(|(_, network)| !network.external)
}

fn fixed_addresses(stack: &Stack, others: &[&Stack]) -> Result<(), String> {
    let mut seen = BTreeMap::new();
    for other in others.iter().copied().chain([stack]) {
        for (name, service) in &other.project.services {
            let owner = format!("{}/{name}", other.project.name);
            for (key, attachment) in &service.networks {
                let Some(network) = other.project.networks.get(key) else { continue };
                let Some(address) = attachment.ipv4_address else { continue };
                if network.subnet.is_some_and(|subnet| !subnet.contains(&address)) {
                    return Err(format!("{owner}: {address} is not in network {key}"));
                }
                if network.gateway == Some(address) {
                    return Err(format!("{owner}: {address} is the gateway of network {key}"));
                }
                let place = (network.name.clone(), address);
                if let Some(holder) = seen.insert(place, owner.clone()) {
                    return Err(format!(
                        "{owner}: {address} is {holder}'s already in network {key}"
                    ));
                }
            }
        }
    }
    Ok(())
}

/// A volume has one owner; others say that it is external.
fn volumes(stack: &Stack, others: &[&Stack]) -> Result<(), String> {
    for (key, volume) in stack.project.volumes.iter().filter(|(_, volume)| !volume.external) {
        let owns = |other: &&&Stack| {
            let volumes = other.project.volumes.values();
            volumes.into_iter().any(|v| !v.external && v.name == volume.name)
        };
        if let Some(other) = others.iter().find(owns) {
            return Err(format!(
                "volume {key}: stack {} has a volume called `{}` already; \
                 say `external: true` to share it",
                other.project.name, volume.name
            ));
        }
    }
    Ok(())
}
