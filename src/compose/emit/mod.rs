//! The canonical document as docker compose prints it.
//!
//! [`arrange`] puts attributes in their order and fills what the JSON form always has; [`json`] and
//! [`yaml`] write exactly as Go's libraries do, down to quotes and escapes.

mod json;
mod yaml;

use super::load::VALUE;
use super::schema::{Absent, Object, PROJECT, Shape};
use super::tree::{Map, Node, Value};

pub(crate) use json::{write_compact, write_json};
pub(crate) use yaml::write_yaml;

/// A form of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// A value whose members have an order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Out {
    /// `null`
    Null,
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// A number with a fraction.
    Float(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Self>),
    /// A mapping.
    Map(Vec<(String, Self)>),
}

/// A finished project.
pub(crate) fn arrange_project(root: &Node, form: Form) -> Out {
    let arranged = Arrange { form }.object(&PROJECT, root);
    let Out::Map(mut members) = arranged else { return arranged };
    if form == Form::Json {
        members.extend(extensions(root, form));
        members.sort_by(|a, b| a.0.cmp(&b.0));
    }
    Out::Map(members)
}

/// One finished object.
pub(crate) fn arrange_object(object: &'static Object, node: &Node, form: Form) -> Out {
    Arrange { form }.object(object, node)
}

/// A document as it is, sorted.
pub(crate) fn arrange_plain(node: &Node, form: Form) -> Out {
    match &node.value {
        Value::Null => Out::Null,
        Value::Bool(flag) => Out::Bool(*flag),
        Value::Int(number) => Out::Int(*number),
        Value::Float(number) => Out::Float(*number),
        Value::Text(text) => Out::Text(text.clone()),
        Value::List(list) => Out::List(list.iter().map(|item| arrange_plain(item, form)).collect()),
        Value::Map(map) => Out::Map(sorted(map, form, |node| arrange_plain(node, form))),
    }
}

fn sorted(map: &Map, form: Form, each: impl Fn(&Node) -> Out) -> Vec<(String, Out)> {
    let mut members: Vec<(String, Out)> = map
        .iter()
        .filter(|(key, _)| *key != VALUE)
        .map(|(key, node)| (key.clone(), each(node)))
        .collect();
    if form == Form::Yaml {
        members.sort_by(|a, b| yaml::natural(&a.0, &b.0));
    }
    members
}

fn extensions(node: &Node, form: Form) -> Vec<(String, Out)> {
    let own = node.as_map().into_iter().flatten().filter(|(key, _)| key.starts_with("x-"));
    let own: Map = own.map(|(key, node)| (key.clone(), node.clone())).collect();
    sorted(&own, form, |node| arrange_plain(node, form))
}

struct Arrange {
    form: Form,
}

impl Arrange {
    fn object(&self, object: &Object, node: &Node) -> Out {
        let mut members = Vec::new();
        for field in object.fields {
            // docker compose does not print this one when it is false; here it has a meaning.
            let is_told =
                |node: &&Node| field.name != "create_host_path" || node.value != Value::Bool(false);
            let out = match (node.get(field.name).filter(is_told), field.absent) {
                (Some(node), absent) => {
                    let out = self.shape(&field.shape, node);
                    let is_empty = matches!(&out, Out::Map(members) if members.is_empty());
                    if is_empty && absent == Absent::Object && self.form == Form::Yaml {
                        continue;
                    }
                    out
                }
                (None, Absent::Nothing) => continue,
                (None, _) if self.form == Form::Yaml => continue,
                (None, Absent::Null) => Out::Null,
                (None, Absent::Object) => Out::Map(Vec::new()),
                (None, Absent::Hook) => Out::Map(vec![("command".to_owned(), Out::Null)]),
            };
            members.push((self.name(object, field.name), out));
        }
        if self.form == Form::Yaml {
            members.extend(extensions(node, self.form));
        }
        Out::Map(members)
    }

    /// Two objects of `blkio_config` are printed with capitals, by a slip of docker compose.
    fn name(&self, object: &Object, name: &str) -> String {
        if self.form == Form::Json && object.capitals {
            let mut chars = name.chars();
            return chars.next().map(|c| c.to_ascii_uppercase()).into_iter().chain(chars).collect();
        }
        name.to_owned()
    }

    fn shape(&self, shape: &Shape, node: &Node) -> Out {
        match shape {
            Shape::Object(object)
            | Shape::ObjectOrNull(object)
            | Shape::ShortOr(object)
            | Shape::NumberShortOr(object)
                if node.as_map().is_some() =>
            {
                if let Some(path) = env_file_path(object, node, self.form) {
                    return path;
                }
                self.object(object, node)
            }
            Shape::Items(item) | Shape::UniqueItems(item) => match node.as_list() {
                Some(list) => Out::List(list.iter().map(|node| self.shape(item, node)).collect()),
                None => arrange_plain(node, self.form),
            },
            Shape::Named(member) | Shape::NamesOr(member) => match node.as_map() {
                Some(map) => Out::Map(sorted(map, self.form, |node| self.shape(member, node))),
                None => arrange_plain(node, self.form),
            },
            Shape::TextOr(other) | Shape::WordOr(_, other) => self.shape(other, node),
            Shape::Ulimit => self.ulimit(node),
            _ => arrange_plain(node, self.form),
        }
    }

    /// In JSON a zero is left out.
    fn ulimit(&self, node: &Node) -> Out {
        let member = |name: &str| match node.get(name).map(|node| &node.value) {
            Some(Value::Int(number)) => *number,
            _ => 0,
        };
        match node.value {
            Value::Int(number) if number != 0 => Out::Int(number),
            _ => {
                let members = ["soft", "hard"].map(|name| (name.to_owned(), member(name)));
                let keep = |number: i128| number != 0 || self.form == Form::Yaml;
                let members = members.into_iter().filter(|(_, number)| keep(*number));
                Out::Map(members.map(|(name, number)| (name, Out::Int(number))).collect())
            }
        }
    }
}

/// A required env file is printed as its path alone.
fn env_file_path(object: &Object, node: &Node, form: Form) -> Option<Out> {
    object.field("required").filter(|_| object.required == ["path"])?;
    let path = Out::Text(node.text_of("path").unwrap_or_default().to_owned());
    match node.get("required").map(|node| &node.value) {
        Some(Value::Bool(false)) if form == Form::Yaml => Some(Out::Map(vec![
            ("path".to_owned(), path),
            ("required".to_owned(), Out::Bool(false)),
        ])),
        Some(Value::Bool(false)) => None,
        _ => Some(path),
    }
}
