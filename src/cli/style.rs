//! Colours, where there is somebody to see them.

use std::fmt;

/// A colour of the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    Red,
    Green,
    Yellow,
    Blue,
    Magenta,
    Cyan,
    /// Like the background, nearly.
    Dim,
}

impl Colour {
    /// The number of the "select graphic rendition" sequence (ECMA-48).
    fn number(self) -> u8 {
        match self {
            Self::Dim => 2,
            Self::Red => 31,
            Self::Green => 32,
            Self::Yellow => 33,
            Self::Blue => 34,
            Self::Magenta => 35,
            Self::Cyan => 36,
        }
    }
}

/// Whether an output gets colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style(pub(super) bool);

impl Style {
    /// `text` in a colour.
    pub(super) fn paint<T: fmt::Display>(self, colour: Colour, text: T) -> Painted<T> {
        Painted { colour: self.0.then_some(colour), text }
    }
}

/// Text with a colour.
#[derive(Debug, Clone, Copy)]
pub(super) struct Painted<T> {
    colour: Option<Colour>,
    text: T,
}

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.colour {
            Some(colour) => write!(f, "\x1b[{}m{}\x1b[0m", colour.number(), self.text),
            None => self.text.fmt(f),
        }
    }
}
