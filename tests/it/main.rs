//! orca against the real kernel. The tests run in parallel, each in an instance of its own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod runtime;
