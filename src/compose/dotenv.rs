//! The grammar of `.env` and `env_file`.
//!
//! `KEY=VAL`, `KEY: VAL`, `export KEY=VAL`, `KEY` alone (inherited), quotes of both kinds over
//! several lines, comments after ` #`, variables in all but single quotes.

use std::collections::BTreeMap;

use super::limits::MAX_TEXT;
use super::template::{Lookup, TemplateError, substitute};

/// What is wrong in a file, with the line from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DotenvError {
    /// From 1.
    pub(crate) line: u32,
    /// What is wrong.
    pub(crate) message: String,
}

/// Reads a file's variables into `variables`, in order: the last of two wins, and later values may
/// name earlier ones. `outer` comes before them when a value names a variable.
pub(crate) fn parse(
    text: &str,
    outer: &dyn Lookup,
    variables: &mut BTreeMap<String, String>,
) -> Result<(), DotenvError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { rest: text, line: 1, outer, variables, made: 0 };
    while reader.skip_to_statement() {
        reader.statement()?;
    }
    Ok(())
}

/// `format: raw`: what stands after `=` is the value, untouched.
pub(crate) fn parse_raw(
    text: &str,
    outer: &dyn Lookup,
    variables: &mut BTreeMap<String, String>,
) -> Result<(), DotenvError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = match line.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (line, outer.get(line)),
        };
        if key.is_empty() || key.contains(char::is_whitespace) {
            let line = u32::try_from(index + 1).unwrap_or(u32::MAX);
            let message = format!("variable '{key}' contains whitespaces or is empty");
            return Err(DotenvError { line, message });
        }
        if let Some(value) = value {
            variables.insert(key.to_owned(), value);
        }
    }
    Ok(())
}

struct Reader<'a> {
    rest: &'a str,
    line: u32,
    outer: &'a dyn Lookup,
    variables: &'a mut BTreeMap<String, String>,
    /// How much text values have made, in bytes.
    made: usize,
}

/// A space that does not end a line.
fn is_space(c: char) -> bool {
    matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{85}' | '\u{a0}')
}

impl<'a> Reader<'a> {
    /// Goes past empty lines and comments; false at the end.
    fn skip_to_statement(&mut self) -> bool {
        loop {
            let start = self.rest.trim_start();
            let skipped = &self.rest[..self.rest.len() - start.len()];
            self.count_lines(skipped);
            self.rest = start;
            if !start.starts_with('#') {
                return !start.is_empty();
            }
            self.rest = start.find('\n').map_or("", |end| &start[end..]);
        }
    }

    fn count_lines(&mut self, text: &str) {
        let lines = text.bytes().filter(|byte| *byte == b'\n').count();
        self.line = self.line.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
    }

    fn error<T>(&self, message: String) -> Result<T, DotenvError> {
        Err(DotenvError { line: self.line, message })
    }

    fn statement(&mut self) -> Result<(), DotenvError> {
        if let Some(rest) = self.rest.strip_prefix("export")
            && rest.starts_with(char::is_whitespace)
        {
            self.rest = rest.trim_start_matches(is_space);
        }
        let (key, inherited) = self.key()?;
        if key.contains(' ') {
            return self.error("key cannot contain a space".to_owned());
        }
        if inherited {
            if let Some(value) = self.outer.get(&key) {
                self.variables.insert(key, value);
            }
            return Ok(());
        }
        let value = self.value()?;
        self.variables.insert(key, value);
        Ok(())
    }

    /// The key, and whether it stands alone.
    fn key(&mut self) -> Result<(String, bool), DotenvError> {
        let text = self.rest;
        for (at, c) in text.char_indices() {
            match c {
                '=' | ':' | '\n' => {
                    let key = text[..at].trim_end().to_owned();
                    self.rest = text[at + 1..].trim_start_matches(is_space);
                    let inherited = c == '\n';
                    if inherited && !key.contains(' ') {
                        self.line = self.line.saturating_add(1);
                    }
                    return Ok((key, inherited));
                }
                '_' | '.' | '-' | '[' | ']' => {}
                c if is_space(c) || c.is_alphabetic() || c.is_numeric() => {}
                c => {
                    let line = text.lines().next().unwrap_or_default();
                    let message = format!(
                        "unexpected character {:?} in variable name {line:?}",
                        c.to_string()
                    );
                    return self.error(message);
                }
            }
        }
        // A last line without its end is a key like any other.
        self.rest = "";
        Ok((text.trim_end().to_owned(), true))
    }

