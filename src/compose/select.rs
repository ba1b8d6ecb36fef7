//! Which services run: profiles, and the services that a command names.

use std::collections::BTreeSet;

use super::diagnostic::{Failed, Problems};
use super::load::members;
use super::suggest::suggest;
use super::tree::{Map, Node, Value};

/// Takes the services out whose profiles are off; they are returned.
pub(crate) fn apply_profiles(root: &mut Node, profiles: &[String]) -> Map {
    let Some(services) = root.get_mut("services").and_then(Node::as_map_mut) else {
        return Map::new();
    };
    let (on, off) =
        std::mem::take(services).into_iter().partition(|(_, service)| is_on(service, profiles));
    *services = on;
    off
}

fn is_on(service: &Node, profiles: &[String]) -> bool {
    let own = texts(service, "profiles");
    own.is_empty() || profiles.iter().any(|name| name == "*" || own.contains(&name.as_str()))
}

/// The texts of a list.
pub(crate) fn texts<'a>(node: &'a Node, name: &str) -> Vec<&'a str> {
    let list = node.get(name).and_then(Node::as_list).unwrap_or_default();
    list.iter().filter_map(Node::as_text).collect()
}

/// `scale` beside `deploy` is its `replicas` too, as docker compose has it.
pub(crate) fn tell_replicas(root: &mut Node) {
    for (_, service) in root.get_mut("services").and_then(Node::as_map_mut).into_iter().flatten() {
        let Some(scale) = service.get("scale").cloned() else { continue };
        if let Some(deploy) = service.get_mut("deploy") {
            deploy.set("replicas", scale);
        }
    }
}

/// A network or a volume of which nothing is said is there all the same.
pub(crate) fn tell_resources(root: &mut Node) {
    for kind in ["networks", "volumes"] {
        for (_, node) in root.get_mut(kind).and_then(Node::as_map_mut).into_iter().flatten() {
            if node.is_null() {
                node.value = Value::Map(Map::new());
            }
        }
    }
}

/// Leaves only the named services and what they need. A service that is named is on whatever its
/// profiles, and so is every other service of those profiles.
pub(crate) fn select(
    root: &mut Node,
    off: &mut Map,
    names: &[String],
    profiles: &[String],
    problems: &mut Problems,
) -> Result<(), Failed> {
    if names.is_empty() {
        return Ok(());
    }
    let mut active: Vec<String> = profiles.to_vec();
    for name in names {
        if let Some(service) = off.get(name) {
            active.extend(texts(service, "profiles").into_iter().map(str::to_owned));
        }
    }
    let Some(services) = root.get_mut("services").and_then(Node::as_map_mut) else {
        return Ok(());
    };
    services.append(off);
    *off = apply_profiles(root, &active);
    let mut wanted = BTreeSet::new();
    let mut left: Vec<(String, bool)> = names.iter().map(|name| (name.clone(), true)).collect();
    while let Some((name, required)) = left.pop() {
        let service = members(root, "services").find(|(known, _)| **known == name);
        let Some((_, service)) = service else {
            if required {
                no_such_service(root, &name, problems);
            }
            continue;
        };
        if wanted.insert(name) {
            for (name, dependency) in members(service, "depends_on") {
                let required = !matches!(
                    dependency.get("required").map(|node| &node.value),
                    Some(Value::Bool(false))
                );
                left.push((name.clone(), required));
            }
        }
    }
    problems.check()?;
    let Some(services) = root.get_mut("services").and_then(Node::as_map_mut) else {
        return Ok(());
    };
    let (on, rest): (Map, Map) =
        std::mem::take(services).into_iter().partition(|(name, _)| wanted.contains(name));
    *services = on;
    off.extend(rest);
    for (_, service) in services.iter_mut() {
        forget_dependencies(service, &wanted);
    }
    Ok(())
}

fn no_such_service(root: &Node, name: &str, problems: &mut Problems) {
    let known: Vec<&str> = members(root, "services").map(|(name, _)| name.as_str()).collect();
    let problem = problems.error_nowhere(format!("no such service: {name}"));
    match suggest(name, &known) {
        Some(name) => problem.hint(format!("did you mean `{name}`?")),
        None => problem.hint(format!("the services are: {}", known.join(", "))),
    };
}

fn forget_dependencies(service: &mut Node, wanted: &BTreeSet<String>) {
    let Some(map) = service.as_map_mut() else { return };
    let Some(dependencies) = map.get_mut("depends_on").and_then(Node::as_map_mut) else { return };
    dependencies.retain(|name, _| wanted.contains(name));
    if dependencies.is_empty() {
        map.remove("depends_on");
    }
}

/// Takes out networks, volumes, secrets, configs and models that no service uses.
pub(crate) fn drop_unused(root: &mut Node) {
    let mut used: Vec<(&str, BTreeSet<String>)> =
        ["networks", "volumes", "secrets", "configs", "models"]
            .into_iter()
            .map(|kind| (kind, BTreeSet::new()))
            .collect();
    let empty = Node::default();
    for (_, service) in members(root, "services") {
        for (kind, names) in &mut used {
            match *kind {
                "networks" | "models" => {
                    names.extend(members(service, kind).map(|(name, _)| name.clone()));
                }
                "volumes" => names.extend(named_volumes(service)),
                _ => {
                    let build = service.get("build").unwrap_or(&empty);
                    for node in [service, build] {
                        let list = node.get(kind).and_then(Node::as_list).unwrap_or_default();
                        names.extend(
                            list.iter()
                                .filter_map(|item| item.text_of("source"))
                                .map(str::to_owned),
                        );
                    }
                }
            }
        }
    }
    let Some(map) = root.as_map_mut() else { return };
    for (kind, names) in used {
        if let Some(resources) = map.get_mut(kind).and_then(Node::as_map_mut) {
            resources.retain(|name, _| names.contains(name));
            if resources.is_empty() {
                map.remove(kind);
            }
        }
    }
}

/// The volumes with a name that a service mounts.
pub(crate) fn named_volumes(service: &Node) -> impl Iterator<Item = String> {
    let list = service.get("volumes").and_then(Node::as_list).unwrap_or_default();
    list.iter()
        .filter(|item| item.text_of("type") == Some("volume"))
        .filter_map(|item| item.text_of("source").map(str::to_owned))
}
