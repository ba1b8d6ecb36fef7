//! What a project means without saying it: the default network, dependencies by links and shared
//! namespaces, names of resources.

use super::interpolate::Environment;
use super::tree::{Map, Node, Value};

/// Writes the implied into a canonical document. The project's name is in `name`.
pub(crate) fn normalise(root: &mut Node, environment: &Environment) {
    networks(root);
    for (_, service) in root.get_mut("services").and_then(Node::as_map_mut).into_iter().flatten() {
        normalise_service(service, environment);
    }
    name_resources(root);
}

fn networks(root: &mut Node) {
    let mut uses_default = None;
    for (_, service) in root.get_mut("services").and_then(Node::as_map_mut).into_iter().flatten() {
        if service.get("provider").is_some() || service.get("network_mode").is_some() {
            continue;
        }
        let mark = service.mark;
        let attached = service.get("networks").and_then(Node::as_map);
        if attached.is_none_or(Map::is_empty) {
            let default = Map::from([("default".to_owned(), Node::new(Value::Null, mark))]);
            service.set("networks", Node::new(Value::Map(default), mark));
            uses_default = Some(mark);
        } else if attached.is_some_and(|map| map.contains_key("default")) {
            uses_default = Some(mark);
        }
    }
    let Some(mark) = uses_default else { return };
    if root.get("networks").is_none() {
        root.set("networks", Node::empty_map(mark));
    }
    if let Some(networks) = root.get_mut("networks").and_then(Node::as_map_mut) {
        networks.entry("default".to_owned()).or_insert_with(|| Node::new(Value::Null, mark));
    }
}

fn normalise_service(service: &mut Node, environment: &Environment) {
    if service.text_of("pull_policy") == Some("if_not_present")
        && let Some(policy) = service.get_mut("pull_policy")
    {
        policy.value = Value::Text("missing".to_owned());
    }
    if let Some(build) = service.get_mut("build") {
        normalise_build(build, environment);
    }
    if let Some(variables) = service.get_mut("environment") {
        resolve_variables(variables, environment, true);
    }
    imply_dependencies(service);
    super::canonical::clean_targets(service);
}

fn normalise_build(build: &mut Node, environment: &Environment) {
    let mark = build.mark;
    let Some(map) = build.as_map_mut() else { return };
    map.entry("context".to_owned()).or_insert_with(|| Node::text(".", mark));
    if !map.contains_key("dockerfile_inline") {
        map.entry("dockerfile".to_owned()).or_insert_with(|| Node::text("Dockerfile", mark));
    }
    if let Some(arguments) = map.get_mut("args") {
        resolve_variables(arguments, environment, false);
    }
}

/// Gives variables without a value the one of the environment; what has none there stays, or goes.
fn resolve_variables(node: &mut Node, environment: &Environment, keep: bool) {
    match &mut node.value {
        Value::Map(map) => {
            map.retain(|key, member| {
                if !member.is_null() {
                    return true;
                }
                match environment.get(key) {
                    Some(value) => member.value = Value::Text(value.clone()),
                    None => return keep,
                }
                true
            });
        }
        Value::List(list) => {
            list.retain_mut(|item| {
                let Value::Text(text) = &mut item.value else { return true };
                if text.contains('=') {
                    return true;
                }
                match environment.get(text.as_str()) {
                    Some(value) => *text = format!("{text}={value}"),
                    None => return keep,
                }
                true
            });
        }
        _ => {}
    }
}

fn imply_dependencies(service: &mut Node) {
    let mut implied: Vec<(String, bool, Node)> = Vec::new();
    for item in service.get("links").and_then(Node::as_list).unwrap_or_default() {
        let Some(text) = item.as_text() else { continue };
        let parts: Vec<&str> = text.split(':').collect();
        let name = if parts.len() == 2 { parts[0] } else { text };
        implied.push((name.to_owned(), true, item.clone()));
    }
    for namespace in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        let Some(node) = service.get(namespace) else { continue };
        if let Some(name) = node.as_text().and_then(|text| text.strip_prefix("service:")) {
            implied.push((name.to_owned(), true, node.clone()));
        }
    }
    for item in service.get("volumes_from").and_then(Node::as_list).unwrap_or_default() {
        let Some(text) = item.as_text().filter(|text| !text.starts_with("container:")) else {
            continue;
        };
        let name = text.split(':').next().unwrap_or_default();
        implied.push((name.to_owned(), false, item.clone()));
    }
    if implied.is_empty() {
        return;
    }
    let mark = service.mark;
    let Some(map) = service.as_map_mut() else { return };
    let dependencies = map.entry("depends_on".to_owned()).or_insert_with(|| Node::empty_map(mark));
    let Some(dependencies) = dependencies.as_map_mut() else { return };
    for (name, restart, from) in implied {
        dependencies.entry(name).or_insert_with(|| {
            let value = Map::from([
                ("condition".to_owned(), Node::text("service_started", from.mark)),
                ("restart".to_owned(), Node::flag(restart, from.mark)),
                ("required".to_owned(), Node::flag(true, from.mark)),
            ]);
            Node::new(Value::Map(value), from.mark)
        });
    }
}

/// A resource without a name has the project's name and its key.
fn name_resources(root: &mut Node) {
    let project = root.text_of("name").unwrap_or_default().to_owned();
    for kind in ["networks", "volumes", "configs", "secrets"] {
        for (key, resource) in root.get_mut(kind).and_then(Node::as_map_mut).into_iter().flatten() {
            if resource.is_null() {
                resource.value = Value::Map(Map::new());
            }
            let mark = resource.mark;
            let external = resource.get("external").is_some_and(is_true);
            let Some(map) = resource.as_map_mut() else { continue };
            if map.get("name").is_none_or(Node::is_null) {
                let name = if external { key.clone() } else { format!("{project}_{key}") };
                map.insert("name".to_owned(), Node::text(name, mark));
            }
        }
    }
}

/// Whether a flag is set, in any of its forms.
pub(crate) fn is_true(node: &Node) -> bool {
    match &node.value {
        Value::Bool(flag) => *flag,
        Value::Text(text) => matches!(text.as_str(), "true" | "True" | "TRUE" | "1" | "t" | "T"),
        _ => false,
    }
}
