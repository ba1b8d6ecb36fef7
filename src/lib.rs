//! orca: the container orchestrator for one server.
//!
//! One package, several rooms. The order in which rooms may use each other is written down in
//! `docs/architecture.md` and held by `tests/it/architecture.rs`.

pub mod api;
pub mod cli;
pub mod compose;
pub mod copy;
pub mod daemon;
pub mod demo;
pub mod dns;
pub mod engine;
pub mod image;
pub mod model;
pub mod netd;
pub mod network;
pub mod plan;
pub mod runtime;
pub mod store;
pub mod sys;
pub mod volume;
