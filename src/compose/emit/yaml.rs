//! YAML as Go's `yaml.v3` writes it, with two spaces for each level.

use std::cmp::Ordering;

use super::Out;
use crate::compose::tree::{Value, go_float, resolve};

/// A whole document.
pub(crate) fn write_yaml(out: &Out) -> String {
    let mut text = String::new();
    match out {
        Out::Map(map) if !map.is_empty() => members(map, 0, &mut text),
        Out::List(list) if !list.is_empty() => items(list, 0, &mut text),
        other => {
            inline(other, 0, &mut text);
            text.push('\n');
        }
    }
    text
}

fn members(map: &[(String, Out)], level: usize, text: &mut String) {
    for (index, (key, value)) in map.iter().enumerate() {
        // The first member of an item of a list stands on the line of the dash.
        if index > 0 || !text.ends_with("- ") {
            indent(level, text);
        }
        scalar(key, level, true, text);
        text.push(':');
        after_key(value, level, text);
    }
}

fn after_key(value: &Out, level: usize, text: &mut String) {
    match value {
        Out::Map(map) if !map.is_empty() => {
            text.push('\n');
            members(map, level + 1, text);
        }
        Out::List(list) if !list.is_empty() => {
            text.push('\n');
            items(list, level + 1, text);
        }
        other => {
            text.push(' ');
            inline(other, level, text);
            text.push('\n');
        }
    }
}

fn items(list: &[Out], level: usize, text: &mut String) {
    for (index, item) in list.iter().enumerate() {
        if index > 0 || !text.ends_with("- ") {
            indent(level, text);
        }
        text.push_str("- ");
        match item {
            Out::Map(map) if !map.is_empty() => members(map, level + 1, text),
            Out::List(list) if !list.is_empty() => items(list, level + 1, text),
            other => {
                inline(other, level, text);
                text.push('\n');
            }
        }
    }
}

fn indent(level: usize, text: &mut String) {
    text.extend(std::iter::repeat_n("  ", level));
}

fn inline(value: &Out, level: usize, text: &mut String) {
    match value {
        Out::Null => text.push_str("null"),
        Out::Bool(flag) => text.push_str(if *flag { "true" } else { "false" }),
        Out::Int(number) => text.push_str(&number.to_string()),
        Out::Float(number) => text.push_str(&float(*number)),
        Out::Text(string) => scalar(string, level, false, text),
        Out::List(_) => text.push_str("[]"),
        Out::Map(_) => text.push_str("{}"),
    }
}

fn float(number: f64) -> String {
    match go_float(number).as_str() {
        "+Inf" => ".inf".to_owned(),
        "-Inf" => "-.inf".to_owned(),
        "NaN" => ".nan".to_owned(),
        // `1e+06` for a million, as the library does for 32 bits.
        other => other.to_owned(),
    }
}

/// The forms that text may take.
#[derive(Debug, Default)]
struct Allowed {
    plain: bool,
    single: bool,
    block: bool,
}

fn scalar(string: &str, level: usize, is_key: bool, text: &mut String) {
    if string.is_empty() {
        text.push_str("\"\"");
        return;
    }
    let allowed = analyse(string);
    if string.contains('\n') && !is_key {
        if allowed.block {
            literal(string, level, text);
        } else {
            double(string, text);
        }
    } else if string.contains('\n') || means_something_else(string) {
        double(string, text);
    } else if allowed.plain {
        text.push_str(string);
    } else if allowed.single {
        text.push('\'');
        text.push_str(&string.replace('\'', "''"));
        text.push('\'');
    } else {
        double(string, text);
    }
}

/// Whether plain text would be read as something other than text, by this or an older YAML.
fn means_something_else(string: &str) -> bool {
    !matches!(resolve(string), Value::Text(_))
        || matches!(
            string,
            "y" | "Y"
                | "yes"
                | "Yes"
                | "YES"
                | "on"
                | "On"
                | "ON"
                | "n"
                | "N"
                | "no"
                | "No"
                | "NO"
                | "off"
                | "Off"
                | "OFF"
        )
        || is_sexagesimal(string)
        || is_timestamp(string)
}

