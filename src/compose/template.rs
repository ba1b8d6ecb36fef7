//! Variables in text: `$V`, `${V}`, `${V:-default}` and the other five operators, nested.
//!
//! The reference is a regular expression with a greedy tail, so a closing brace is looked for as it
//! does: up to the last `}` of the line, then back to where the braces balance.

use std::collections::BTreeMap;

use super::limits::MAX_TEXT;

/// What a variable is, by name.
pub(crate) trait Lookup {
    /// The value; `None` if the variable is not set.
    fn get(&self, name: &str) -> Option<String>;
}

impl<F: Fn(&str) -> Option<String>> Lookup for F {
    fn get(&self, name: &str) -> Option<String> {
        self(name)
    }
}

/// Why text with variables has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TemplateError {
    /// The text is not of the form.
    Invalid(String),
    /// `${V:?reason}` and there is no value.
    Missing { name: String, reason: String },
    /// Braces within braces without end.
    TooDeep,
    /// Values within values without end.
    TooLong,
}

impl std::fmt::Display for TemplateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Invalid(text) => write!(f, "invalid interpolation format {text:?}"),
            Self::Missing { name, reason } if reason.is_empty() => {
                write!(f, "required variable {name} is missing a value")
            }
            Self::Missing { name, reason } => {
                write!(f, "required variable {name} is missing a value: {reason}")
            }
            Self::TooDeep => f.write_str("variables are nested too deep"),
            Self::TooLong => write!(f, "variables make this longer than {} MiB", MAX_TEXT >> 20),
        }
    }
}

const MAX_DEPTH: usize = 50;

/// One reference to a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference<'a> {
    /// The variable.
    pub(crate) name: &'a str,
    /// The operator and what follows it.
    pub(crate) operation: Option<(Operator, &'a str)>,
}

/// What to do with a variable's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    /// `:-`
    DefaultIfEmpty,
    /// `-`
    DefaultIfUnset,
    /// `:?`
    RequiredNotEmpty,
    /// `?`
    Required,
    /// `:+`
    AlternativeIfNotEmpty,
    /// `+`
    AlternativeIfSet,
}

/// One part of a text.
#[derive(Debug, PartialEq, Eq)]
enum Part<'a> {
    Literal(&'a str),
    Reference(Reference<'a>),
    /// Not of the form.
    Invalid,
}

/// The text with every variable replaced. Names of unset variables without a default go to `unset`.
pub(crate) fn substitute(
    text: &str,
    lookup: &dyn Lookup,
    unset: &mut Vec<String>,
) -> Result<String, TemplateError> {
    expand(text, lookup, unset, 0)
}

fn expand(
    text: &str,
    lookup: &dyn Lookup,
    unset: &mut Vec<String>,
    depth: usize,
) -> Result<String, TemplateError> {
    if !text.contains('$') {
        return Ok(text.to_owned());
    }
    if depth > MAX_DEPTH {
        return Err(TemplateError::TooDeep);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let (part, after) = next(rest);
        rest = after;
        match part {
            Part::Literal(literal) => out.push_str(literal),
            Part::Invalid => return Err(TemplateError::Invalid(text.to_owned())),
            Part::Reference(reference) => {
                out.push_str(&value(&reference, lookup, unset, depth)?);
            }
        }
        if out.len() > MAX_TEXT {
            return Err(TemplateError::TooLong);
        }
    }
    Ok(out)
}

fn value(
    reference: &Reference<'_>,
    lookup: &dyn Lookup,
    unset: &mut Vec<String>,
    depth: usize,
) -> Result<String, TemplateError> {
    let name = reference.name;
    let found = lookup.get(name);
    let Some((operator, word)) = reference.operation else {
        return Ok(found.unwrap_or_else(|| {
            unset.push(name.to_owned());
            String::new()
        }));
    };
    // The word is read even when it is not used: what is wrong in it is wrong always.
    let word = expand(word, lookup, unset, depth + 1)?;
    let missing = |reason| TemplateError::Missing { name: name.to_owned(), reason };
    match (operator, found) {
        (Operator::DefaultIfEmpty, Some(value)) if !value.is_empty() => Ok(value),
        (Operator::DefaultIfUnset, Some(value)) => Ok(value),
        (Operator::DefaultIfEmpty | Operator::DefaultIfUnset, _) => Ok(word),
        (Operator::RequiredNotEmpty, Some(value)) if !value.is_empty() => Ok(value),
        (Operator::Required, Some(value)) => Ok(value),
        (Operator::RequiredNotEmpty | Operator::Required, _) => Err(missing(word)),
        (Operator::AlternativeIfNotEmpty, Some(value)) if value.is_empty() => Ok(value),
        (Operator::AlternativeIfNotEmpty | Operator::AlternativeIfSet, Some(_)) => Ok(word),
        (Operator::AlternativeIfNotEmpty | Operator::AlternativeIfSet, None) => Ok(String::new()),
    }
}

/// The first part of a text, and the rest.
fn next(text: &str) -> (Part<'_>, &str) {
    let Some(dollar) = text.find('$') else { return (Part::Literal(text), "") };
    if dollar > 0 {
        return (Part::Literal(&text[..dollar]), &text[dollar..]);
    }
    let after = &text[1..];
    match after.as_bytes().first() {
        Some(b'$') => (Part::Literal("$"), &after[1..]),
        Some(b'{') => braced(text),
        Some(byte) if is_name_start(*byte) => {
            let end = name_end(after);
            let reference = Reference { name: &after[..end], operation: None };
            (Part::Reference(reference), &after[end..])
        }
        _ => (Part::Literal("$"), after),
    }
}

/// `${…}` at the start of a text.
fn braced(text: &str) -> (Part<'_>, &str) {
    let inside = &text[2..];
    if !inside.as_bytes().first().copied().is_some_and(is_name_start) {
        return (Part::Invalid, "");
    }
    let end = name_end(inside);
    let (name, tail) = inside.split_at(end);
    if let Some(rest) = tail.strip_prefix('}') {
        return (Part::Reference(Reference { name, operation: None }), rest);
    }
    let Some((operator, length)) = operator(tail) else { return (Part::Invalid, "") };
    let Some(close) = closing(text).or_else(|| last_brace(text)) else {
        return (Part::Invalid, "");
    };
    if close < 2 + end + length {
        return (Part::Invalid, "");
    }
    let word = &text[2 + end + length..close];
    (Part::Reference(Reference { name, operation: Some((operator, word)) }), &text[close + 1..])
}

/// The last closing brace of the line.
fn last_brace(text: &str) -> Option<usize> {
    text.lines().next()?.rfind('}')
}

/// Where the first brace is closed again, on the same line. The character after an opening brace
/// does not count.
fn closing(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut open, mut at) = (0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'}' => {
                open -= 1;
                if open == 0 {
                    return Some(at);
                }
            }
            b'{' => {
                open += 1;
                at += 1;
                if bytes.get(at) == Some(&b'\n') {
                    return None;
                }
            }
            b'\n' => return None,
            _ => {}
        }
        at += 1;
    }
    None
}

