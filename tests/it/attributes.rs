//! What a stack file says of a service, seen from inside a container that runs.
//!
//! A few stacks with much in them: each start costs time, each look does not.

mod files;
mod hooks;
mod limits;
mod names;
mod refused;
mod rights;
mod users;

use super::support::{Orca, eventually};

/// What a command prints in a service's first container.
#[track_caller]
fn inside(orca: &Orca, service: &str, line: &str) -> String {
    let ran = orca.run(&["exec", "-T", "-f", "stack.yaml", service, "sh", "-c", line]);
    assert_eq!(ran.code, Some(0), "{service}: {line}\n{}{}", ran.stdout, ran.stderr);
    ran.stdout.trim().to_owned()
}

/// Each command in the container prints this.
#[track_caller]
fn check(orca: &Orca, service: &str, cases: &[(&str, &str)]) {
    for (line, expected) in cases {
        assert_eq!(inside(orca, service, line), *expected, "{service}: {line}");
    }
}

/// The end of a container, once it is known.
#[track_caller]
fn end(orca: &Orca, name: &str) -> serde_json::Value {
    eventually(name, || {
        Some(orca.container(name)).filter(|container| container["State"] == "exited")
    })
}
