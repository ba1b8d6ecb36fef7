//! Values of finished attributes.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::compose::tree::{Node, Value};
use crate::compose::value::parse_duration;

/// A text.
pub(super) fn text(node: &Node, name: &str) -> Option<String> {
    node.text_of(name).map(str::to_owned)
}

/// A flag; not set is no.
pub(super) fn flag(node: &Node, name: &str) -> bool {
    optional_flag(node, name).unwrap_or(false)
}

/// A flag.
pub(super) fn optional_flag(node: &Node, name: &str) -> Option<bool> {
    match node.get(name)?.value {
        Value::Bool(flag) => Some(flag),
        _ => None,
    }
}

/// A whole number.
pub(super) fn int(node: &Node, name: &str) -> Option<i64> {
    match node.get(name)?.value {
        Value::Int(number) => i64::try_from(number).ok(),
        _ => None,
    }
}

/// A whole number that is not negative.
pub(super) fn unsigned(node: &Node, name: &str) -> Option<u64> {
    u64::try_from(int(node, name)?).ok()
}

/// A number with a fraction.
pub(super) fn float(node: &Node, name: &str) -> Option<f64> {
    match node.get(name)?.value {
        Value::Float(number) => Some(number),
        _ => None,
    }
}

/// Bytes; they are digits by now.
pub(super) fn bytes(node: &Node, name: &str) -> Option<i64> {
    node.text_of(name)?.parse().ok()
}

/// Bytes that are not negative.
pub(super) fn size(node: &Node, name: &str) -> Option<u64> {
    u64::try_from(bytes(node, name)?).ok()
}

/// Bytes that are more than zero.
pub(super) fn positive_bytes(node: &Node, name: &str) -> Option<u64> {
    size(node, name).filter(|bytes| *bytes > 0)
}

/// A span of time.
pub(super) fn duration(node: &Node, name: &str) -> Option<Duration> {
    parse_duration(node.text_of(name)?).ok()
}

/// The items of a list.
pub(super) fn items<'a>(node: &'a Node, name: &str) -> &'a [Node] {
    node.get(name).and_then(Node::as_list).unwrap_or_default()
}

/// A list of texts.
pub(super) fn texts(node: &Node, name: &str) -> Vec<String> {
    items(node, name).iter().filter_map(Node::scalar_text).collect()
}

/// A list of texts, where no list and an empty one differ.
pub(super) fn optional_texts(node: &Node, name: &str) -> Option<Vec<String>> {
    node.get(name)?.as_list()?;
    Some(texts(node, name))
}

/// A mapping to text.
pub(super) fn pairs(node: &Node, name: &str) -> BTreeMap<String, String> {
    node.get(name)
        .and_then(Node::as_map)
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.clone(), value.scalar_text().unwrap_or_default()))
        .collect()
}

/// Variables: a value may be missing.
pub(super) fn variables(node: &Node, name: &str) -> BTreeMap<String, Option<String>> {
    node.get(name)
        .and_then(Node::as_map)
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.clone(), value.scalar_text()))
        .collect()
}