fn operator(text: &str) -> Option<(Operator, usize)> {
    let operator = match text.as_bytes() {
        [b':', b'-', ..] => (Operator::DefaultIfEmpty, 2),
        [b':', b'?', ..] => (Operator::RequiredNotEmpty, 2),
        [b':', b'+', ..] => (Operator::AlternativeIfNotEmpty, 2),
        [b'-', ..] => (Operator::DefaultIfUnset, 1),
        [b'?', ..] => (Operator::Required, 1),
        [b'+', ..] => (Operator::AlternativeIfSet, 1),
        _ => return None,
    };
    Some(operator)
}

fn is_name_start(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphabetic()
}

fn name_end(text: &str) -> usize {
    text.bytes()
        .position(|byte| !(byte == b'_' || byte.is_ascii_alphanumeric()))
        .unwrap_or(text.len())
}

/// What a file says about a variable.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Variable {
    /// The variable.
    #[serde(rename = "Name")]
    pub name: String,
    /// The value it has when it is not set.
    #[serde(rename = "DefaultValue")]
    pub default_value: String,
    /// The value that stands for it when it is set.
    #[serde(rename = "PresenceValue")]
    pub presence_value: String,
    /// Whether it must be set.
    #[serde(rename = "Required")]
    pub required: bool,
}

/// Adds the variables that a text names.
pub(crate) fn variables(text: &str, found: &mut BTreeMap<String, Variable>) {
    collect(text, found, 0);
}

fn collect(text: &str, found: &mut BTreeMap<String, Variable>, depth: usize) {
    let mut rest = text;
    while !rest.is_empty() && depth <= MAX_DEPTH {
        let (part, after) = next(rest);
        rest = after;
        let Part::Reference(reference) = part else { continue };
        let mut variable = Variable { name: reference.name.to_owned(), ..Variable::default() };
        if let Some((operator, word)) = reference.operation {
            match operator {
                Operator::DefaultIfEmpty | Operator::DefaultIfUnset => {
                    word.clone_into(&mut variable.default_value);
                }
                Operator::RequiredNotEmpty | Operator::Required => variable.required = true,
                Operator::AlternativeIfNotEmpty | Operator::AlternativeIfSet => {
                    word.clone_into(&mut variable.presence_value);
                }
            }
            collect(word, found, depth + 1);
        }
        found.insert(variable.name.clone(), variable);
    }
}

#[cfg(test)]
#[path = "tests/template.rs"]
mod tests;
