//! YAML as the value that JSON would be: the only file here that knows the parser.

use granit_parser::{Event, Options, Parser, ScalarStyle};
use serde_json::{Map, Value};

/// The most values of a description, and their deepest nesting.
const MAX_VALUES: usize = 100_000;
const MAX_DEPTH: usize = 64;

/// A collection whose end has not come yet.
enum Open {
    List(Vec<Value>),
    Map(Map<String, Value>, Option<String>),
}

/// The first document of a text.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    let mut open: Vec<Open> = Vec::new();
    for (count, event) in Parser::new_from_str_with_options(text, options).enumerate() {
        let (event, _) = event.map_err(|error| {
            format!("line {}: invalid YAML: {}", error.marker().line(), error.info())
        })?;
        if count > MAX_VALUES || open.len() > MAX_DEPTH {
            return Err("it is too large".to_owned());
        }
        let done = match event {
            Event::Scalar(text, style, ..) => {
                Some(scalar(&text, matches!(style, ScalarStyle::Plain)))
            }
            Event::Alias(_) => return Err("aliases are not known in a description".to_owned()),
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                None
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(Map::new(), None));
                None
            }
            Event::SequenceEnd | Event::MappingEnd => open.pop().map(|done| match done {
                Open::List(list) => Value::Array(list),
                Open::Map(map, _) => Value::Object(map),
            }),
            _ => None,
        };
        let Some(value) = done else { continue };
        match open.last_mut() {
            None => return Ok(value),
            Some(Open::List(list)) => list.push(value),
            Some(Open::Map(map, key)) => match key.take() {
                Some(key) => drop(map.insert(key, value)),
                None => {
                    *key = Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned));
                }
            },
        }
    }
    Err("it is empty".to_owned())
}

/// Plain words are numbers and the like where they can be, as in YAML's core schema.
fn scalar(text: &str, plain: bool) -> Value {
    if !plain {
        return Value::from(text);
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::from(true),
        "false" | "False" | "FALSE" => Value::from(false),
        _ => number(text).map_or_else(|| Value::from(text), Value::from),
    }
}

fn number(text: &str) -> Option<i64> {
    if let Some(digits) = text.strip_prefix("0x") {
        return i64::from_str_radix(digits, 16).ok();
    }
    let octal = text.strip_prefix("0o").or_else(|| text.strip_prefix('0'));
    match octal.filter(|digits| !digits.is_empty()) {
        Some(digits) => i64::from_str_radix(digits, 8).ok(),
        None => text.parse().ok(),
    }
}
