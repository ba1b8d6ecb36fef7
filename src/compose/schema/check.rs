//! What does not fit the table, with its place.

use crate::compose::diagnostic::Problems;
use crate::compose::suggest::suggest;
use crate::compose::tree::{Map, Node, Path, Value};

use super::{Object, Range, Shape};

/// Tells everything in a value that does not fit a shape.
pub(crate) fn check(shape: &Shape, node: &Node, path: &Path<'_>, problems: &mut Problems) {
    Check { problems }.shape(shape, node, path);
}

/// Tells everything in an object that does not fit.
pub(crate) fn check_object(object: &Object, node: &Node, path: &Path<'_>, problems: &mut Problems) {
    Check { problems }.object(object, node, path);
}

struct Check<'a> {
    problems: &'a mut Problems,
}

impl Check<'_> {
    fn shape(&mut self, shape: &Shape, node: &Node, path: &Path<'_>) {
        match shape {
            Shape::TextOrNull if node.is_null() => {}
            Shape::Words if node.is_null() => {}
            Shape::ObjectOrNull(_) if node.is_null() => {}
            Shape::Text
            | Shape::DroppedText
            | Shape::TextOrNull
            | Shape::ByteText
            | Shape::Duration
            | Shape::OptionalDuration => self.text(node, path, "a string"),
            Shape::Choice(words) => self.choice(words, node, path),
            Shape::Checked(accept) => match node.as_text() {
                Some(text) => {
                    if let Some(message) = accept(text) {
                        self.error(node, path, format!("invalid value {text:?}: {message}"));
                    }
                }
                None => self.text(node, path, "a string"),
            },
            Shape::Flag | Shape::ThreeWay | Shape::RequiredFlag | Shape::TextOrFlag => {
                self.one_of(node, path, &[Kind::Flag, Kind::Text], "a boolean");
            }
            Shape::StrictFlag => self.one_of(node, path, &[Kind::Flag], "a boolean"),
            Shape::Int(range) | Shape::OptionalInt(range) => self.int(*range, node, path),
            Shape::Float | Shape::Bytes | Shape::FileMode | Shape::Count => {
                self.one_of(node, path, &[Kind::Number, Kind::Text], "a number or a string");
            }
            Shape::Size => {
                if matches!(node.value, Value::Int(number) if number < 0) {
                    self.error(node, path, "must be at least 0".to_owned());
                }
                self.one_of(node, path, &[Kind::Number, Kind::Text], "a number or a string");
            }
            Shape::NumberText if matches!(node.value, Value::Float(_)) => {
                self.wrong(node, path, "a whole number or a string");
            }
            Shape::NumberText => {
                self.one_of(node, path, &[Kind::Number, Kind::Text], "a whole number or a string");
            }
            Shape::StrictInt if node.as_text().is_some() => {
                self.wrong(node, path, "a whole number");
            }
            Shape::StrictInt => self.int(super::ANY, node, path),
            Shape::PlainInt => self.int(super::NATURAL, node, path),
            Shape::Words | Shape::Test => self.words(node, path),
            Shape::Texts => self.texts(node, path, false),
            Shape::UniqueTexts => self.texts(node, path, true),
            Shape::TextOrTexts | Shape::TextOrUniqueTexts => {
                if node.as_text().is_none() {
                    self.texts(node, path, matches!(shape, Shape::TextOrUniqueTexts));
                }
            }
            Shape::Numbers => {
                self.items(node, path, |check, item, path| {
                    check.one_of(item, path, &[Kind::Number, Kind::Text], "a number or a string");
                });
                self.twice(node, path);
            }
            Shape::Variables | Shape::Labels | Shape::Ssh => self.pairs(node, path),
            Shape::Options | Shape::Dropped => {
                self.members(node, path, &[Kind::Number, Kind::Text], "a string or a number");
            }
            Shape::LooseOptions => self.members(
                node,
                path,
                &[Kind::Number, Kind::Text, Kind::Null, Kind::Flag],
                "a string or a number",
            ),
            Shape::MultiOptions => self.multi_options(node, path),
            Shape::Hosts => self.hosts(node, path),
            Shape::Object(object) | Shape::ObjectOrNull(object) => self.object(object, node, path),
            Shape::Items(item) => {
                self.items(node, path, |check, node, path| check.shape(item, node, path));
            }
            Shape::UniqueItems(item) => {
                self.items(node, path, |check, node, path| check.shape(item, node, path));
                self.twice(node, path);
            }
            Shape::Named(member) => self.named(member, node, path),
            Shape::NamesOr(member) => match &node.value {
                Value::List(_) => self.texts(node, path, true),
                _ => self.named(member, node, path),
            },
            Shape::ShortOr(object) => match &node.value {
                Value::Text(_) => {}
                Value::Map(_) => self.object(object, node, path),
                _ => self.wrong(node, path, "a string or a mapping"),
            },
            Shape::NumberShortOr(object) => match &node.value {
                Value::Text(_) | Value::Int(_) => {}
                Value::Map(_) => self.object(object, node, path),
                _ => self.wrong(node, path, "a number, a string or a mapping"),
            },
            Shape::WordOr(word, other) => match node.as_text() {
                Some(text) if text != *word => {
                    let message = format!("invalid value {text:?}: must be `{word}` or a list");
                    self.error(node, path, message);
                }
                Some(_) => {}
                None => self.shape(other, node, path),
            },
            Shape::TextOr(other) => {
                if node.as_text().is_none() {
                    self.shape(other, node, path);
                }
            }
            Shape::Ulimit => self.ulimit(node, path),
            Shape::External => match &node.value {
                Value::Map(map) => {
                    for (key, member) in map {
                        match key.as_str() {
                            "name" => self.text(member, &path.key(key), "a string"),
                            key if key.starts_with("x-") => {}
                            _ => self.unknown(key, member, path, &["name"]),
                        }
                    }
                }
                _ => self.one_of(node, path, &[Kind::Flag, Kind::Text], "a boolean"),
            },
        }
    }

    fn object(&mut self, object: &Object, node: &Node, path: &Path<'_>) {
        let Value::Map(map) = &node.value else {
            self.wrong(node, path, "a mapping");
            return;
        };
        for (key, member) in map {
            match object.field(key) {
                Some(field) => self.shape(&field.shape, member, &path.key(key)),
                None if object.extensions && key.starts_with("x-") => {}
                None => {
                    let names: Vec<&str> = object.fields.iter().map(|field| field.name).collect();
                    self.unknown(key, member, path, &names);
                }
            }
        }
        for name in object.required {
            if !map.contains_key(*name) {
                self.error(node, path, format!("{name} is missing"));
            }
        }
    }

    fn unknown(&mut self, key: &str, member: &Node, path: &Path<'_>, known: &[&str]) {
        let message = format!("unknown attribute {key:?}");
        if self.problems.is_full() {
            self.problems.error(member.key, path, message);
            return;
        }
        let problem = self.problems.error(member.key, path, message);
        if let Some(name) = suggest(key, known) {
            problem.hint(format!("did you mean `{name}`?"));
        } else if known.len() < 12 {
            problem.hint(format!("known here: {}", known.join(", ")));
        }
    }

    fn named(&mut self, member: &Shape, node: &Node, path: &Path<'_>) {
        let Value::Map(map) = &node.value else {
            self.wrong(node, path, "a mapping");
            return;
        };
        for (key, value) in map {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            if key.is_empty() || !key.bytes().all(fits) {
                let message = format!("invalid name {key:?}: only a-z, A-Z, 0-9, `.`, `_` and `-`");
                self.problems.error(value.key, path, message);
            }
            self.shape(member, value, &path.key(key));
        }
    }

    fn choice(&mut self, words: &[&str], node: &Node, path: &Path<'_>) {
        let Some(text) = node.as_text() else {
            self.text(node, path, "a string");
            return;
        };
        if !words.contains(&text) {
            let message = format!("invalid value {text:?}: must be one of {}", words.join(", "));
            let problem = self.problems.error(node.mark, path, message);
            if let Some(word) = suggest(text, words) {
                problem.hint(format!("did you mean `{word}`?"));
            }
        }
    }

    fn int(&mut self, range: Range, node: &Node, path: &Path<'_>) {
        match &node.value {
            Value::Int(number) => {
                if *number < i128::from(range.least) || *number > i128::from(range.most) {
                    let Range { least, most } = range;
                    let message = if most == i64::MAX {
                        format!("must be at least {least}")
                    } else {
                        format!("must be between {least} and {most}")
                    };
                    self.error(node, path, message);
                }
            }
            Value::Float(number) if number.fract() != 0.0 => {
                self.error(node, path, format!("must be a whole number, not {number}"));
            }
            Value::Float(_) | Value::Text(_) => {}
            _ => self.wrong(node, path, "a whole number"),
        }
    }

    fn words(&mut self, node: &Node, path: &Path<'_>) {
        match &node.value {
            Value::Text(_) => {}
            Value::List(_) => self.texts(node, path, false),
            _ => self.wrong(node, path, "a string or a list of strings"),
        }
    }

    fn texts(&mut self, node: &Node, path: &Path<'_>, unique: bool) {
        self.items(node, path, |check, item, path| check.text(item, path, "a string"));
        if unique {
            self.twice(node, path);
        }
    }

    fn items(&mut self, node: &Node, path: &Path<'_>, each: impl Fn(&mut Self, &Node, &Path<'_>)) {
        match &node.value {
            Value::List(list) => {
                for (index, item) in list.iter().enumerate() {
                    each(self, item, &path.item(index));
                }
            }
            _ => self.wrong(node, path, "a list"),
        }
    }

    /// The same item a second time.
    fn twice(&mut self, node: &Node, path: &Path<'_>) {
        let list = node.as_list().unwrap_or_default();
        if list.len() < 2 {
            return;
        }
        let mut seen: std::collections::HashMap<String, &Node> = std::collections::HashMap::new();
        for (index, item) in list.iter().enumerate() {
            let text = item.scalar_text().unwrap_or_else(|| format!("{:?}", Bare(item)));
            if let Some(first) = seen.get(&text) {
                let message = "listed twice".to_owned();
                let problem = self.problems.error(item.mark, &path.item(index), message);
                problem.related(first.mark, "first here");
            } else {
                seen.insert(text, item);
            }
        }
    }

    fn pairs(&mut self, node: &Node, path: &Path<'_>) {
        match &node.value {
            Value::Map(map) => {
                for (key, member) in map {
                    if matches!(member.value, Value::Map(_) | Value::List(_)) {
                        self.wrong(member, &path.key(key), "a string, a number, a boolean or null");
                    }
                    if key.is_empty() {
                        self.problems.error(member.key, path, "a name must not be empty");
                    }
                }
            }
            Value::List(_) => self.texts(node, path, true),
            _ => self.wrong(node, path, "a mapping or a list of KEY=VALUE"),
        }
    }

    fn members(&mut self, node: &Node, path: &Path<'_>, kinds: &[Kind], what: &str) {
        match &node.value {
            Value::Map(map) => {
                for (key, member) in map {
                    self.one_of(member, &path.key(key), kinds, what);
                }
            }
            _ => self.wrong(node, path, "a mapping"),
        }
    }

    fn multi_options(&mut self, node: &Node, path: &Path<'_>) {
        let scalar = [Kind::Number, Kind::Text, Kind::Flag];
        let Value::Map(map) = &node.value else {
            self.wrong(node, path, "a mapping");
            return;
        };
        for (key, member) in map {
            let path = path.key(key);
            match &member.value {
                Value::List(_) => self.items(member, &path, |check, item, path| {
                    check.one_of(item, path, &scalar, "a string, a number or a boolean");
                }),
                _ => self.one_of(member, &path, &scalar, "a string, a number or a boolean"),
            }
        }
    }

    fn hosts(&mut self, node: &Node, path: &Path<'_>) {
        match &node.value {
            Value::Map(map) => self.host_members(map, path),
            Value::List(_) => self.texts(node, path, true),
            _ => self.wrong(node, path, "a mapping or a list of NAME=ADDRESS"),
        }
    }

    fn host_members(&mut self, map: &Map, path: &Path<'_>) {
        for (key, member) in map {
            match &member.value {
                Value::List(_) => self.texts(member, &path.key(key), false),
                _ => self.text(member, &path.key(key), "a string or a list of strings"),
            }
        }
    }

    fn ulimit(&mut self, node: &Node, path: &Path<'_>) {
        match &node.value {
            Value::Map(map) => {
                for (key, member) in map {
                    match key.as_str() {
                        "soft" | "hard" => self.int(super::ANY, member, &path.key(key)),
                        key if key.starts_with("x-") => {}
                        _ => self.unknown(key, member, path, &["soft", "hard"]),
                    }
                }
                for name in ["soft", "hard"] {
                    if !map.contains_key(name) {
                        self.error(node, path, format!("{name} is missing"));
                    }
                }
            }
            _ => self.int(super::ANY, node, path),
        }
    }

    fn text(&mut self, node: &Node, path: &Path<'_>, what: &str) {
        self.one_of(node, path, &[Kind::Text], what);
    }

    fn one_of(&mut self, node: &Node, path: &Path<'_>, kinds: &[Kind], what: &str) {
        let kind = match node.value {
            Value::Null => Some(Kind::Null),
            Value::Bool(_) => Some(Kind::Flag),
            Value::Int(_) | Value::Float(_) => Some(Kind::Number),
            Value::Text(_) => Some(Kind::Text),
            Value::List(_) | Value::Map(_) => None,
        };
        if !kind.is_some_and(|kind| kinds.contains(&kind)) {
            self.wrong(node, path, what);
        }
    }

    fn wrong(&mut self, node: &Node, path: &Path<'_>, what: &str) {
        let message = format!("must be {what}, not {}", node.kind());
        let problem = self.problems.error(node.mark, path, message);
        let scalar = matches!(node.value, Value::Bool(_) | Value::Int(_) | Value::Float(_));
        if scalar && what.contains("string") {
            problem.hint("put it in quotes");
        } else if node.is_null() {
            problem.hint("give it a value, or remove the line");
        }
    }

    fn error(&mut self, node: &Node, path: &Path<'_>, message: String) {
        self.problems.error(node.mark, path, message);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Null,
    Flag,
    Number,
    Text,
}

/// A value without its places, to compare.
struct Bare<'a>(&'a Node);

impl std::fmt::Debug for Bare<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0.value {
            Value::List(list) => f.debug_list().entries(list.iter().map(Bare)).finish(),
            Value::Map(map) => {
                f.debug_map().entries(map.iter().map(|(key, node)| (key, Bare(node)))).finish()
            }
            value => value.fmt(f),
        }
    }
}
