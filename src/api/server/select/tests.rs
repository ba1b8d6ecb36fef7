use std::collections::BTreeMap;

use super::*;
use crate::model::{AttemptId, Health, ServiceStatus, TaskId, Timestamp};

/// `web.1 running`, `-` in front for one that is not wanted any more.
fn view(tasks: &[&str]) -> View {
    let tasks: Vec<_> = tasks.iter().enumerate().map(|(n, text)| task(n, text)).collect();
    let service = |task: &TaskStatus| (task.service.clone(), ServiceStatus::default());
    let services = tasks.iter().map(service).collect();
    let status = StackStatus { name: "shop".to_owned(), services, tasks, ..Default::default() };
    View { stacks: [("shop".to_owned(), status)].into(), ..View::default() }
}

fn task(number: usize, text: &str) -> TaskStatus {
    let wanted = !text.starts_with('-');
    let (place, state) = text.trim_start_matches('-').split_once(' ').unwrap();
    let (service, slot) = place.split_once('.').unwrap();
    let task = TaskId(u64::try_from(number).unwrap());
    let attempt = AttemptId { task, number: 1 };
    let state = match state {
        "running" => TaskState::Running,
        "paused" => TaskState::Paused,
        "stopping" => TaskState::Stopping,
        _ => TaskState::Failed,
    };
    TaskStatus {
        task,
        attempt: Some(attempt),
        container: Some(ContainerId::of("store", attempt)),
        name: format!("shop-{service}-{slot}"),
        stack: "shop".to_owned(),
        service: service.to_owned(),
        slot: slot.parse().unwrap(),
        revision: String::new(),
        image: String::new(),
        command: String::new(),
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
        wanted,
        labels: BTreeMap::new(),
        one_off: None,
        host_users: None,
    }
}

fn target(names: &[&str], index: Option<u32>) -> Target {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    Target { stack: "shop".to_owned(), names, index }
}

#[track_caller]
fn check(names: &[&str], index: Option<u32>, expected: &[&str]) {
    let view = view(&["db.1 running", "web.1 failed", "web.2 running"]);
    let tasks = tasks(&view, &target(names, index)).unwrap();
    assert_eq!(tasks.iter().map(|task| task.name.as_str()).collect::<Vec<_>>(), expected);
}

#[test]
fn nothing_named_is_everything() {
    check(&[], None, &["shop-db-1", "shop-web-1", "shop-web-2"]);
}

#[test]
fn services_and_containers_can_be_named() {
    check(&["web"], None, &["shop-web-1", "shop-web-2"]);
    check(&["web"], Some(2), &["shop-web-2"]);
    check(&["shop-web-1", "db"], None, &["shop-db-1", "shop-web-1"]);
}

#[test]
fn a_container_can_be_named_by_the_beginning_of_its_id() {
    let id = ContainerId::of("store", AttemptId { task: TaskId(0), number: 1 });
    check(&[id.short()], None, &["shop-db-1"]);
    check(&[&id.as_str()[..4]], None, &["shop-db-1"]);
}

#[test]
fn three_digits_are_too_few_for_an_id() {
    let id = ContainerId::of("store", AttemptId { task: TaskId(0), number: 1 });
    let view = view(&["db.1 running"]);
    assert!(tasks(&view, &target(&[&id.as_str()[..3]], None)).is_err());
}

#[track_caller]
fn check_one(tasks: &[&str], index: Option<u32>, expected: Result<&str, &str>) {
    let view = view(tasks);
    let one = one(&view, &target(&["web"], index)).map_err(|error| error.message);
    let name = |id: &ContainerId| {
        let tasks = &view.stacks["shop"].tasks;
        tasks.iter().find(|task| task.container.as_ref() == Some(id)).unwrap().name.clone()
    };
    assert_eq!(one.map(name), expected.map(str::to_owned).map_err(str::to_owned));
}

#[test]
fn one_container_is_the_first_that_runs() {
    check_one(&["web.1 failed", "web.2 running", "web.3 running"], None, Ok("shop-web-2"));
    check_one(&["web.1 running", "web.2 running"], Some(2), Ok("shop-web-2"));
}

#[test]
fn a_wanted_container_comes_before_one_on_its_way_out() {
    check_one(&["-web.1 stopping", "web.2 running"], None, Ok("shop-web-2"));
    check_one(&["-web.1 stopping"], None, Ok("shop-web-1"));
}

#[test]
fn where_none_runs_the_error_says_which() {
    check_one(&["web.1 failed"], None, Err("no container of `web` is running"));
    check_one(&["web.1 running"], Some(4), Err("container 4 of `web` is not running"));
}
