//! Lists in which a later item takes the place of an earlier one with the same key.

use std::collections::HashMap;

use super::tree::{Node, Path, Value};
use super::value::{clean_path, parse_volume};

/// Whether the list at a place is gone through for doubles by docker compose before it interprets
/// anything.
pub(crate) fn is_keyed(path: &Path<'_>) -> bool {
    KEYS.iter().any(|(pattern, _)| path.matches(pattern))
}

/// Keeps the last of each key, in the place of the first.
pub(crate) fn unique(root: &mut Node) {
    walk(root, &Path::ROOT);
}

type Key = fn(&Node) -> Option<String>;

const KEYS: &[(&[&str], Key)] = &[
    (&["networks", "*", "labels"], pair),
    (&["networks", "*", "ipam", "options"], pair),
    (&["services", "*", "annotations"], pair),
    (&["services", "*", "build", "args"], pair),
    (&["services", "*", "build", "additional_contexts"], pair),
    (&["services", "*", "build", "platform"], pair),
    (&["services", "*", "build", "tags"], pair),
    (&["services", "*", "build", "labels"], pair),
    (&["services", "*", "cap_add"], pair),
    (&["services", "*", "cap_drop"], pair),
    (&["services", "*", "configs"], config),
    (&["services", "*", "deploy", "labels"], pair),
    (&["services", "*", "dns"], pair),
    (&["services", "*", "dns_opt"], pair),
    (&["services", "*", "dns_search"], pair),
    (&["services", "*", "environment"], pair),
    (&["services", "*", "env_file"], env_file),
    (&["services", "*", "expose"], Node::scalar_text),
    (&["services", "*", "labels"], pair),
    (&["services", "*", "links"], pair),
    (&["services", "*", "networks", "*", "aliases"], pair),
    (&["services", "*", "networks", "*", "link_local_ips"], pair),
    (&["services", "*", "ports"], port),
    (&["services", "*", "profiles"], pair),
    (&["services", "*", "secrets"], secret),
    (&["services", "*", "sysctls"], pair),
    (&["services", "*", "tmpfs"], pair),
    (&["services", "*", "volumes"], volume),
    (&["services", "*", "devices"], device),
];

/// docker compose refuses these when the same thing is named twice; here only one file may not.
const ONCE_A_FILE: &[&[&str]] = &[
    &["services", "*", "security_opt"],
    &["services", "*", "group_add"],
    &["services", "*", "volumes_from"],
];

fn walk(node: &mut Node, path: &Path<'_>) {
    match &mut node.value {
        Value::Map(map) => {
            for (key, member) in map.iter_mut() {
                walk(member, &path.key(key));
            }
        }
        Value::List(list) => {
            if let Some((_, key)) = KEYS.iter().find(|(pattern, _)| path.matches(pattern)) {
                let items = std::mem::take(list);
                *list = keep_last(items, *key);
            } else if ONCE_A_FILE.iter().any(|pattern| path.matches(pattern)) {
                forget_known_of_other_files(list);
            }
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => {}
    }
}

fn keep_last(items: Vec<Node>, key: Key) -> Vec<Node> {
    let mut kept: Vec<Node> = Vec::with_capacity(items.len());
    let mut places: HashMap<String, usize> = HashMap::new();
    for item in items {
        match key(&item) {
            Some(key) => match places.get(&key) {
                Some(place) => kept[*place] = item,
                None => {
                    places.insert(key, kept.len());
                    kept.push(item);
                }
            },
            None => kept.push(item),
        }
    }
    kept
}

fn forget_known_of_other_files(items: &mut Vec<Node>) {
    let mut seen: HashMap<String, u32> = HashMap::new();
    items.retain(|item| {
        let Some(text) = item.scalar_text() else { return true };
        *seen.entry(text).or_insert(item.mark.file) == item.mark.file
    });
}

/// `KEY` of `KEY=VALUE`.
fn pair(node: &Node) -> Option<String> {
    let text = node.as_text()?;
    Some(text.split_once('=').map_or(text, |(key, _)| key).to_owned())
}

fn env_file(node: &Node) -> Option<String> {
    node.as_text().or_else(|| node.text_of("path")).map(str::to_owned)
}

fn config(node: &Node) -> Option<String> {
    file_mount(node, "")
}

fn secret(node: &Node) -> Option<String> {
    file_mount(node, "/run/secrets")
}

fn file_mount(node: &Node, directory: &str) -> Option<String> {
    if let Some(name) = node.as_text() {
        return Some(format!("{directory}/{name}"));
    }
    match node.text_of("target") {
        Some(target) => Some(target.to_owned()),
        None => node.text_of("source").map(|source| format!("{directory}/{source}")),
    }
}

fn port(node: &Node) -> Option<String> {
    if node.as_map().is_none() {
        return node.scalar_text();
    }
    let member = |name: &str| node.get(name).and_then(Node::scalar_text);
    let target = member("target")?;
    // A number and the same number as text are different here, as they are in docker compose.
    let published = match node.get("published").map(|node| &node.value) {
        Some(Value::Int(number)) => format!("number {number}"),
        _ => member("published").unwrap_or_default(),
    };
    Some(format!(
        "{}:{}:{target}/{}",
        member("host_ip").unwrap_or_else(|| "0.0.0.0".to_owned()),
        published,
        member("protocol").unwrap_or_else(|| "tcp".to_owned()),
    ))
}

fn volume(node: &Node) -> Option<String> {
    match node.as_text() {
        Some(text) => parse_volume(text).ok().map(|volume| volume.target),
        None => node.text_of("target").map(clean_path),
    }
}

fn device(node: &Node) -> Option<String> {
    match node.as_text() {
        Some(text) => {
            let mut parts = text.split(':');
            let first = parts.next()?;
            Some(parts.next().unwrap_or(first).to_owned())
        }
        None => node.text_of("target").or_else(|| node.text_of("source")).map(str::to_owned),
    }
}
