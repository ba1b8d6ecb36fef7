//! Makes the host match the plan, for as long as the daemon runs.
//!
//! The loop is level-triggered: every pass observes the host, plans from scratch, commits what was
//! decided and only then acts. A pass that is cut short, fails or repeats is therefore harmless.

mod view;

pub use view::*;
