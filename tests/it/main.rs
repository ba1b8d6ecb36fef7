//! The program from outside, against this kernel. See `tests/README.md`.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test that cannot go on panics, runs the programs a user runs, and says what it saw"
)]

mod architecture;
mod attributes;
mod bad_input;
mod copying;
mod daemon_restart;
mod examples;
mod exec_and_logs;
mod hundred;
mod image;
mod image_collection;
mod image_commands;
mod image_hostile;
mod naming;
mod one_off;
mod quickstart;
mod reconcile;
mod registry;
mod runtime;
mod services;
mod stack_verbs;
mod start_faults;
mod stress;
mod support;
