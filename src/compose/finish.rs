//! The last form of every value: spans of time as Go writes them, bytes as digits, commands as
//! words, variables and labels as mappings. What equals nothing goes away.

use super::diagnostic::Problems;
use super::interpolate::to_bool;
use super::schema::{Object, PROJECT, Shape};
use super::tree::{Map, Node, Path, Value};
use super::value::{parse_bytes, parse_duration, split_words, write_duration};

/// Finishes a whole canonical document.
pub(crate) fn finish(root: &mut Node, problems: &mut Problems) {
    Finish { problems }.object(&PROJECT, root, &Path::ROOT);
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
            Shape::Dropped => Drop,
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
            Shape::Int(_) => match self.int(node, path) {
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
            Shape::Bytes | Shape::ByteText => self.bytes(node, path),
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
            Shape::TextOr(other) => self.shape(other, node, path),
            Shape::Ulimit => self.ulimit(node, path),
        }
    }

    fn flag(&mut self, node: &mut Node, path: &Path<'_>) -> Option<bool> {
        if let Value::Text(text) = &node.value {
            match to_bool(text) {
                Ok((flag, warning)) => {
                    node.value = Value::Bool(flag);
                    if let Some(warning) = warning {
                        self.problems.warning(node.mark, path, warning);
                    }
                }
                Err(message) => {
                    self.problems.error(node.mark, path, message);
                }
            }
        }
        match node.value {
            Value::Bool(flag) => Some(flag),
            _ => None,
        }
    }

    fn int(&mut self, node: &mut Node, path: &Path<'_>) -> Option<i64> {
        let number = match &node.value {
            Value::Int(number) => i64::try_from(*number).ok(),
            #[expect(clippy::cast_possible_truncation, reason = "as docker compose does")]
            Value::Float(number) => Some(*number as i64),
            Value::Text(text) => text.parse().ok(),
            Value::Null => return None,
            _ => None,
        };
        match number {
            Some(number) => node.value = Value::Int(number.into()),
            None => {
                let what = node.scalar_text().unwrap_or_default();
                let message = format!("{what:?} is not a whole number");
                self.problems.error(node.mark, path, message);
            }
        }
        number
    }

    fn count(&mut self, node: &mut Node, path: &Path<'_>) -> Outcome {
        if node.as_text().is_some_and(|text| text.eq_ignore_ascii_case("all")) {
            node.value = Value::Int(-1);
        }
        match self.int(node, path) {
            Some(0) | None => Drop,
            Some(_) => Keep,
        }
    }

    /// Numbers with a fraction have the precision of 32 bits, as docker compose has them.
    fn float(&mut self, node: &mut Node, path: &Path<'_>) -> Outcome {
        #[expect(clippy::cast_precision_loss, reason = "as docker compose does")]
        let number = match &node.value {
            Value::Int(number) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            Value::Text(text) => text.parse().ok(),
            _ => None,
        };
        let Some(number) = number.filter(|number| number.is_finite()) else {
            let what = node.scalar_text().unwrap_or_default();
            self.problems.error(node.mark, path, format!("{what:?} is not a number"));
            return Keep;
        };
        #[expect(clippy::cast_possible_truncation, reason = "as docker compose does")]
        let short = number as f32;
        node.value = Value::Float(short.to_string().parse().unwrap_or(number));
        if number == 0.0 { Drop } else { Keep }
    }

    fn bytes(&mut self, node: &mut Node, path: &Path<'_>) -> Outcome {
        let bytes = match &node.value {
            Value::Int(number) => i64::try_from(*number).map_err(|_| "too large".to_owned()),
            Value::Text(text) => parse_bytes(text),
            Value::Float(number) => Err(format!("invalid size {number}: not a whole number")),
            _ => return Drop,
        };
        match bytes {
            Ok(0) => return Drop,
            Ok(bytes) => node.value = Value::Text(bytes.to_string()),
            Err(message) => {
                self.problems.error(node.mark, path, message);
            }
        }
        Keep
    }

    fn duration(&mut self, node: &mut Node, path: &Path<'_>, zero_is_nothing: bool) -> Outcome {
        let Some(text) = node.as_text() else { return Drop };
        match parse_duration(text) {
            Ok(duration) if duration.is_zero() && zero_is_nothing => return Drop,
            Ok(duration) => node.value = Value::Text(write_duration(duration)),
            Err(message) => {
                self.problems.error(node.mark, path, message);
            }
        }
        Keep
    }

    fn words(&mut self, node: &mut Node, path: &Path<'_>) -> Outcome {
        if let Value::Text(line) = &node.value {
            match split_words(line) {
                Ok(words) => {
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

    fn file_mode(&mut self, node: &mut Node, path: &Path<'_>) -> Outcome {
        let mode = match &node.value {
            Value::Int(number) => i64::try_from(*number).ok(),
            Value::Text(text) => i64::from_str_radix(text, 8).ok(),
            _ => None,
        };
        match mode.filter(|mode| (0..=0o7777).contains(mode)) {
            Some(mode) => node.value = Value::Text(format!("0{mode:o}")),
            None => {
                let what = node.scalar_text().unwrap_or_default();
                let message = format!("invalid mode {what:?}: must be octal, as in 0440");
                self.problems.error(node.mark, path, message);
            }
        }
        Keep
    }

    /// `KEY=VALUE` lines as a mapping.
    fn pairs(&mut self, node: &mut Node, path: &Path<'_>, keep_null: bool) {
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

    fn hosts(&mut self, node: &mut Node, path: &Path<'_>) {
        let mut hosts: Vec<(String, String, super::tree::Mark)> = Vec::new();
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

    fn ulimit(&mut self, node: &mut Node, path: &Path<'_>) -> Outcome {
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
