//! Tests of the whole room.

mod conformance;
mod load;
