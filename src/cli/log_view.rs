//! Log lines as people read them: `web-1  | hello`.

use std::collections::BTreeMap;

use super::format;
use super::style::{Colour, Style};
use crate::api::LogEntry;

/// The longest line that is put together from parts.
const LONGEST: usize = 1 << 20;

const COLOURS: [Colour; 6] =
    [Colour::Cyan, Colour::Yellow, Colour::Green, Colour::Magenta, Colour::Blue, Colour::Red];

/// How to show lines, and what is needed to go on.
#[derive(Debug)]
pub(super) struct LogView {
    style: Style,
    prefix: bool,
    timestamps: bool,
    /// The widest name so far.
    width: usize,
    /// The colours given out, by container.
    colours: BTreeMap<String, Colour>,
    /// Lines whose end has not come yet, by container and output.
    parts: BTreeMap<(String, bool), Vec<u8>>,
}

impl LogView {
    /// With the names of containers in front unless `prefix` is off.
    pub(super) fn new(style: Style, prefix: bool, timestamps: bool) -> Self {
        let (colours, parts) = (BTreeMap::new(), BTreeMap::new());
        Self { style, prefix, timestamps, width: 0, colours, parts }
    }

    /// Makes room for this container's name, so that all lines are in one column from the first on.
    pub(super) fn expect(&mut self, container: &str, stack: &str) {
        self.width = self.width.max(short(container, stack).chars().count());
    }

    /// Appends what is to be printed for an entry; nothing while a line goes on.
    pub(super) fn render(&mut self, entry: &LogEntry, into: &mut Vec<u8>) {
        let stderr = entry.line.stream == crate::api::control::OutputStream::Stderr;
        let key = (entry.container.clone(), stderr);
        let begun = self.parts.remove(&key);
        let line = match begun {
            Some(begun) => [begun.as_slice(), &entry.line.line].concat(),
            None => entry.line.line.clone(),
        };
        if entry.line.partial && line.len() < LONGEST {
            self.parts.insert(key, line);
            return;
        }
        into.extend_from_slice(self.head(entry).as_bytes());
        into.extend_from_slice(&line);
        into.push(b'\n');
    }

    fn head(&mut self, entry: &LogEntry) -> String {
        let mut head = String::new();
        if self.prefix {
            self.expect(&entry.container, &entry.stack);
            let name = short(&entry.container, &entry.stack);
            let colour = self.colour(&entry.container);
            let name = format!("{name:width$}  | ", width = self.width);
            head.push_str(&self.style.paint(colour, name).to_string());
        }
        if self.timestamps {
            head.push_str(&format::rfc3339(entry.line.time));
            head.push(' ');
        }
        head
    }

    fn colour(&mut self, container: &str) -> Colour {
        if let Some(colour) = self.colours.get(container) {
            return *colour;
        }
        let colour = COLOURS[self.colours.len() % COLOURS.len()];
        self.colours.insert(container.to_owned(), colour);
        colour
    }
}

/// `shop-web-1` of stack `shop` is `web-1`.
fn short<'a>(container: &'a str, stack: &str) -> &'a str {
    container.strip_prefix(stack).and_then(|rest| rest.strip_prefix('-')).unwrap_or(container)
}

#[cfg(test)]
mod tests;
