//! Cases, each from a clause of the runtime specification (version 1.2).

pub(crate) mod hooks;
pub(crate) mod life;
pub(crate) mod linux;
pub(crate) mod mounts;
pub(crate) mod process;

use crate::bed::{Bed, Held};

/// One thing that must be so.
pub(crate) struct Case {
    /// What, as a sentence.
    pub(crate) name: &'static str,
    /// Where the specification says so.
    pub(crate) clause: &'static str,
    /// Whether it is.
    pub(crate) check: fn(&Bed) -> Held,
}

/// All cases.
pub(crate) fn all() -> Vec<&'static [Case]> {
    vec![life::CASES, process::CASES, mounts::CASES, linux::CASES, hooks::CASES]
}
