//! Reading tar archives as a stream, with limits on all that a stranger could make large.
//!
//! Headers are parsed by the `tar` crate; which entries there are, how long they are and what they
//! are called is decided here, once: an archive that could be read in two ways is refused.

mod entry;
mod pax;
mod reader;
mod sparse;
#[cfg(test)]
mod tests;

pub(crate) use entry::{Entry, Kind};
pub(crate) use reader::TarReader;
pub(crate) use sparse::Segment;
