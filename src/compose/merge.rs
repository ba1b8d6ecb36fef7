//! One document over another: the rules of several `-f` files, of `extends` and of `include`.
//!
//! Mappings are merged, lists are joined, everything else is replaced; null leaves what is there.
//! Some attributes have rules of their own, in the table below.

use super::diagnostic::Problems;
use super::tree::{Map, Node, Path, Value};

/// The second document over the first.
pub(crate) fn merge(base: Node, over: Node, path: &Path<'_>, problems: &mut Problems) -> Node {
    Merge { problems }.node(base, over, path)
}

/// A rule other than the usual ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// The later one, even if it is null.
    Replace,
    /// Both as lists of `KEY=VALUE`.
    Sequence,
    /// As `Sequence`, without lines that are there already.
    Hosts,
    /// Text is the context.
    Build,
    /// A list of names is a mapping to nothing.
    Names,
    /// A list of names is a mapping to conditions.
    Dependencies,
    /// Merged if both have the same driver.
    Logging,
    /// The later one, unless null.
    Ulimit,
    /// By subnet, as the reference does it: a pool that no later file names is lost.
    Pools,
}

const RULES: &[(&[&str], Rule)] = {
    use Rule::{Build, Dependencies, Hosts, Logging, Names, Pools, Replace, Sequence, Ulimit};
    &[
        (&["networks", "*", "ipam", "config"], Pools),
        (&["networks", "*", "labels"], Sequence),
        (&["volumes", "*", "labels"], Sequence),
        (&["services", "*", "annotations"], Sequence),
        (&["services", "*", "build"], Build),
        (&["services", "*", "build", "args"], Sequence),
        (&["services", "*", "build", "additional_contexts"], Sequence),
        (&["services", "*", "build", "extra_hosts"], Hosts),
        (&["services", "*", "build", "labels"], Sequence),
        (&["services", "*", "command"], Replace),
        (&["services", "*", "depends_on"], Dependencies),
        (&["services", "*", "deploy", "labels"], Sequence),
        (&["services", "*", "dns"], Sequence),
        (&["services", "*", "dns_opt"], Sequence),
        (&["services", "*", "dns_search"], Sequence),
        (&["services", "*", "entrypoint"], Replace),
        (&["services", "*", "env_file"], Sequence),
        (&["services", "*", "label_file"], Sequence),
        (&["services", "*", "environment"], Sequence),
        (&["services", "*", "extra_hosts"], Hosts),
        (&["services", "*", "healthcheck", "test"], Replace),
        (&["services", "*", "labels"], Sequence),
        (&["services", "*", "volumes", "*", "volume", "labels"], Sequence),
        (&["services", "*", "logging"], Logging),
        (&["services", "*", "models"], Names),
        (&["services", "*", "networks"], Names),
        (&["services", "*", "sysctls"], Sequence),
        (&["services", "*", "tmpfs"], Sequence),
        (&["services", "*", "ulimits", "*"], Ulimit),
    ]
};

struct Merge<'a> {
    problems: &'a mut Problems,
}

