//! Sandboxes: a task's network namespace, its interfaces, addresses, routes and settings.

mod plan;

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::Path;

pub(super) use plan::Plan;

use super::link::{self, Link, NewVeth};
use super::netlink::{Batch, Connection};
use super::{NetworkError, address, namespace, resolver, route, sysctl};
use crate::sys::netlink::NetlinkFamily;
use plan::Planned;

const LOOPBACK: u32 = 1;

/// Makes the sandbox at `path`, or corrects the one that is there.
pub(super) fn ensure(path: &Path, plan: &Plan<'_>) -> Result<(), NetworkError> {
    let host = Connection::open(NetlinkFamily::Route).map_err(plan.failed("open the sandbox"))?;
    if namespace::is_there(path) {
        namespace::enter(path, |namespace| correct(&host, namespace, plan))
    } else {
        namespace::make(path, plan.users, |namespace| {
            furnish(&host, namespace, plan).inspect_err(|_| cut_off().unwrap_or_default())
        })
    }
}

/// Removes the sandbox at `path`. Whoever has the namespace open keeps it alive, but it is cut off
/// from its networks: its addresses may belong to another task in a moment.
pub(super) fn remove(path: &Path) -> Result<(), NetworkError> {
    if namespace::is_there(path) {
        // What cannot be cut off is removed all the same.
        if let Err(error) = namespace::enter(path, |_| cut_off()) {
            tracing::warn!(error = &error as &dyn std::error::Error, "a sandbox was not cut off");
        }
    }
    namespace::remove(path)
}

/// Takes the addresses from the namespace of the calling thread. A namespace that nobody has open any
/// more lives on for some milliseconds, and would answer for them.
fn cut_off() -> Result<(), NetworkError> {
    let failed = || NetworkError::kernel("cut a sandbox off");
    let inside = Connection::open(NetlinkFamily::Route).map_err(failed())?;
    let mut batch = Batch::new();
    for address in address::list(&inside).map_err(failed())? {
        if address.link != LOOPBACK {
            address::remove(&mut batch, address.link, address.net);
        }
    }
    inside.send_expecting(&batch, |_| true).map_err(failed())
}

/// Fills a namespace that was just made.
fn furnish(host: &Connection, namespace: &File, plan: &Plan<'_>) -> Result<(), NetworkError> {
    defaults(plan)?;
    let inside = open(plan)?;
    let mut batch = Batch::new();
    for interface in &plan.interfaces {
        add(&mut batch, namespace, plan, interface);
    }
    host.send(&batch).map_err(plan.failed("make the interfaces"))?;
    bring_up(&inside, plan)?;
    resolver::redirect()?;
    settings(plan)
}

/// Brings a namespace that is there back in order.
fn correct(host: &Connection, namespace: &File, plan: &Plan<'_>) -> Result<(), NetworkError> {
    defaults(plan)?;
    let inside = open(plan)?;
    let found = list(&inside, plan)?;
    let mut within = Batch::new();
    for link in found.iter().filter(|link| link.kind == "veth") {
        if !plan.interfaces.iter().any(|interface| interface.name == link.name) {
            link::remove(&mut within, link.index);
        }
    }
    let mut outside = Batch::new();
    for interface in &plan.interfaces {
        let Some(link) = found.iter().find(|link| link.name == interface.name) else {
            add(&mut outside, namespace, plan, interface);
            continue;
        };
        if link.address != interface.address || link.mtu != interface.mtu {
            link::set_address_and_mtu(&mut within, link.index, interface.address, interface.mtu);
        }
        correct_host_end(host, &mut outside, plan, interface, link)?;
    }
    inside.send(&within).map_err(plan.failed("correct the interfaces"))?;
    host.send(&outside).map_err(plan.failed("connect the interfaces"))?;
    remove_wrong_addresses(&inside, plan)?;
    bring_up(&inside, plan)?;
    resolver::redirect()?;
    settings(plan)
}

fn correct_host_end(
    host: &Connection,
    outside: &mut Batch,
    plan: &Plan<'_>,
    interface: &Planned,
    inside: &Link,
) -> Result<(), NetworkError> {
    let Some(peer) = inside.peer else { return Ok(()) };
    let found = link::by_index(host, peer).map_err(plan.failed("find an interface"))?;
    let Some(end) = found else { return Ok(()) };
    if end.master != Some(interface.bridge) || !end.up {
        link::attach(outside, end.index, interface.bridge);
    }
    let alias = plan.names.veth_alias(&interface.bridge_name, plan.task);
    if end.alias != alias {
        link::set_alias(outside, &end.name, &alias);
    }
    if end.mtu != interface.mtu {
        link::set_mtu(outside, end.index, interface.mtu);
    }
    Ok(())
}