/// `[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?`
fn is_sexagesimal(string: &str) -> bool {
    let string = string.strip_prefix(['-', '+']).unwrap_or(string);
    let mut parts = string.split(':');
    let first = parts.next().unwrap_or_default();
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    if !first.starts_with(|c: char| c.is_ascii_digit()) || !digits(first) {
        return false;
    }
    let rest: Vec<&str> = parts.collect();
    let Some((last, middle)) = rest.split_last() else { return false };
    let (last, fraction) = last.split_once('.').map_or((*last, ""), |(last, rest)| (last, rest));
    let minute = |text: &str| matches!(text.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9']);
    middle.iter().all(|part| minute(part)) && minute(last) && digits(fraction)
}

/// `2001-1-1`, with or without a time.
fn is_timestamp(string: &str) -> bool {
    let Some((date, time)) = string.find(['T', 't', ' ']).map_or(Some((string, None)), |at| {
        Some((&string[..at], Some((string.as_bytes()[at], &string[at + 1..]))))
    }) else {
        return false;
    };
    let parts: Vec<&str> = date.split('-').collect();
    let [year, month, day] = parts[..] else { return false };
    let within = |text: &str, most: u32| {
        let fits = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        fits && text.parse().is_ok_and(|number: u32| (1..=most).contains(&number))
    };
    let year_fits = year.len() == 4 && year.bytes().all(|byte| byte.is_ascii_digit());
    if !year_fits || !within(month, 12) || !within(day, 31) {
        return false;
    }
    let Some((separator, time)) = time else { return true };
    let zone = time.find(['Z', '+', '-']);
    match (separator, zone) {
        (b' ', None) => is_time(time),
        (b' ', Some(_)) | (_, None) => false,
        (_, Some(at)) => {
            let (time, zone) = time.split_at(at);
            is_time(time) && (zone == "Z" || (zone.len() == 6 && zone.as_bytes()[3] == b':'))
        }
    }
}

fn is_time(text: &str) -> bool {
    let text = text.split_once('.').map_or(text, |(time, _)| time);
    let parts: Vec<&str> = text.split(':').collect();
    let within = |text: &str, most: u32| text.parse().is_ok_and(|number: u32| number <= most);
    matches!(parts[..], [h, m, s] if within(h, 23) && within(m, 59) && within(s, 59))
}

fn analyse(string: &str) -> Allowed {
    let chars: Vec<char> = string.chars().collect();
    let last = chars.len().saturating_sub(1);
    let blank_at = |index: usize| chars.get(index).is_none_or(|c| is_blank_or_break(*c));
    let mut indicators = string.starts_with("---") || string.starts_with("...");
    let (mut tabs, mut special, mut breaks) = (false, false, false);
    let (mut break_space, mut space_break) = (false, false);
    let (mut after_space, mut after_break) = (false, false);
    for (index, c) in chars.iter().copied().enumerate() {
        indicators |= match (c, index) {
            ('#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>', 0) => true,
            ('\'' | '"' | '%' | '@' | '`', 0) => true,
            ('?' | ':' | '-', 0) | (':', _) => blank_at(index + 1),
            ('#', _) => blank_at(index - 1),
            _ => false,
        };
        match c {
            '\t' => tabs = true,
            c if !is_printable(c) => special = true,
            _ => {}
        }
        let (space, line_break) = (c == ' ', is_break(c));
        breaks |= line_break;
        break_space |= space && after_break;
        space_break |= line_break && after_space;
        (after_space, after_break) = (space, line_break);
    }
    let edge = |index: usize| chars.get(index).is_some_and(|c| *c == ' ' || is_break(*c));
    Allowed {
        plain: !(indicators || edge(0) || edge(last) || breaks || break_space)
            && !(space_break || tabs || special),
        single: !(break_space || space_break || tabs || special),
        block: !(space_break || special || chars.last() == Some(&' ')),
    }
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_blank_or_break(c: char) -> bool {
    matches!(c, ' ' | '\t') || is_break(c)
}

fn is_printable(c: char) -> bool {
    matches!(c, '\n' | '\u{20}'..='\u{7e}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}')
        && c != '\u{feff}'
}

fn literal(string: &str, level: usize, text: &mut String) {
    text.push('|');
    if string.starts_with([' ', '\n']) {
        text.push('2');
    }
    if !string.ends_with('\n') {
        text.push('-');
    } else if string == "\n" || string.ends_with("\n\n") {
        text.push('+');
    }
    text.push('\n');
    let body = string.strip_suffix('\n').unwrap_or(string);
    for (index, line) in body.split('\n').enumerate() {
        if index > 0 {
            text.push('\n');
        }
        if !line.is_empty() {
            indent(level + 1, text);
            text.push_str(line);
        }
    }
}

fn double(string: &str, text: &mut String) {
    text.push('"');
    for c in string.chars() {
        match c {
            '\0' => text.push_str("\\0"),
            '\u{7}' => text.push_str("\\a"),
            '\u{8}' => text.push_str("\\b"),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\u{b}' => text.push_str("\\v"),
            '\u{c}' => text.push_str("\\f"),
            '\r' => text.push_str("\\r"),
            '\u{1b}' => text.push_str("\\e"),
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\u{85}' => text.push_str("\\N"),
            '\u{2028}' => text.push_str("\\L"),
            '\u{2029}' => text.push_str("\\P"),
            c if is_printable(c) => text.push(c),
            c => escape(c, text),
        }
    }
    text.push('"');
}

/// `\x1F`, `\uFEFF` or `\U0010FFFF`.
fn escape(c: char, text: &mut String) {
    let code = u32::from(c);
    let (letter, digits) = match code {
        0..=0xff => ('x', 2),
        0x100..=0xffff => ('u', 4),
        _ => ('U', 8),
    };
    text.push('\\');
    text.push(letter);
    text.push_str(&format_args!("{code:0digits$X}").to_string());
}

/// The order of keys: letters after other signs, numbers by their value.
pub(super) fn natural(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut digits = false;
    for i in 0..a.len().min(b.len()) {
        if a[i] == b[i] {
            digits = a[i].is_numeric();
            continue;
        }
        return match (a[i].is_alphabetic(), b[i].is_alphabetic()) {
            (true, true) => a[i].cmp(&b[i]),
            (true, false) => {
                if digits {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
            (false, true) => {
                if digits {
                    Ordering::Greater
                } else {
                    Ordering::Less
                }
            }
            (false, false) => numbers(&a, &b, i),
        };
    }
    a.len().cmp(&b.len())
}

fn numbers(a: &[char], b: &[char], at: usize) -> Ordering {
    let mut start = 0u128;
    if a[at] == '0' || b[at] == '0' {
        let before = a[..at].iter().rev().take_while(|c| c.is_ascii_digit());
        if before.into_iter().any(|c| *c != '0') {
            start = 1;
        }
    }
    let number = |chars: &[char]| {
        let digits: Vec<u128> =
            chars[at..].iter().map_while(|c| c.to_digit(10)).map(u128::from).collect();
        let value =
            digits.iter().fold(start, |sum, digit| sum.saturating_mul(10).saturating_add(*digit));
        (value, digits.len())
    };
    number(a).cmp(&number(b)).then(a[at].cmp(&b[at]))
}