    fn value(&mut self) -> Result<String, DotenvError> {
        match self.rest.as_bytes().first() {
            Some(quote @ (b'"' | b'\'')) => self.quoted(*quote),
            _ => {
                let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
                let value = line.split(" #").next().unwrap_or_default().trim_end();
                let value = self.expand(value)?;
                self.rest = rest;
                self.line = self.line.saturating_add(1);
                Ok(value)
            }
        }
    }

    fn quoted(&mut self, quote: u8) -> Result<String, DotenvError> {
        let text: &'a str = self.rest;
        let start = self.line;
        let mut value = String::new();
        let mut escaped = false;
        for (at, c) in text.char_indices().skip(1) {
            if c == '\n' {
                self.line = self.line.saturating_add(1);
            }
            if c != char::from(quote) {
                if !escaped && c == '\\' {
                    escaped = true;
                    continue;
                }
                if escaped {
                    escaped = false;
                    value.push('\\');
                }
                value.push(c);
            } else if escaped {
                escaped = false;
                value.push(c);
            } else {
                self.rest = &text[at + 1..];
                return if quote == b'"' { self.expand(&unescape(&value)) } else { Ok(value) };
            }
        }
        self.line = start;
        let line = text.lines().next().unwrap_or_default();
        self.error(format!("unterminated quoted value {line}"))
    }

    fn expand(&mut self, value: &str) -> Result<String, DotenvError> {
        let lookup =
            |name: &str| self.outer.get(name).or_else(|| self.variables.get(name).cloned());
        let made = substitute(value, &lookup, &mut Vec::new())
            .map_err(|error| DotenvError { line: self.line, message: error.to_string() })?;
        self.made += made.len().saturating_sub(value.len());
        if self.made > MAX_TEXT {
            return self.error(TemplateError::TooLong.to_string());
        }
        Ok(made)
    }
}

/// `\n`, `\t`, `\0123` and their like in double quotes. `\$` becomes `$$`, which stays one dollar.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let (replacement, length) = match after.as_bytes().first() {
            Some(b'a') => ("\u{7}".to_owned(), 1),
            Some(b'b') => ("\u{8}".to_owned(), 1),
            Some(b'f') => ("\u{c}".to_owned(), 1),
            Some(b'n') => ("\n".to_owned(), 1),
            Some(b'r') => ("\r".to_owned(), 1),
            Some(b't') => ("\t".to_owned(), 1),
            Some(b'v') => ("\u{b}".to_owned(), 1),
            Some(b'"') => ("\"".to_owned(), 1),
            Some(b'\\') => ("\\".to_owned(), 1),
            Some(b'$') => ("$$".to_owned(), 1),
            Some(b'0') => octal(after),
            _ => ("\\".to_owned(), 0),
        };
        out.push_str(&replacement);
        rest = &after[length..];
    }
    out.push_str(rest);
    out
}

/// `0` and three digits are a character; fewer stay as they are.
fn octal(text: &str) -> (String, usize) {
    let digits: String = text[1..].chars().take(3).take_while(char::is_ascii_digit).collect();
    let length = 1 + digits.len();
    let byte = (digits.len() == 3).then(|| u8::from_str_radix(&digits, 8).ok()).flatten();
    match byte {
        Some(byte) => (char::from(byte).to_string(), length),
        // The zero is lost on the way, as in the reference.
        None => (format!("\\{digits}"), length),
    }
}

#[cfg(test)]
#[path = "tests/dotenv.rs"]
mod tests;
