//! Changes: new revisions, other numbers, stop and down; and what has to wait for what.

use super::*;

/// The service `web` with so many replicas, all running; then its revision changes.
fn changed(replicas: u32, parallelism: u32) -> Scene {
    let mut scene = Scene::new(&["web"]).with("web", |service| {
        service.deploy.replicas = Some(replicas);
        service.deploy.update.parallelism = parallelism;
    });
    for id in 1..=u64::from(replicas) {
        scene = scene.task("web").running(id, Health::None);
    }
    scene.with("web", |service| service.tty = true)
}

#[test]
fn an_old_revision_goes_before_the_new_one_comes_to_the_same_address() {
    let scene = changed(1, 1);
    scene.check(&["decide: t1 ends"]);
    let scene = scene.change(1, |task| task.want = Want::Stop);
    scene.check(&["stop t1.1 with SIGTERM, kill after 10s: not wanted any more"]);
    let mut scene = scene.exited(1, 143);
    scene.check(&["remove container 5f5a316d64f3 and its log", "remove sandbox of t1"]);
    scene.observed = Observed::default();
    scene.check(&["decide: forget t1", "decide: t2 is shop/web 1, 10.200.0.2 in shop_default"]);
}

#[test]
fn replicas_are_replaced_so_many_at_a_time() {
    changed(3, 1).check(&["decide: t1 ends"]);
    changed(3, 2).check(&["decide: t1 ends", "decide: t2 ends"]);
    changed(3, 0).check(&["decide: t1 ends", "decide: t2 ends", "decide: t3 ends"]);
}

#[test]
fn an_update_that_does_not_work_stops_where_it_is() {
    // The new task of slot 1 does not come up: the others stay as they are.
    let scene = changed(3, 1).change(1, |task| {
        task.want = Want::Stop;
        task.slot = 9;
    });
    let scene = scene.task("web").change(4, |task| task.slot = 1).exited(4, 1);
    scene.check(&["decide: next is t4.2 after failure 1, from 100.000s on"]);
}

#[test]
fn what_is_broken_already_is_replaced_at_once() {
    changed(3, 1).exited(3, 1).check(&["decide: t3 ends"]);
}

#[test]
fn a_change_that_containers_do_not_show_replaces_nothing() {
    let scene = Scene::new(&["web"]).task("web").running(1, Health::None);
    let scene = scene.with("web", |service| {
        service.pull_policy = PullPolicy::Always;
        service.deploy.update.parallelism = 5;
        service.deploy.restart.max_attempts = Some(1);
        service.service_labels.insert("a".to_owned(), "b".to_owned());
    });
    scene.check(&[]);
}

#[test]
fn a_restart_replaces_its_tasks() {
    let mut scene = Scene::new(&["web"]).task("web").running(1, Health::None);
    scene.stack().nonces.insert("web".to_owned(), 1);
    scene.check(&["decide: t1 ends"]);
}

#[test]
fn what_is_replaced_takes_its_dependents_along_if_they_say_so() {
    let scene = |restart| {
        let scene = Scene::new(&["db", "web"]).with("web", |service| {
            let condition = Condition::Started;
            let dependency = Dependency { condition, restart, required: true };
            service.depends_on.insert("db".to_owned(), dependency);
        });
        let scene = scene.task("db").task("web").running(1, Health::None).running(2, Health::None);
        scene.with("db", |service| service.tty = true)
    };
    scene(true).check(&["decide: t1 ends", "decide: t2 ends"]);
    scene(false).check(&["decide: t1 ends"]);
}

#[test]
fn fewer_replicas_end_the_last_slots() {
    let mut scene = changed(3, 1).with("web", |service| service.tty = false);
    scene = scene.with("web", |service| service.deploy.replicas = Some(1));
    scene.check(&["decide: t2 ends", "decide: t3 ends"]);
    scene
        .with("web", |service| service.deploy.replicas = Some(4))
        .check(&["decide: t4 is shop/web 4, 10.200.0.5 in shop_default"]);
}

