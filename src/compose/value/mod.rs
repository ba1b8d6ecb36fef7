//! The small grammars: spans of time, sizes, ports, volumes, command lines.
//!
//! Each is a pure function from text to a value or a sentence that says what is wrong.

mod duration;
mod port;
mod volume;
mod words;

pub(crate) use crate::model::parse_bytes;
pub(crate) use duration::{parse_duration, write_duration};
pub(crate) use port::{ShortPort, parse_ports};
pub(crate) use volume::{clean_path, parse_volume};
pub(crate) use words::split_words;
