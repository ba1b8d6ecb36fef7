//! `orca oci` against the runtime specification, each case with its clause; the same cases against
//! runc and crun as a second opinion; hostile bundles; and podman and docker with orca as their
//! runtime. See `tests/README.md`.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test that cannot go on panics, runs the programs a user runs, and says what it saw"
)]

mod bed;
mod cases;
mod console;
mod docker;
mod hostile;
mod opinion;
mod podman;
mod profile;
mod runtime;

use bed::Bed;
use cases::Case;
use runtime::Runtime;

/// Runs the cases against orca; each must hold.
fn check(cases: &[Case]) {
    let failed: Vec<String> = failures(&Runtime::orca(), cases)
        .into_iter()
        .map(|(case, why)| format!("{} ({}): {why}", case.name, case.clause))
        .collect();
    assert!(failed.is_empty(), "\n{}\n", failed.join("\n"));
}

/// The cases that do not hold, and why.
fn failures<'a>(runtime: &Runtime, cases: &'a [Case]) -> Vec<(&'a Case, String)> {
    let run = |case: &'a Case| {
        let bed = Bed::new(runtime.clone());
        let held = (case.check)(&bed);
        let left = bed.end();
        held.and(left).err().map(|why| (case, why))
    };
    cases.iter().filter_map(run).collect()
}
