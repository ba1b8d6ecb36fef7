//! `!reset` and `!override`: what earlier files say at some places is forgotten.

use super::tree::{Node, Value};

/// Removes members of mappings at the given places. Items of lists stay, as in docker compose.
pub(crate) fn forget(root: &mut Node, places: &[Vec<String>]) {
    for place in places {
        let (Some(last), Some(parents)) = (place.last(), place.len().checked_sub(1)) else {
            continue;
        };
        let mut at = Some(&mut *root);
        for step in &place[..parents] {
            at = at.and_then(|node| match &mut node.value {
                Value::Map(map) => map.get_mut(step),
                Value::List(list) => {
                    let index = step.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
                    index.and_then(|index: usize| list.get_mut(index))
                }
                _ => None,
            });
        }
        if let Some(Value::Map(map)) = at.map(|node| &mut node.value) {
            map.remove(last);
        }
    }
}
