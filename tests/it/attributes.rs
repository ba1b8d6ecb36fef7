//! What a stack file says of a service, seen from inside a container that runs.
//!
//! A few stacks with much in them: each start costs time, each look does not.

mod controls;
mod files;
mod hooks;
mod joined;
mod limits;
mod more;
mod names;
mod observed;
mod refused;
mod resources;
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

/// The content of a file of a container's cgroup, by its name in v1 or v2.
fn limit(orca: &Orca, container: &str, files: &[&str]) -> String {
    let cgroups = std::fs::read_to_string(format!("/proc/{}/cgroup", orca.pid(container))).unwrap();
    let found = cgroups.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let roots = [controllers, "unified", ""].map(|part| format!("/sys/fs/cgroup/{part}{path}"));
        roots.iter().find_map(|root| {
            files.iter().find_map(|file| std::fs::read_to_string(format!("{root}/{file}")).ok())
        })
    });
    found.expect("a file of the cgroup").trim().to_owned()
}
