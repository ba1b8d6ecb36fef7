//! orca against the real kernel. The tests run in parallel, each in an instance of its own.

mod runtime;
