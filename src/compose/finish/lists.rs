//! Command lines, `KEY=VALUE` lines and lines of `/etc/hosts`.

use super::Outcome::{Drop, Keep};
use super::{Finish, Outcome, to_text};
use crate::compose::limits::MAX_WORDS;
use crate::compose::tree::{Map, Mark, Node, Path, Value};
use crate::compose::value::split_words;

impl Finish<'_> {
    pub(super) fn words(&mut self, node: &mut Node, path: &Path<'_>) -> Outcome {
        if let Value::Text(line) = &node.value {
            match split_words(line) {
                Ok(words) if self.words + words.len() > MAX_WORDS => {
                    let message = format!("more than {MAX_WORDS} words in all commands");
                    self.problems.error(node.mark, path, message);
                }
                Ok(words) => {
                    self.words += words.len();
                    let words = words.into_iter().map(|word| Node::text(word, node.mark));
                    node.value = Value::List(words.collect());
                }
                Err(message) => {
                    self.problems
                        .error(node.mark, path, message)
                        .hint("write it as a list of words");
                }
            }
        }
        if node.is_null() { Drop } else { Keep }
    }

    /// `KEY=VALUE` lines as a mapping.
    pub(super) fn pairs(&mut self, node: &mut Node, path: &Path<'_>, keep_null: bool) {
        if let Value::List(list) = &node.value {
            let mut map = Map::new();
            for (index, item) in list.iter().enumerate() {
                let text = item.scalar_text().unwrap_or_default();
                let (key, value) = match text.split_once('=') {
                    Some((key, value)) => (key, Value::Text(value.to_owned())),
                    None => (text.as_str(), Value::Null),
                };
                if keep_null && key.ends_with(char::is_whitespace) {
                    let message = format!("the name {key:?} ends with a space");
                    self.problems.error(item.mark, &path.item(index), message);
                }
                map.insert(key.to_owned(), Node::new(value, item.mark));
            }
            node.value = Value::Map(map);
        }
        for (_, member) in node.as_map_mut().into_iter().flatten() {
            if !(keep_null && member.is_null()) {
                to_text(member);
            }
        }
    }

    pub(super) fn hosts(&mut self, node: &mut Node, path: &Path<'_>) {
        let mut hosts: Vec<(String, String, Mark)> = Vec::new();
        match &node.value {
            Value::Map(map) => {
                for (name, member) in map {
                    match &member.value {
                        Value::List(list) => hosts.extend(list.iter().map(|item| {
                            (name.clone(), item.scalar_text().unwrap_or_default(), item.mark)
                        })),
                        _ => {
                            let address = member.scalar_text().unwrap_or_default();
                            hosts.push((name.clone(), address, member.mark));
                        }
                    }
                }
            }
            Value::List(list) => {
                for (index, item) in list.iter().enumerate() {
                    let text = item.scalar_text().unwrap_or_default();
                    let Some((name, addresses)) =
                        text.split_once('=').or_else(|| text.split_once(':'))
                    else {
                        let message = format!("invalid host {text:?}: must be NAME=ADDRESS");
                        self.problems.error(item.mark, &path.item(index), message);
                        continue;
                    };
                    for address in addresses.split(',') {
                        hosts.push((name.to_owned(), address.to_owned(), item.mark));
                    }
                }
            }
            _ => {}
        }
        for (name, _, mark) in &hosts {
            if name.is_empty() || name.contains([':', '=']) {
                self.problems.error(*mark, path, format!("bad host name {name:?}"));
            }
        }
        let mut lines: Vec<Node> = hosts
            .into_iter()
            .map(|(name, address, mark)| {
                let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
                let address = bare.filter(|bare| !bare.is_empty()).unwrap_or(&address);
                Node::text(format!("{name}={address}"), mark)
            })
            .collect();
        lines.sort_by(|a, b| a.as_text().cmp(&b.as_text()));
        node.value = Value::List(lines);
    }

    pub(super) fn ulimit(&mut self, node: &mut Node, path: &Path<'_>) -> Outcome {
        match node.as_map_mut() {
            Some(map) => {
                for (key, member) in map.iter_mut() {
                    if key == "soft" || key == "hard" {
                        self.int(member, &path.key(key));
                    }
                }
            }
            None => {
                self.int(node, path);
            }
        }
        Keep
    }
}
