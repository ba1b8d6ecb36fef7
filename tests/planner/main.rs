//! Random histories of the planner and the store's rules against a host that is made up: effects take
//! time and fail, programs crash and turn sick, users change their minds, the disk is full, the daemon
//! dies between any two entries of its log, the host is restarted. After every event the rules that
//! must never be broken are checked, and after a calm time everything must be as wanted.
//!
//! A failing history prints its seed; `ORCA_SEED=<seed> cargo test --test planner` shows that one, with
//! everything that happened in it. `ORCA_HISTORIES=<n>` runs more of them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stdout, reason = "one history is shown as it goes")]
#![expect(clippy::cast_possible_truncation, reason = "the numbers of a history are small")]

mod checks;
mod host;
mod project;
mod random;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use world::World;

#[test]
fn random_histories_break_no_rule_and_converge() {
    if let Some(seed) = number("ORCA_SEED") {
        World::new(seed, true).run();
        return;
    }
    let histories = number("ORCA_HISTORIES").unwrap_or(150);
    let first = number("ORCA_FIRST").unwrap_or(1);
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let broken = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let mine = (first..first + histories).filter(move |seed| seed % threads == thread);
            scope.spawn(|| {
                for found in mine.filter_map(run) {
                    broken.lock().unwrap().push(found);
                }
            });
        }
    });
    let broken = broken.into_inner().unwrap();
    let show = |(seed, rule): &(u64, String)| format!("ORCA_SEED={seed}: {rule}\n");
    assert!(
        broken.is_empty(),
        "{} histories:\n{}",
        broken.len(),
        broken.iter().map(show).collect::<String>()
    );
}

/// Runs one history; returns its seed and the rule it breaks, if it does.
fn run(seed: u64) -> Option<(u64, String)> {
    let panic = catch_unwind(AssertUnwindSafe(|| World::new(seed, false).run())).err()?;
    let message = panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    Some((seed, message.unwrap_or_default().lines().next().unwrap_or_default().to_owned()))
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}
