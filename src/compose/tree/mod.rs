//! YAML as a tree in which every node knows where it stands.
//!
//! [`reader`] turns text into nodes (the only file that knows the YAML parser), [`scalar`] holds the
//! rules by which plain words become numbers and booleans, [`path`] names places inside a document.
//! Nothing here knows what a compose file is.

mod path;
mod reader;
mod scalar;

use std::collections::BTreeMap;

pub(crate) use path::Path;
pub(crate) use reader::{Document, MAX_FILE, parse};
pub(crate) use scalar::{go_float, resolve};

/// A place in a file: which file, and line and column from one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark {
    /// Index into [`super::diagnostic::Sources`].
    pub(crate) file: u32,
    /// From 1; 0 is the file as a whole.
    pub(crate) line: u32,
    /// From 1, in characters.
    pub(crate) column: u32,
}

impl Mark {
    /// The file as a whole.
    pub(crate) fn file(file: u32) -> Self {
        Self { file, line: 0, column: 0 }
    }
}

/// A value with its place.
#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    /// What it is.
    pub(crate) value: Value,
    /// Where the value starts.
    pub(crate) mark: Mark,
    /// Where its key starts, if it is in a mapping; else the same as `mark`.
    pub(crate) key: Mark,
}

/// A mapping, sorted by key as docker compose prints it.
pub(crate) type Map = BTreeMap<String, Node>;

/// What a node holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Value {
    /// `null`, `~` or nothing.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping.
    Map(Map),
}

impl PartialEq for Node {
    /// Two nodes are equal when their values are, wherever they stand.
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Node {
    /// A node at a place.
    pub(crate) fn new(value: Value, mark: Mark) -> Self {
        Self { value, mark, key: mark }
    }

    /// Text at a place.
    pub(crate) fn text(text: impl Into<String>, mark: Mark) -> Self {
        Self::new(Value::Text(text.into()), mark)
    }

    /// A boolean at a place.
    pub(crate) fn flag(flag: bool, mark: Mark) -> Self {
        Self::new(Value::Bool(flag), mark)
    }

    /// An empty mapping at a place.
    pub(crate) fn empty_map(mark: Mark) -> Self {
        Self::new(Value::Map(Map::new()), mark)
    }

    /// This value with another's place.
    pub(crate) fn with(&self, value: Value) -> Self {
        Self { value, mark: self.mark, key: self.key }
    }

    /// Whether it is null.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// The text, if it is text.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The mapping, if it is one.
    pub(crate) fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The mapping, if it is one.
    pub(crate) fn as_map_mut(&mut self) -> Option<&mut Map> {
        match &mut self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The sequence, if it is one.
    pub(crate) fn as_list(&self) -> Option<&[Self]> {
        match &self.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    /// The sequence, if it is one.
    pub(crate) fn as_list_mut(&mut self) -> Option<&mut Vec<Self>> {
        match &mut self.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    /// The member of that name, if it is a mapping that has one.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.as_map()?.get(key)
    }

    /// The member of that name, if it is a mapping that has one.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        self.as_map_mut()?.get_mut(key)
    }

    /// The text of that member.
    pub(crate) fn text_of(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_text()
    }

    /// Sets a member of a mapping; nothing else has members.
    pub(crate) fn set(&mut self, key: &str, node: Self) {
        if let Some(map) = self.as_map_mut() {
            map.insert(key.to_owned(), node);
        }
    }

    /// A scalar as text, the way Go prints it with `%v`; `None` for null and collections.
    pub(crate) fn scalar_text(&self) -> Option<String> {
        match &self.value {
            Value::Bool(flag) => Some(flag.to_string()),
            Value::Int(number) => Some(number.to_string()),
            Value::Float(number) => Some(go_float(*number)),
            Value::Text(text) => Some(text.clone()),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// What kind of thing it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}