#[test]
fn a_service_that_is_gone_from_the_file_goes() {
    let mut scene = Scene::new(&["db", "web"]).task("web").running(1, Health::None).task("db");
    scene.stack().project.services.remove("web");
    scene.check(&["decide: t1 ends"]);
}

#[test]
fn a_stopped_service_stays_to_be_looked_at_until_it_is_started() {
    let mut scene = Scene::new(&["web"]).task("web").running(1, Health::None);
    scene.stack().stopped.insert("web".to_owned());
    scene.check(&["decide: t1 ends"]);
    let scene = scene.change(1, |task| task.want = Want::Stop);
    scene.check(&["stop t1.1 with SIGTERM, kill after 10s: not wanted any more"]);
    let mut scene = scene.exited(1, 143);
    scene.check(&["remove sandbox of t1"]);
    scene.observed.sandboxes.clear();
    scene.check(&[]);
    scene.stack().stopped.clear();
    scene.check(&["remove container 5f5a316d64f3 and its log"]);
}

#[test]
fn down_goes_against_the_order_of_need() {
    let scene = Scene::new(&["db", "web"]).needs("web", "db", Condition::Started);
    let mut scene = scene.task("db").task("web").running(1, Health::None).running(2, Health::None);
    scene.stack().removing = Some(Removal { volumes: false });
    scene.check(&["decide: t2 ends"]);
    let scene = scene.change(2, |task| task.want = Want::Stop);
    scene.check(&["stop t2.1 with SIGTERM, kill after 10s: not wanted any more"]);
    scene.exited(2, 0).check(&["decide: t1 ends"]);
}

#[test]
fn down_ends_with_nothing() {
    let mut scene = Scene::new(&["web"]).task("web").change(1, |task| task.want = Want::Stop);
    scene.stack().removing = Some(Removal { volumes: false });
    scene.check(&["decide: forget t1"]);
    scene.agreed.tasks.clear();
    scene.check(&["decide: drop network shop_default"]);
    scene.agreed.networks.clear();
    scene.check(&["decide: forget stack shop"]);
}

#[test]
fn down_takes_volumes_along_when_asked() {
    let mut scene = Scene::new(&[]);
    scene.agreed.networks.clear();
    let volume =
        |name: &str, external| Volume { name: name.to_owned(), external, ..Volume::default() };
    scene.stack().project.volumes.insert("data".to_owned(), volume("shop_data", false));
    scene.stack().project.volumes.insert("old".to_owned(), volume("old", true));
    scene.observed.volumes = ["old", "shop_data"].map(str::to_owned).into();
    scene.stack().removing = Some(Removal { volumes: false });
    scene.check(&["decide: forget stack shop"]);
    scene.stack().removing = Some(Removal { volumes: true });
    scene.check(&["remove volume shop_data"]);
    scene.observed.volumes.remove("shop_data");
    scene.check(&["decide: forget stack shop"]);
}

#[test]
fn anonymous_volumes_go_with_their_task() {
    let scene = Scene::new(&["web"]).with("web", |service| {
        let source = MountSource::Anonymous;
        service.mounts.push(Mount { target: "/data".to_owned(), read_only: false, source });
    });
    let mut scene = scene.task("web").attempt(1, 1);
    let Some(Step::Start(start)) = scene.plan().steps.pop() else { panic!("no start") };
    let name = start.volumes[0].name.clone();
    scene.observed.volumes =
        [name.as_str(), "anonymous.t1.0.0000000000000000"].map(str::to_owned).into();
    let mut scene = scene.running(1, Health::None);
    scene.check(&[]);
    scene.agreed.tasks.clear();
    scene.agreed.stacks.clear();
    scene.agreed.networks.clear();
    scene.observed.containers.clear();
    scene.observed.sandboxes.clear();
    // What only looks like one is somebody's own.
    scene.check(&[&format!("remove volume {name}")]);
}

/// What the first start of `web` waits for in this state; empty if for nothing.
fn waits(scene: &Scene) -> String {
    let plan = scene.plan().to_string();
    let starts = plan.contains("next is t2.1");
    let reason = scene.status().services["web"].waiting.clone();
    assert_eq!(starts, reason.is_none(), "{plan} {reason:?}");
    reason.unwrap_or_default()
}

