use std::collections::BTreeMap;

use super::*;
use crate::model::{Dependency, Service};

/// `web:1>db` is service web with image 1 that depends on db.
fn project(services: &[&str]) -> Project {
    let service = |text: &str| {
        let (rest, depends) = text.split_once('>').unwrap_or((text, ""));
        let (name, image) = rest.split_once(':').unwrap();
        let depends = depends.split(',').filter(|name| !name.is_empty());
        let depends_on = depends.map(|name| (name.to_owned(), Dependency::default())).collect();
        let service = Service { image: image.to_owned(), depends_on, ..Service::default() };
        (name.to_owned(), service)
    };
    let services: BTreeMap<_, _> = services.iter().map(|text| service(text)).collect();
    Project { name: "shop".to_owned(), services, ..Project::default() }
}

fn up(services: &[&str], names: &[&str]) -> Up {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    Up { project: project(services), services: names, ..Up::default() }
}

fn agreed(services: &[&str], stopped: &[&str]) -> Stack {
    let stopped = stopped.iter().map(|name| (*name).to_owned()).collect();
    Stack { project: project(services), stopped, ..Stack::default() }
}

#[track_caller]
fn check(up: Up, agreed: Option<&Stack>, expected: &str) {
    let apply = narrow(up, agreed).unwrap();
    let services = apply.project.services.iter();
    let services: Vec<_> = services.map(|(k, v)| format!("{k}:{}", v.image)).collect();
    assert_eq!(services.join(" "), expected);
}

#[test]
fn without_names_the_file_is_the_stack() {
    check(up(&["web:2"], &[]), Some(&agreed(&["web:1", "old:1"], &[])), "web:2");
}

#[test]
fn named_services_come_with_what_they_depend_on() {
    let file = ["web:1>app", "app:1>db", "db:1", "mail:1"];
    check(up(&file, &["web"]), None, "app:1 db:1 web:1");
    check(Up { no_deps: true, ..up(&file, &["web"]) }, None, "web:1");
}

#[test]
fn services_that_are_not_named_stay_as_agreed() {
    let file = ["web:2>db", "db:2", "mail:2"];
    let agreed = agreed(&["web:1>db", "db:1", "mail:1", "old:1"], &[]);
    check(up(&file, &["web"]), Some(&agreed), "db:2 mail:1 old:1 web:2");
    check(Up { no_deps: true, ..up(&file, &["web"]) }, Some(&agreed), "db:1 mail:1 old:1 web:2");
}

#[test]
fn a_circle_of_dependencies_ends() {
    check(up(&["a:1>b", "b:1>a"], &["a"]), None, "a:1 b:1");
}

#[test]
fn no_recreate_keeps_what_is_there_and_adds_what_is_not() {
    let never = Up { recreate: Recreate::Never, ..up(&["web:2", "new:2"], &[]) };
    check(never, Some(&agreed(&["web:1", "old:1"], &[])), "new:2 web:1");
}

#[test]
fn what_kept_services_name_is_kept_too() {
    let mut agreed = agreed(&["web:1", "db:1"], &[]);
    agreed.project.volumes.insert("data".to_owned(), crate::model::Volume::default());
    let apply = narrow(up(&["web:2", "db:2"], &["web"]), Some(&agreed)).unwrap();
    assert!(apply.project.volumes.contains_key("data"));
    let apply = narrow(up(&["web:2", "db:2"], &[]), Some(&agreed)).unwrap();
    assert!(apply.project.volumes.is_empty());
}

#[test]
fn only_chosen_services_are_started_and_replaced() {
    let agreed = agreed(&["web:1", "db:1"], &["web", "db"]);
    let web = Up { recreate: Recreate::Always, ..up(&["web:1", "db:1"], &["web"]) };
    let apply = narrow(web, Some(&agreed)).unwrap();
    assert_eq!(apply.start, ["web"]);
    assert_eq!(apply.recreate, ["web"]);
}

#[test]
fn a_service_that_is_not_in_the_file_is_refused_with_the_ones_that_are() {
    let error = narrow(up(&["web:1", "db:1"], &["wbe"]), None).unwrap_err();
    assert_eq!(error.message, "there is no service `wbe`");
    assert_eq!(error.hint.unwrap(), "the services are: db, web");
}

#[test]
fn what_runs_once_stays_through_an_up() {
    let mut before = agreed(&["web:1", "once:1"], &[]);
    let once = before.project.services.get_mut("once").unwrap();
    once.one_off = Some(crate::model::OneOff::default());
    check(up(&["web:2"], &[]), Some(&before), "once:1 web:2");
    check(up(&["web:2", "db:1"], &["db"]), Some(&before), "db:1 once:1 web:1");
}