fn add(batch: &mut Batch, namespace: &File, plan: &Plan<'_>, interface: &Planned) {
    link::add_veth(
        batch,
        &NewVeth {
            name: &interface.host_end,
            alias: &plan.names.veth_alias(&interface.bridge_name, plan.task),
            bridge: interface.bridge,
            group: plan.names.group(),
            mtu: interface.mtu,
            inside: &interface.name,
            address: interface.address,
            namespace: namespace.as_raw_fd(),
        },
    );
}

/// Addresses first, then up: with `arp_notify` the neighbours hear of the address at once.
fn bring_up(inside: &Connection, plan: &Plan<'_>) -> Result<(), NetworkError> {
    let indexes = indexes(inside, plan)?;
    let mut batch = Batch::new();
    link::set_up(&mut batch, LOOPBACK);
    for (interface, index) in plan.interfaces.iter().zip(&indexes) {
        if plan.has_ipv6() {
            let off = if interface.has_ipv6() { "0" } else { "1" };
            sysctl::set_if_there(&format!("net/ipv6/conf/{}/disable_ipv6", interface.name), off)?;
        }
        for net in &interface.addresses {
            address::add(&mut batch, *index, *net);
        }
        link::set_up(&mut batch, *index);
    }
    for gateway in &plan.gateways {
        if let Some(index) = indexes.get(gateway.interface) {
            route::set_default(&mut batch, gateway.address, *index);
        }
    }
    inside.send(&batch).map_err(plan.failed("give addresses to the interfaces"))
}

/// The indexes of the planned interfaces, in their order.
fn indexes(inside: &Connection, plan: &Plan<'_>) -> Result<Vec<u32>, NetworkError> {
    if plan.interfaces.is_empty() {
        return Ok(Vec::new());
    }
    let links = list(inside, plan)?;
    let index =
        |interface: &Planned| {
            links.iter().find(|link| link.name == interface.name).map(|link| link.index).ok_or_else(
                || plan.failed("find an interface")(std::io::ErrorKind::NotFound.into()),
            )
        };
    plan.interfaces.iter().map(index).collect()
}

fn remove_wrong_addresses(inside: &Connection, plan: &Plan<'_>) -> Result<(), NetworkError> {
    let failed = || plan.failed("correct the addresses");
    let indexes = indexes(inside, plan)?;
    let mut batch = Batch::new();
    for address in address::list(inside).map_err(failed())? {
        let interface = indexes.iter().position(|index| *index == address.link);
        let interface = interface.and_then(|number| plan.interfaces.get(number));
        if interface.is_some_and(|i| !address.link_local && !i.addresses.contains(&address.net)) {
            address::remove(&mut batch, address.link, address.net);
        }
    }
    inside.send(&batch).map_err(failed())
}

/// What the interfaces are made with.
fn defaults(plan: &Plan<'_>) -> Result<(), NetworkError> {
    sysctl::set("net/ipv4/conf/default/arp_notify", "1")?;
    // A task in two networks is asked by one and answers by the other.
    sysctl::set("net/ipv4/conf/default/rp_filter", "2")?;
    // As in Docker: low ports and pings need no rights, as nothing but the container's own is here.
    sysctl::set("net/ipv4/ip_unprivileged_port_start", "0")?;
    sysctl::set("net/ipv4/ping_group_range", "0\t2147483647")?;
    if plan.has_ipv6() {
        for (name, value) in
            [("disable_ipv6", "0"), ("accept_ra", "0"), ("accept_dad", "0"), ("ndisc_notify", "1")]
        {
            sysctl::set_if_there(&format!("net/ipv6/conf/default/{name}"), value)?;
        }
        return Ok(());
    }
    // Without IPv6 in any network there is none but on `lo`.
    sysctl::set_if_there("net/ipv6/conf/default/disable_ipv6", "1")
}

/// The user's settings, which may name interfaces and so come last.
fn settings(plan: &Plan<'_>) -> Result<(), NetworkError> {
    plan.sysctls.iter().try_for_each(|(name, value)| sysctl::set_named(name, value))
}

fn open(plan: &Plan<'_>) -> Result<Connection, NetworkError> {
    Connection::open(NetlinkFamily::Route).map_err(plan.failed("look into the sandbox"))
}

fn list(inside: &Connection, plan: &Plan<'_>) -> Result<Vec<Link>, NetworkError> {
    link::links(inside).map_err(plan.failed("list the interfaces"))
}
