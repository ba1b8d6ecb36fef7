//! Names.

use std::path::PathBuf;

use super::*;

/// What a name means to the container of a task; `-` if there is no such name.
fn resolve(scene: &Scene, task: u64, name: &str) -> String {
    let netns = scene.agreed.tasks.keys().map(|id| (*id, PathBuf::from("/netns"))).collect();
    let table = names(&scene.agreed, &scene.observed, &netns);
    let sandbox = &table.sandboxes[&TaskId(task)];
    let zones = sandbox.zones.iter().map(|zone| &table.zones[zone].names);
    match std::iter::once(&sandbox.names).chain(zones).find_map(|names| names.get(name)) {
        None => "-".to_owned(),
        Some(ips) => ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
    }
}

fn two() -> Scene {
    let scene = Scene::new(&["db", "web"]).with("db", |service| {
        service.deploy.replicas = Some(2);
        service.networks.get_mut("default").unwrap().aliases = vec!["Database".to_owned()];
    });
    scene.task("db").task("db").task("web").running(1, Health::None).running(3, Health::None)
}

#[test]
fn a_service_has_names() {
    let scene = two();
    let id = scene.agreed.container_id(AttemptId { task: TaskId(1), number: 1 });
    for name in [
        "db",
        "db.shop",
        "shop-db",
        "tasks.db",
        "db.shop_default",
        "db.default",
        "db.shop.orca.internal",
        "database",
        "database.shop_default",
        "shop-db-1",
        "shop-db-1.shop_default",
        id.short(),
    ] {
        assert_eq!(resolve(&scene, 3, name), "10.200.0.2", "{name}");
    }
    assert_eq!(resolve(&scene, 3, "nothing"), "-");
    // Its own names too.
    assert_eq!(resolve(&scene, 3, "web"), "10.200.0.4");
}

#[test]
fn a_service_is_all_its_replicas() {
    let scene = two().running(2, Health::None);
    assert_eq!(resolve(&scene, 3, "db"), "10.200.0.2 10.200.0.3");
    assert_eq!(resolve(&scene, 3, "shop-db-2"), "10.200.0.3");
}

#[test]
fn a_declared_service_has_a_name_when_nobody_answers() {
    let scene = two().exited(1, 1);
    assert_eq!(resolve(&scene, 3, "db"), "");
    assert_eq!(resolve(&scene, 3, "shop-db-1"), "");
}

#[test]
fn unhealthy_replicas_are_left_out_unless_all_are() {
    let scene = two().running(2, Health::Healthy).running(1, Health::Unhealthy);
    assert_eq!(resolve(&scene, 3, "db"), "10.200.0.3");
    assert_eq!(resolve(&scene, 3, "shop-db-1"), "10.200.0.2");
    let all = scene.running(2, Health::Unhealthy);
    assert_eq!(resolve(&all, 3, "db"), "10.200.0.2 10.200.0.3");
}

#[test]
fn a_replica_on_its_way_out_is_left_out() {
    let scene = two().running(2, Health::None).change(1, |task| task.want = Want::Stop);
    assert_eq!(resolve(&scene, 3, "db"), "10.200.0.3");
}

#[test]
fn only_shared_networks_are_seen() {
    let scene = two().change(3, |task| task.addresses.clear());
    assert_eq!(resolve(&scene, 3, "db"), "-");
}

#[test]
fn links_are_more_names() {
    let scene = two().with("web", |service| {
        service.links = vec![("db".to_owned(), "Storage".to_owned())];
    });
    assert_eq!(resolve(&scene, 3, "storage"), "10.200.0.2");
    assert_eq!(resolve(&scene, 1, "storage"), "-");
}

/// A second stack `blog` in the same network, with its own `db` as task 4.
fn with_neighbour() -> Scene {
    let mut scene = two();
    let mut blog = Scene::new(&["db"]).agreed.stacks.remove("shop").unwrap();
    blog.project.name = "blog".to_owned();
    blog.project.networks.get_mut("default").unwrap().external = true;
    let mut task = scene.agreed.tasks[&TaskId(1)].clone();
    task.stack = "blog".to_owned();
    let v4 = "10.200.0.99".parse().unwrap();
    task.addresses.insert("shop_default".to_owned(), TaskAddress { v4, v6: None });
    scene.agreed.stacks.insert("blog".to_owned(), blog);
    scene.agreed.tasks.insert(TaskId(4), task);
    scene.running(4, Health::None)
}

#[test]
fn a_name_is_the_own_projects_first() {
    let scene = with_neighbour();
    assert_eq!(resolve(&scene, 3, "db"), "10.200.0.2");
    assert_eq!(resolve(&scene, 4, "db"), "10.200.0.99");
    assert_eq!(resolve(&scene, 3, "db.blog"), "10.200.0.99");
    assert_eq!(resolve(&scene, 4, "db.shop"), "10.200.0.2");
    assert_eq!(resolve(&scene, 4, "web"), "10.200.0.4", "a name that only others have");
}

#[test]
fn addresses_have_names() {
    let scene = two();
    let netns = BTreeMap::from([(TaskId(3), PathBuf::from("/netns"))]);
    let table = names(&scene.agreed, &scene.observed, &netns);
    let sandbox = &table.sandboxes[&TaskId(3)];
    let zone = &table.zones[&sandbox.zones[0]];
    assert_eq!(zone.reverse[&"10.200.0.2".parse().unwrap()], "shop-db-1.shop_default");
    assert_eq!(sandbox.own_networks, ["10.200.0.0/24".parse::<ipnet::IpNet>().unwrap()]);
    assert_eq!((sandbox.netns.to_str().unwrap(), table.sandboxes.len()), ("/netns", 1));
}

#[test]
fn an_internal_network_asks_nobody_outside() {
    let mut scene = two();
    let netns = BTreeMap::from([(TaskId(3), PathBuf::from("/netns"))]);
    let forward =
        |scene: &Scene| names(&scene.agreed, &scene.observed, &netns).sandboxes[&TaskId(3)].forward;
    assert!(forward(&scene));
    scene.stack().project.networks.get_mut("default").unwrap().internal = true;
    assert!(!forward(&scene));
}