fn two(condition: Condition) -> Scene {
    Scene::new(&["db", "web"]).needs("web", "db", condition)
}

#[test]
fn a_service_waits_for_what_it_needs_to_start() {
    let scene = two(Condition::Started).task("db").task("web");
    assert_eq!(waits(&scene), "waiting for db to start");
    let starting = scene.clone().container(1, Phase::Creating).busy();
    assert_eq!(waits(&starting), "waiting for db to start");
    assert_eq!(waits(&scene.running(1, Health::None)), "");
}

#[test]
fn a_service_waits_for_what_it_needs_to_be_healthy() {
    let scene = two(Condition::Healthy).checked("db").task("db").task("web");
    for health in [Health::Starting, Health::Unhealthy] {
        let waiting = waits(&scene.clone().running(1, health));
        assert_eq!(waiting, "waiting for db to be healthy");
    }
    assert_eq!(waits(&scene.running(1, Health::Healthy)), "");
    let unchecked = two(Condition::Healthy).task("db").task("web").running(1, Health::None);
    let never = "waits for db to be healthy, but it has no health check";
    assert_eq!(waits(&unchecked), never);
    assert_eq!(unchecked.status().failed.unwrap(), format!("service web: {never}"));
}

#[test]
fn a_service_waits_for_all_replicas_of_what_it_needs() {
    let scene = two(Condition::Healthy).checked("db");
    let scene = scene.with("db", |service| service.deploy.replicas = Some(2));
    let scene = scene.task("db").task("web").task("db");
    let scene = scene.running(1, Health::Healthy);
    assert_eq!(waits(&scene), "waiting for db to be healthy");
    assert_eq!(waits(&scene.running(3, Health::Healthy)), "");
}

#[test]
fn a_service_waits_for_the_end_of_a_job_at_its_current_revision() {
    let scene = two(Condition::Completed).task("db").task("web");
    assert_eq!(waits(&scene.clone().running(1, Health::None)), "waiting for db to complete");
    let completed = Outcome::Completed(Exit::default());
    let done = scene.clone().exited(1, 0).change(1, |task| task.outcome = Some(completed));
    assert_eq!(waits(&done), "");
    let changed = done.with("db", |service| service.tty = true);
    assert!(!changed.plan().to_string().contains("t2.1"));
    let failed = Outcome::Failed(Exit { code: 3, ..Exit::default() });
    let failed = scene.exited(1, 3).change(1, |task| task.outcome = Some(failed));
    assert_eq!(waits(&failed), "needs db, which failed: exited with status 3");
}

#[test]
fn a_restart_after_a_crash_waits_for_nobody() {
    let scene = two(Condition::Healthy).checked("db").task("db").task("web");
    let scene = scene.running(1, Health::Starting).exited(2, 1);
    scene.check(&["decide: next is t2.2 after failure 1, from 100.000s on"]);
}

#[test]
fn what_is_not_required_is_waited_for_only_while_it_may_come() {
    let optional = |scene: Scene| {
        scene.with("web", |service| {
            service.depends_on.get_mut("db").unwrap().required = false;
        })
    };
    let scene = optional(two(Condition::Completed)).task("db").task("web");
    assert_eq!(waits(&scene.clone().running(1, Health::None)), "waiting for db to complete");
    let failed = Outcome::Failed(Exit { code: 3, ..Exit::default() });
    assert_eq!(waits(&scene.clone().change(1, |task| task.outcome = Some(failed))), "");
    let mut gone = scene;
    gone.stack().project.services.remove("db");
    gone.agreed.tasks.remove(&TaskId(1));
    assert_eq!(waits(&gone), "");
}

#[test]
fn what_needs_a_stopped_service_waits_until_it_is_started() {
    let mut scene = two(Condition::Started).task("db").task("web");
    scene.stack().stopped.insert("db".to_owned());
    scene.agreed.tasks.remove(&TaskId(1));
    assert_eq!(waits(&scene), "waiting for db, which is stopped");
}
