//! Tests of the whole room.

mod conformance;
mod hostile;
mod load;
mod support;
