//! Tests of the whole room.

mod load;