impl Merge<'_> {
    fn node(&mut self, base: Node, over: Node, path: &Path<'_>) -> Node {
        let rule = RULES.iter().find(|(pattern, _)| path.matches(pattern)).map(|(_, rule)| *rule);
        let Some(rule) = rule else { return self.usual(base, over, path) };
        match rule {
            Rule::Replace => over,
            Rule::Ulimit => {
                if over.is_null() {
                    base
                } else {
                    over
                }
            }
            Rule::Sequence => join(base, over, false),
            Rule::Hosts => join(base, over, true),
            Rule::Build => self.both(base, over, path, |node| match &node.value {
                Value::Text(_) => {
                    let mut map = Node::empty_map(node.mark);
                    map.key = node.key;
                    map.set("context", node);
                    map
                }
                _ => node,
            }),
            Rule::Names => self.both(base, over, path, |node| named(node, &Value::Null)),
            Rule::Dependencies => {
                let started = dependency(&over);
                self.both(base, over, path, |node| named(node, &started))
            }
            Rule::Logging => self.logging(base, over, path),
            Rule::Pools => self.pools(base, over, path),
        }
    }

    fn usual(&mut self, base: Node, over: Node, path: &Path<'_>) -> Node {
        if over.is_null() {
            return base;
        }
        let (base_mark, base_key) = (base.mark, base.key);
        match (base.value, over.value) {
            (Value::Map(base), Value::Map(over_map)) => {
                let map = self.maps(base, over_map, path);
                Node { value: Value::Map(map), mark: base_mark, key: base_key }
            }
            (Value::List(mut base), Value::List(over_list)) => {
                base.extend(over_list);
                Node { value: Value::List(base), mark: base_mark, key: base_key }
            }
            (base @ (Value::Map(_) | Value::List(_)), over_value) => {
                let base = Node { value: base, mark: base_mark, key: base_key };
                let over = Node { value: over_value, mark: over.mark, key: over.key };
                let message = format!("cannot override {} with {}", base.kind(), over.kind());
                self.problems.error(over.mark, path, message).related(base.mark, "defined here");
                base
            }
            (_, value) => Node { value, mark: over.mark, key: over.key },
        }
    }

    fn maps(&mut self, mut base: Map, over: Map, path: &Path<'_>) -> Map {
        for (key, node) in over {
            // In its place: to take a member out and put it in again moves its neighbours twice.
            if let Some(place) = base.get_mut(&key) {
                let existing = std::mem::take(place);
                *place = self.node(existing, node, &path.key(&key));
            } else {
                base.insert(key, node);
            }
        }
        base
    }

    /// Both made mappings first.
    fn both(
        &mut self,
        base: Node,
        over: Node,
        path: &Path<'_>,
        to_map: impl Fn(Node) -> Node,
    ) -> Node {
        self.usual(to_map(base), to_map(over), path)
    }

    fn logging(&mut self, base: Node, over: Node, path: &Path<'_>) -> Node {
        match (base.get("driver"), over.get("driver")) {
            (Some(before), Some(after)) if before != after => over,
            _ => self.usual(base, over, path),
        }
    }

    fn pools(&mut self, base: Node, over: Node, path: &Path<'_>) -> Node {
        if base.as_list().is_none() || over.as_list().is_none() {
            return self.usual(base, over, path);
        }
        let shell = base.with(Value::Null);
        let Value::List(known) = base.value else { return shell };
        let Value::List(over) = over.value else { return shell };
        let place = |pools: &[Node], pool: &Node| {
            pools.iter().position(|known| known.get("subnet") == pool.get("subnet"))
        };
        let mut pools: Vec<Node> = Vec::new();
        for base in known {
            let mut base = base;
            for pool in &over {
                if pool.get("subnet") != base.get("subnet") && place(&pools, pool).is_none() {
                    pools.push(pool.clone());
                    continue;
                }
                base = self.usual(base, pool.clone(), path);
                match place(&pools, &base) {
                    Some(index) => pools[index] = base.clone(),
                    None => pools.push(base.clone()),
                }
            }
        }
        Node { value: Value::List(pools), ..shell }
    }
}

/// A list of names as a mapping to one value each.
fn named(node: Node, value: &Value) -> Node {
    match node.value {
        Value::List(list) => {
            let map = list
                .into_iter()
                .filter_map(|item| {
                    let name = item.as_text()?.to_owned();
                    Some((name, Node { value: value.clone(), mark: item.mark, key: item.mark }))
                })
                .collect();
            Node { value: Value::Map(map), mark: node.mark, key: node.key }
        }
        _ => node,
    }
}

/// What a name in a list of dependencies stands for.
pub(crate) fn dependency(node: &Node) -> Value {
    Value::Map(Map::from([
        ("condition".to_owned(), Node::text("service_started", node.mark)),
        ("required".to_owned(), Node::flag(true, node.mark)),
    ]))
}

fn join(base: Node, over: Node, no_doubles: bool) -> Node {
    let (mark, key) = if base.is_null() { (over.mark, over.key) } else { (base.mark, base.key) };
    let mut lines = to_lines(base);
    let more = to_lines(over);
    for line in more {
        if !(no_doubles && lines.contains(&line)) {
            lines.push(line);
        }
    }
    Node { value: Value::List(lines), mark, key }
}

/// A mapping as sorted `KEY=VALUE` lines, a single text as one line.
pub(crate) fn to_lines(node: Node) -> Vec<Node> {
    match node.value {
        Value::Map(map) => {
            let mut lines = Vec::with_capacity(map.len());
            for (key, member) in map {
                let line = |value: &Node| match value.scalar_text() {
                    Some(text) => Node::text(format!("{key}={text}"), value.key),
                    None => Node::text(key.clone(), value.key),
                };
                match &member.value {
                    Value::List(list) => lines.extend(list.iter().map(line)),
                    _ => lines.push(line(&member)),
                }
            }
            lines.sort_by(|a, b| a.as_text().cmp(&b.as_text()));
            lines
        }
        Value::List(list) => list,
        Value::Text(_) => vec![node],
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => Vec::new(),
    }
}
