//! What is set when nothing else is.

use crate::compose::tree::{Node, Value};
use crate::compose::value::clean_path;

/// What is set when nothing else is: the protocol of a port, the context of a build and so on.
pub(crate) fn defaults(root: &mut Node) {
    let services = root.get_mut("services").and_then(Node::as_map_mut);
    for service in services.into_iter().flatten().map(|(_, service)| service) {
        if let Some(build) = service.get_mut("build") {
            set_default(build, "context", || Value::Text(".".to_owned()));
        }
        for item in items_of(service, "secrets") {
            let source = item.text_of("source").unwrap_or_default().to_owned();
            set_default(item, "target", || Value::Text(format!("/run/secrets/{source}")));
        }
        for item in items_of(service, "ports") {
            set_default(item, "protocol", || Value::Text("tcp".to_owned()));
            set_default(item, "mode", || Value::Text("ingress".to_owned()));
        }
        for item in items_of(service, "gpus") {
            device_count(item);
        }
        let reservations = service
            .get_mut("deploy")
            .and_then(|deploy| deploy.get_mut("resources"))
            .and_then(|resources| resources.get_mut("reservations"));
        if let Some(reservations) = reservations {
            for item in items_of(reservations, "devices") {
                device_count(item);
            }
        }
    }
}

fn device_count(item: &mut Node) {
    if item.get("device_ids").is_none() {
        set_default(item, "count", || Value::Text("all".to_owned()));
    }
}

fn items_of<'a>(node: &'a mut Node, name: &str) -> impl Iterator<Item = &'a mut Node> {
    node.get_mut(name).and_then(Node::as_list_mut).into_iter().flatten()
}

fn set_default(node: &mut Node, name: &str, value: impl FnOnce() -> Value) {
    let mark = node.mark;
    if let Some(map) = node.as_map_mut() {
        map.entry(name.to_owned()).or_insert_with(|| Node::new(value(), mark));
    }
}

/// The target of a mount, cleaned.
pub(crate) fn clean_targets(service: &mut Node) {
    for item in items_of(service, "volumes") {
        if let Some(Value::Text(target)) = item.get_mut("target").map(|node| &mut node.value) {
            *target = clean_path(target);
        }
    }
}
