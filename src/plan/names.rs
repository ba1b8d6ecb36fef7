//! Which names a container can ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use crate::model::{
    Agreed, DnsSandbox, DnsTable, DnsZone, Health, NetworkMode, Now, Observed, Service, Stack,
    Task, TaskAddress, TaskId, Want,
};

use super::container;
use super::look::Look;
use super::networks::networks_of;

/// The domain under which every service has a name that is unique in the instance.
const DOMAIN: &str = "orca.internal";

type Names = BTreeMap<String, BTreeSet<IpAddr>>;

/// The names that each sandbox in `netns` can ask for; its namespaces are where the resolver listens.
/// The table's generation is left to whoever puts it in force.
///
/// A sandbox sees what is in its own networks. A name that its own project has means that project's
/// service, also when another project has it too. A service that is declared and has nobody to answer
/// has a name without addresses: asking outside for it would find a stranger.
pub fn names(agreed: &Agreed, observed: &Observed, netns: &BTreeMap<TaskId, PathBuf>) -> DnsTable {
    let now = Now::default();
    let look = Look::new(agreed, observed, &now);
    let networks = agreed.networks.keys().map(|name| (name.as_str(), Network::new(&look, name)));
    let networks: BTreeMap<&str, Network> = networks.collect();
    let own_networks = own_networks(agreed);
    let mut table = DnsTable::default();
    for (id, path) in netns {
        let Some(task) = agreed.tasks.get(id) else { continue };
        let Some((stack, service)) = look.service(task) else { continue };
        if service.network_mode != NetworkMode::Networks {
            continue;
        }
        let inside: Vec<&str> = task.addresses.keys().map(String::as_str).collect();
        let zone = zone_key(&task.stack, &inside);
        let seen = table
            .zones
            .entry(zone.clone())
            .or_insert_with(|| seen(&task.stack, &inside, &networks));
        let sandbox = DnsSandbox {
            netns: path.clone(),
            names: links(seen, service),
            reverse: BTreeMap::new(),
            zones: vec![zone],
            forward: has_way_out(stack, service),
            upstreams: service.dns.clone(),
            own_networks: own_networks.clone(),
        };
        table.sandboxes.insert(*id, sandbox);
    }
    table
}

/// The names in one network, by the project they belong to.
#[derive(Default)]
struct Network {
    names: BTreeMap<String, Names>,
    reverse: BTreeMap<IpAddr, String>,
}

impl Network {
    fn new(look: &Look<'_>, name: &str) -> Self {
        let mut network = Self::default();
        for stack in look.agreed.stacks.values() {
            for (service_name, service) in &stack.project.services {
                let place = networks_of(stack, service).find(|(_, n)| n.name == name);
                if let Some((key, _)) = place {
                    network.add_service(look, (stack, service_name, service), (key, name));
                }
            }
        }
        network
    }

    fn add_service(
        &mut self,
        look: &Look<'_>,
        (stack, name, service): (&Stack, &str, &Service),
        (key, network): (&str, &str),
    ) {
        let project = stack.project.name.as_str();
        let tasks = look.tasks(project, name);
        let answering = answering(look, tasks, network);
        let aliases = service.networks.get(key).map(|a| a.aliases.clone()).unwrap_or_default();
        let mut shared = vec![
            name.to_owned(),
            format!("{name}.{project}"),
            format!("{project}-{name}"),
            format!("tasks.{name}"),
            format!("{name}.{network}"),
            format!("{name}.{key}"),
            format!("{name}.{project}.{DOMAIN}"),
        ];
        shared.extend(aliases.iter().map(|alias| format!("{alias}.{network}")));
        shared.extend(aliases);
        let names = self.names.entry(project.to_owned()).or_default();
        let mut add = |name: &str, addresses: &[IpAddr]| {
            names.entry(name.to_lowercase()).or_default().extend(addresses);
        };
        for shared in shared {
            add(&shared, &answering);
        }
        for (id, task) in tasks {
            let Some(address) = task.addresses.get(network) else { continue };
            let own_name = container::name(&stack.project, name, task.slot);
            let alone = if look.running(*id, task).is_some() { ips(address) } else { Vec::new() };
            add(&own_name, &alone);
            add(&format!("{own_name}.{network}"), &alone);
            if let Some(container) = look.container(*id, task) {
                add(container.id.short(), &alone);
            }
            for ip in alone {
                self.reverse.insert(ip, format!("{own_name}.{network}"));
            }
        }
    }
}

/// The addresses of a service in a network: of the replicas that are healthy, or of all that run when
/// none is.
fn answering(look: &Look<'_>, tasks: &[(TaskId, &Task)], network: &str) -> Vec<IpAddr> {
    let running: Vec<_> = tasks
        .iter()
        .filter(|(_, task)| task.want == Want::Run)
        .filter_map(|(id, task)| {
            let (health, _) = look.running(*id, task)?;
            let good = matches!(health, Health::None | Health::Healthy);
            Some((good, ips(task.addresses.get(network)?)))
        })
        .collect();
    let any_good = running.iter().any(|(good, _)| *good);
    running.into_iter().filter(|(good, _)| *good || !any_good).flat_map(|(_, ips)| ips).collect()
}

fn ips(address: &TaskAddress) -> Vec<IpAddr> {
    [Some(IpAddr::V4(address.v4)), address.v6.map(IpAddr::V6)].into_iter().flatten().collect()
}

/// Containers of one project in the same networks see the same.
fn zone_key(project: &str, inside: &[&str]) -> String {
    format!("{project}: {}", inside.join(" "))
}

/// What a container of a project sees in a set of networks.
fn seen(project: &str, inside: &[&str], networks: &BTreeMap<&str, Network>) -> DnsZone {
    let (mut own, mut others) = (Names::new(), Names::new());
    let mut reverse = BTreeMap::new();
    for network in inside.iter().filter_map(|name| networks.get(name)) {
        for (owner, names) in &network.names {
            let seen = if owner == project { &mut own } else { &mut others };
            for (name, addresses) in names {
                seen.entry(name.clone()).or_default().extend(addresses);
            }
        }
        reverse.extend(network.reverse.clone());
    }
    others.extend(own);
    let names = others.into_iter().map(|(name, ips)| (name, ips.into_iter().collect()));
    DnsZone { names: names.collect(), reverse }
}

/// A service's `links`: more names for services it can see.
fn links(zone: &DnsZone, service: &Service) -> BTreeMap<String, Vec<IpAddr>> {
    let linked = |(linked, alias): &(String, String)| {
        let addresses = zone.names.get(&linked.to_lowercase())?;
        Some((alias.to_lowercase(), addresses.clone()))
    };
    service.links.iter().filter_map(linked).collect()
}

/// Whether a service is in a network that has a way out.
fn has_way_out(stack: &Stack, service: &Service) -> bool {
    networks_of(stack, service).any(|(_, network)| !network.internal)
}

fn own_networks(agreed: &Agreed) -> Vec<IpNet> {
    let nets = agreed.networks.values().flat_map(|network| {
        let v6 = network.subnet6.map(|(subnet, _)| IpNet::V6(subnet));
        [Some(IpNet::V4(network.subnet)), v6]
    });
    nets.flatten().collect()
}
