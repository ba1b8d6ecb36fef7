//! JSON as Go's `encoding/json` writes it.

use super::Out;

/// With two spaces for each level.
pub(crate) fn write_json(out: &Out) -> String {
    let mut text = String::new();
    value(out, Some(0), &mut text);
    text
}

/// Without spaces.
pub(crate) fn write_compact(out: &Out) -> String {
    let mut text = String::new();
    value(out, None, &mut text);
    text
}

fn value(out: &Out, level: Option<usize>, text: &mut String) {
    match out {
        Out::Null => text.push_str("null"),
        Out::Bool(flag) => text.push_str(if *flag { "true" } else { "false" }),
        Out::Int(number) => text.push_str(&number.to_string()),
        Out::Float(number) => text.push_str(&float(*number)),
        Out::Text(string) => quoted(string, text),
        Out::List(list) => collection(('[', ']'), list.len(), level, text, |index, level, text| {
            value(&list[index], level, text);
        }),
        Out::Map(map) => collection(('{', '}'), map.len(), level, text, |index, level, text| {
            let (key, member) = &map[index];
            quoted(key, text);
            text.push_str(if level.is_some() { ": " } else { ":" });
            value(member, level, text);
        }),
    }
}

fn collection(
    (open, close): (char, char),
    length: usize,
    level: Option<usize>,
    text: &mut String,
    each: impl Fn(usize, Option<usize>, &mut String),
) {
    text.push(open);
    let inner = level.map(|level| level + 1);
    for index in 0..length {
        if index > 0 {
            text.push(',');
        }
        new_line(inner, text);
        each(index, inner, text);
    }
    if length > 0 {
        new_line(level, text);
    }
    text.push(close);
}

fn new_line(level: Option<usize>, text: &mut String) {
    if let Some(level) = level {
        text.push('\n');
        text.extend(std::iter::repeat_n("  ", level));
    }
}

fn quoted(string: &str, text: &mut String) {
    text.push('"');
    for c in string.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                text.extend(escape(c));
            }
            c => text.push(c),
        }
    }
    text.push('"');
}

/// Four digits after `\u`.
fn escape(c: char) -> impl Iterator<Item = char> {
    let code = u32::from(c);
    let digit = move |shift: u32| char::from_digit((code >> shift) & 0xf, 16).unwrap_or('0');
    ['\\', 'u', digit(12), digit(8), digit(4), digit(0)].into_iter()
}

/// Without an exponent from 1e-6 to 1e21.
fn float(number: f64) -> String {
    let size = number.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let scientific = format!("{number:e}");
        return match scientific.split_once("e-") {
            Some((mantissa, exponent)) => format!("{mantissa}e-{exponent:0>2}"),
            None => scientific.replace('e', "e+"),
        };
    }
    format!("{number}")
}
