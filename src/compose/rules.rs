//! Rules between attributes, told before anything is implied.

use std::net::IpAddr;

use super::diagnostic::Problems;
use super::load::members;
use super::tree::{Node, Path, Value};

/// Tells what contradicts itself.
pub(crate) fn check(root: &Node, problems: &mut Problems) {
    let at = |kind| Path::ROOT.key(kind);
    let volumes = at("volumes");
    for (name, volume) in members(root, "volumes") {
        external_alone(volume, &volumes.key(name), problems);
    }
    let configs = at("configs");
    for (name, config) in members(root, "configs") {
        one_source(config, &["file", "environment", "content"], &configs.key(name), problems);
    }
    let secrets = at("secrets");
    for (name, secret) in members(root, "secrets") {
        one_source(secret, &["file", "environment"], &secrets.key(name), problems);
    }
    let services = at("services");
    for (name, service) in members(root, "services") {
        check_service(service, &services.key(name), problems);
    }
}

fn check_service(service: &Node, path: &Path<'_>, problems: &mut Problems) {
    let ports = path.key("ports");
    for (index, port) in items(service, "ports").enumerate() {
        let Some(address) = port.get("host_ip") else { continue };
        let text = address.as_text().unwrap_or_default();
        if text.parse::<IpAddr>().is_err() {
            let message = format!("invalid IP address {text:?}");
            problems.error(address.mark, &ports.item(index).key("host_ip"), message);
        }
    }
    for list in ["ports", "volumes"] {
        let path = path.key(list);
        for (index, item) in items(service, list).enumerate() {
            let target = item.get("target").map(|node| &node.value);
            // With variables left alone an item may still be text.
            let is_long = item.as_map().is_some();
            if is_long && matches!(target, None | Some(Value::Int(0))) {
                let message = "the target in the container is missing";
                problems.error(item.mark, &path.item(index), message);
            }
        }
    }
    let gpus = path.key("gpus");
    for (index, request) in items(service, "gpus").enumerate() {
        device_request(request, &gpus.item(index), problems);
    }
    let deploy = path.key("deploy");
    let resources = deploy.key("resources");
    let reservations = resources.key("reservations");
    let devices = reservations.key("devices");
    let reserved = service
        .get("deploy")
        .and_then(|deploy| deploy.get("resources"))
        .and_then(|resources| resources.get("reservations"));
    for (index, request) in reserved.into_iter().flat_map(|node| items(node, "devices")).enumerate()
    {
        device_request(request, &devices.item(index), problems);
    }
}

fn items<'a>(node: &'a Node, name: &str) -> impl Iterator<Item = &'a Node> {
    node.get(name).and_then(Node::as_list).unwrap_or_default().iter()
}

fn device_request(request: &Node, path: &Path<'_>, problems: &mut Problems) {
    if let (Some(count), Some(ids)) = (request.get("count"), request.get("device_ids")) {
        let message = "count and device_ids exclude each other";
        problems.error(ids.key, path, message).related(count.key, "count is here");
    }
}

fn external_alone(volume: &Node, path: &Path<'_>, problems: &mut Problems) {
    let external = volume.get("external");
    let Some(external) = external.filter(|node| matches!(node.value, Value::Bool(true))) else {
        return;
    };
    for (key, member) in volume.as_map().into_iter().flatten() {
        if !matches!(key.as_str(), "name" | "external") && !key.starts_with("x-") {
            let message = format!("an external volume cannot have {key:?}");
            problems.error(member.key, path, message).related(external.key, "external is here");
        }
    }
}

fn one_source(resource: &Node, sources: &[&str], path: &Path<'_>, problems: &mut Problems) {
    let given: Vec<&Node> = sources.iter().filter_map(|name| resource.get(name)).collect();
    match given[..] {
        [first, second, ..] => {
            let message = format!("{} exclude each other", sources.join(", "));
            problems.error(second.key, path, message).related(first.key, "the other is here");
        }
        [] if resource.get("driver").is_none() && resource.get("external").is_none() => {
            let message = format!("one of {} must be set", sources.join(", "));
            problems.error(resource.key, path, message);
        }
        _ => {}
    }
}
