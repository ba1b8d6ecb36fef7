//! Whether anybody still waits for what is done on a thread of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whoever waits for an answer; dropped with the call, when they go.
#[derive(Debug)]
pub(super) struct Caller(Arc<AtomicBool>);

/// Knows whether they have gone.
#[derive(Debug)]
pub(super) struct Gone(Arc<AtomicBool>);

impl Caller {
    pub(super) fn new() -> (Self, Gone) {
        let gone = Arc::<AtomicBool>::default();
        (Self(gone.clone()), Gone(gone))
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Gone {
    pub(super) fn is_so(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
