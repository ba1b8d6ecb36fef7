//! The agreed state on disk: commands in, state out.
//!
//! `apply` is pure and deterministic; the log and its snapshots survive a kill at any instruction.
