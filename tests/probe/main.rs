//! A program that runs as root in a container with all default settings and tries to reach what is not
//! the container's: files, devices, processes, knobs of the kernel, other services.
//!
//! The same program is the test: outside it makes an instance of orca, starts itself in a container,
//! and reads what it says. A second container with everything allowed shows that the attempts are real:
//! there most of them succeed.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::undocumented_unsafe_blocks,
    unsafe_code,
    dead_code,
    reason = "a test that cannot go on panics, and the attempts are raw system calls"
)]

mod attempts;
mod network;
mod outside;
#[path = "../it/support/mod.rs"]
mod support;

/// Set in the container: what of the host to try.
const INSIDE: &str = "ORCA_PROBE";

fn main() {
    if std::env::var_os(INSIDE).is_some() {
        attempts::run_all();
        return;
    }
    // As the harness would: `cargo test name` runs what has it in its name.
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let list = std::env::args().any(|argument| argument == "--list");
    let tests: [(&str, fn()); 2] = [
        ("root_in_a_default_container_reaches_nothing", outside::defaults_refuse),
        ("the_attempts_succeed_where_everything_is_allowed", outside::privileged_reaches),
    ];
    for (name, test) in tests {
        if filter.as_ref().is_some_and(|filter| !name.contains(filter.as_str())) {
            continue;
        }
        if list {
            println!("{name}: test");
            continue;
        }
        test();
        println!("test {name} ... ok");
    }
}
