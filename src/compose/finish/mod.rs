//! The last form of every value: spans of time as Go writes them, bytes as digits, commands as
//! words, variables and labels as mappings. What equals nothing goes away.

mod lists;
mod numbers;

use super::diagnostic::Problems;
use super::schema::{Object, PROJECT, Shape};
use super::tree::{Node, Path, Value};

/// Finishes a whole canonical document.
pub(crate) fn finish(root: &mut Node, problems: &mut Problems) {
    Finish { problems, words: 0 }.object(&PROJECT, root, &Path::ROOT);
}

/// What becomes of a value.
enum Outcome {
    Keep,
    /// It equals nothing.
    Drop,
}

use Outcome::{Drop, Keep};

struct Finish<'a> {
    problems: &'a mut Problems,
    /// How many words commands were split into.
    words: usize,
}

impl Finish<'_> {
    fn object(&mut self, object: &Object, node: &mut Node, path: &Path<'_>) {
        let Some(map) = node.as_map_mut() else { return };
        let mut gone = Vec::new();
        for (key, member) in map.iter_mut() {
            let Some(field) = object.field(key) else { continue };
            if matches!(self.shape(&field.shape, member, &path.key(key)), Drop) {
                gone.push(key.clone());
            }
        }
        for key in gone {
            map.remove(&key);
        }
    }

    fn shape(&mut self, shape: &Shape, node: &mut Node, path: &Path<'_>) -> Outcome {
        match shape {
            Shape::Dropped | Shape::DroppedText => Drop,
            Shape::Text
            | Shape::TextOrNull
            | Shape::Choice(_)
            | Shape::Checked(_)
            | Shape::NumberText
            | Shape::TextOrFlag => text(node),
            Shape::Flag => match self.flag(node, path) {
                Some(true) => Keep,
                Some(false) | None => Drop,
            },
            Shape::External => match self.flag(node, path) {
                Some(true) => Keep,
                Some(false) | None => Drop,
            },
            Shape::StrictFlag => match node.value {
                Value::Bool(true) => Keep,
                _ => Drop,
            },
            Shape::ThreeWay | Shape::RequiredFlag => {
                self.flag(node, path);
                if node.is_null() { Drop } else { Keep }
            }
            Shape::PlainInt if node.as_text().is_some() => {
                let message = "must be a whole number, not text";
                self.problems.error(node.mark, path, message).hint("write it without quotes");
                Keep
            }
            Shape::Int(_) | Shape::StrictInt | Shape::PlainInt => match self.int(node, path) {
                Some(0) | None => Drop,
                Some(_) => Keep,
            },
            Shape::OptionalInt(range) => match self.int(node, path) {
                Some(number) if number < range.least => {
                    let message = format!("must be at least {}", range.least);
                    self.problems.error(node.mark, path, message);
                    Keep
                }
                Some(_) => Keep,
                None => Drop,
            },
            Shape::Count => self.count(node, path),
            Shape::Float => self.float(node, path),
            Shape::Bytes | Shape::Size | Shape::ByteText => self.bytes(node, path),
            Shape::Duration => self.duration(node, path, true),
            Shape::OptionalDuration => self.duration(node, path, false),
            Shape::Words => self.words(node, path),
            Shape::Test => {
                if let Value::Text(line) = &node.value {
                    let words =
                        ["CMD-SHELL", line.as_str()].map(|word| Node::text(word, node.mark));
                    node.value = Value::List(words.into());
                }
                unless_empty(node)
            }
            Shape::FileMode => self.file_mode(node, path),
            Shape::Texts | Shape::UniqueTexts | Shape::TextOrTexts | Shape::TextOrUniqueTexts => {
                one_as_list(node);
                unless_empty(node)
            }
            Shape::Numbers => {
                for item in node.as_list_mut().into_iter().flatten() {
                    to_text(item);
                }
                unless_empty(node)
            }
            Shape::Variables => {
                self.pairs(node, path, true);
                unless_empty(node)
            }
            Shape::Labels => {
                self.pairs(node, path, false);
                unless_empty(node)
            }
            Shape::Options | Shape::LooseOptions => {
                for (_, member) in node.as_map_mut().into_iter().flatten() {
                    to_text(member);
                }
                unless_empty(node)
            }
            Shape::MultiOptions => {
                multi_options(node);
                unless_empty(node)
            }
            Shape::Hosts => {
                self.hosts(node, path);
                unless_empty(node)
            }
            Shape::Ssh => {
                ssh(node);
                unless_empty(node)
            }
            Shape::Object(object)
            | Shape::ObjectOrNull(object)
            | Shape::ShortOr(object)
            | Shape::NumberShortOr(object) => {
                if node.is_null() {
                    return Drop;
                }
                self.object(object, node, path);
                Keep
            }
            Shape::Items(item) | Shape::UniqueItems(item) => {
                for (index, member) in node.as_list_mut().into_iter().flatten().enumerate() {
                    self.shape(item, member, &path.item(index));
                }
                unless_empty(node)
            }
            Shape::Named(member) | Shape::NamesOr(member) => {
                for (key, node) in node.as_map_mut().into_iter().flatten() {
                    self.shape(member, node, &path.key(key));
                }
                unless_empty(node)
            }
            Shape::TextOr(other) | Shape::WordOr(_, other) => self.shape(other, node, path),
            Shape::Ulimit => self.ulimit(node, path),
        }
    }
}

/// Text or a scalar as text; the empty text is nothing.
fn text(node: &mut Node) -> Outcome {
    match &node.value {
        Value::Text(text) if text.is_empty() => return Drop,
        Value::Null => return Drop,
        _ => {}
    }
    to_text(node);
    Keep
}

fn to_text(node: &mut Node) {
    match &node.value {
        Value::Null => node.value = Value::Text(String::new()),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
            if let Some(text) = node.scalar_text() {
                node.value = Value::Text(text);
            }
        }
        Value::Text(_) | Value::List(_) | Value::Map(_) => {}
    }
}

fn one_as_list(node: &mut Node) {
    if node.as_text().is_some() {
        let text = Node::new(std::mem::take(&mut node.value), node.mark);
        node.value = Value::List(vec![text]);
    }
}

fn unless_empty(node: &Node) -> Outcome {
    match &node.value {
        Value::Null => Drop,
        Value::List(list) if list.is_empty() => Drop,
        Value::Map(map) if map.is_empty() => Drop,
        _ => Keep,
    }
}

fn multi_options(node: &mut Node) {
    for (_, member) in node.as_map_mut().into_iter().flatten() {
        to_text(member);
        one_as_list(member);
        for item in member.as_list_mut().into_iter().flatten() {
            to_text(item);
        }
    }
}

/// A mapping of keys as lines: `default`, `id: path`.
fn ssh(node: &mut Node) {
    if let Value::Map(map) = &node.value {
        let lines = map.iter().map(|(id, path)| match path.scalar_text() {
            Some(path) => Node::text(format!("{id}: {path}"), node.mark),
            None => Node::text(id.clone(), node.mark),
        });
        node.value = Value::List(lines.collect());
    }
}
