use super::*;
use crate::cli::tests_support::{stack, task};
use crate::model::{Protocol, Publication};

#[test]
fn a_summary_counts_and_lists_the_ports() {
    let mut web = task("web", 1, TaskState::Running);
    web.publications = vec![Publication {
        host_ip: None,
        host_port: 8080,
        protocol: Protocol::Tcp,
        backends: vec![("10.0.0.2".parse().unwrap(), 80)],
        owner: "shop/web".to_owned(),
    }];
    let mut second = web.clone();
    second.slot = 2;
    let setup = task("setup", 1, TaskState::Completed);
    let mut old = task("old", 1, TaskState::Stopping);
    old.wanted = false;
    let mut status = stack(&[web, second, setup, old]);
    status.services.remove("old");
    insta::assert_snapshot!(lines(&status).join("\n"), @r"
    shop is up: 2 services, 3 containers
      web  0.0.0.0:8080->80/tcp
      completed: setup
    ");
}

#[test]
fn one_is_not_many() {
    let status = stack(&[task("web", 1, TaskState::Running)]);
    assert_eq!(lines(&status), ["shop is up: 1 service, 1 container"]);
}

#[test]
fn what_a_user_has_stopped_is_said_to_be() {
    let mut status = stack(&[]);
    let stopped = crate::model::ServiceStatus { stopped: true, ..Default::default() };
    status.services.insert("db".to_owned(), stopped);
    assert_eq!(
        lines(&status),
        ["shop is up: 1 service, 0 containers", "  stopped: db (`orca start` starts them)"]
    );
}
