//! Values that tests of the command line begin with.

use std::collections::BTreeMap;

use crate::model::{
    AttemptId, ContainerId, Health, ServiceStatus, StackStatus, TaskId, TaskState, TaskStatus,
    Timestamp,
};

/// A task of stack `shop`. Its number comes from its name and slot.
pub(super) fn task(service: &str, slot: u32, state: TaskState) -> TaskStatus {
    let number = service.bytes().fold(u64::from(slot), |sum, byte| sum * 31 + u64::from(byte));
    let attempt = AttemptId { task: TaskId(number), number: 1 };
    TaskStatus {
        task: attempt.task,
        attempt: Some(attempt),
        container: Some(ContainerId::of("tests", attempt)),
        name: format!("shop-{service}-{slot}"),
        stack: "shop".to_owned(),
        service: service.to_owned(),
        slot,
        revision: "r1".to_owned(),
        image: format!("{service}:1"),
        command: format!("/bin/{service} --listen 0.0.0.0:80"),
        state,
        health: Health::None,
        reason: None,
        exit_code: None,
        oom: false,
        restarts: 0,
        pid: None,
        created: Timestamp::default(),
        running_for: None,
        addresses: BTreeMap::new(),
        publications: Vec::new(),
        wanted: true,
        labels: BTreeMap::new(),
        one_off: None,
        host_users: None,
    }
}

/// Stack `shop` with these tasks.
pub(super) fn stack(tasks: &[TaskStatus]) -> StackStatus {
    let service = |task: &TaskStatus| (task.service.clone(), ServiceStatus::default());
    StackStatus {
        name: "shop".to_owned(),
        services: tasks.iter().map(service).collect(),
        tasks: tasks.to_vec(),
        ..StackStatus::default()
    }
}

/// Plain lines without colours.
pub(super) fn output() -> super::output::Output {
    let plain = super::style::Style(false);
    super::output::Output {
        style: plain,
        error_style: plain,
        progress: super::args::ProgressKind::Plain,
    }
}
