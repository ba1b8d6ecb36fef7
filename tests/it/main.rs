//! The program from outside, against this kernel. See `tests/README.md`.

mod architecture;
mod bad_input;
mod daemon_restart;
mod examples;
mod exec_and_logs;
mod hundred;
mod image;
mod naming;
mod quickstart;
mod reconcile;
mod runtime;
mod services;
mod support;
