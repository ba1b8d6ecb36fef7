//! Decides what to do next, and does none of it.
//!
//! [`plan`] is a pure function of what is agreed, what was observed, and the time: every rule of orca
//! can be tested as values in, values out. A step holds every detail, so that doing it makes no
//! choice; its `Display` is the dry run, the log line and the golden test.

mod step;

pub use step::*;
