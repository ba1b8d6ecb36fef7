//! Tasks from the first attempt to the last.

use super::*;

fn policy(scene: Scene, change: impl FnOnce(&mut RestartPolicy)) -> Scene {
    scene.with("web", |service| change(&mut service.deploy.restart))
}

fn web() -> Scene {
    Scene::new(&["web"]).task("web")
}

#[test]
fn a_service_gets_a_task_then_an_attempt_then_a_container() {
    let scene = Scene::new(&["web"]);
    scene.check(&["decide: t1 is shop/web 1, 10.200.0.2 in shop_default"]);
    let scene = scene.task("web");
    scene.check(&["decide: next is t1.1"]);
    let scene = scene.attempt(1, 1);
    scene.check(&["start t1.1 as shop-web-1 from 555555555555, 10.200.0.2 in shop_default"]);
    scene.clone().container(1, Phase::Creating).busy().check(&[]);
    scene.running(1, Health::None).check(&[]);
}

#[test]
fn a_start_that_a_shim_goes_on_with_alone_is_not_made_again() {
    web().container(1, Phase::Creating).check(&[]);
}

#[test]
fn the_first_failure_restarts_at_once() {
    web().exited(1, 1).check(&["decide: next is t1.2 after failure 1, from 100.000s on"]);
}

#[test]
fn further_failures_wait_longer_each_time() {
    let failed = |times| web().change(1, |task| task.fails = times).exited(1, 1);
    failed(1).check(&["decide: next is t1.2 after failure 2, from 100.102s on"]);
    failed(2).check(&["decide: next is t1.2 after failure 3, from 100.205s on"]);
    failed(5).check(&["decide: next is t1.2 after failure 6, from 101.637s on"]);
    failed(50).check(&["decide: next is t1.2 after failure 51, from 161.380s on"]);
}

#[test]
fn the_waits_can_be_set() {
    let scene = policy(Scene::new(&["web"]), |policy| {
        policy.delay = Some(seconds(5));
        policy.max_delay = Some(seconds(8));
    });
    let failed = |times| scene.clone().task("web").change(1, |t| t.fails = times).exited(1, 1);
    failed(1).check(&["decide: next is t1.2 after failure 2, from 105.115s on"]);
    failed(2).check(&["decide: next is t1.2 after failure 3, from 108.184s on"]);
}

#[test]
fn a_container_that_ran_well_starts_again_at_once() {
    let ended = |exit| web().change(1, |task| task.fails = 7).container(1, Phase::Exited(exit));
    let at_once = ["decide: next is t1.2 after failure 1, from 100.000s on"];
    ended(Exit { code: 1, ran: seconds(10), ..Exit::default() }).check(&at_once);
    ended(Exit { code: 1, was_healthy: true, ..Exit::default() }).check(&at_once);
    // But not one that never became healthy, however long that took.
    ended(Exit { unhealthy: true, ran: seconds(90), ..Exit::default() })
        .check(&["decide: next is t1.2 after failure 8, from 106.547s on"]);
}

#[test]
fn the_next_attempt_waits_for_its_time_and_takes_the_place_of_the_last() {
    let scene = web().exited(1, 1).attempt(1, 2).change(1, |task| {
        task.not_before = Some(Deadline { boot: BootId("b".to_owned()), at: at(103) });
    });
    scene.check(&["remove container 5f5a316d64f3", "look again at 103.000s"]);
    let mut later = scene;
    later.now.boottime = at(103);
    later.check(&[
        "remove container 5f5a316d64f3",
        "start t1.2 as shop-web-1 from 555555555555, 10.200.0.2 in shop_default",
    ]);
}

#[test]
fn the_policy_says_which_ends_lead_to_a_restart() {
    let ended = |condition, code| {
        let scene = policy(Scene::new(&["web"]), |policy| policy.condition = condition);
        scene.task("web").exited(1, code).plan().to_string().trim_end().to_owned()
    };
    let again = "decide: next is t1.2 after failure 1, from 100.000s on";
    assert_eq!(ended(RestartCondition::Any, 0), again);
    assert_eq!(ended(RestartCondition::OnFailure, 0), "decide: t1 has completed");
    assert_eq!(ended(RestartCondition::OnFailure, 1), again);
    assert_eq!(ended(RestartCondition::Never, 0), "decide: t1 has completed");
    let failed = "decide: t1 has failed: exited with status 137 (signal 9)";
    assert_eq!(ended(RestartCondition::Never, 137), failed);
}

#[test]
fn a_job_ends_when_it_succeeds() {
    let job = |scene: Scene, code| scene.task("web").exited(1, code);
    let by_mode = Scene::new(&["web"]).with("web", |s| s.deploy.mode = DeployMode::ReplicatedJob);
    job(by_mode.clone(), 0).check(&["decide: t1 has completed"]);
    job(by_mode, 3).check(&["decide: next is t1.2 after failure 1, from 100.000s on"]);
    // Or because another service waits for its end.
    let by_use = Scene::new(&["app", "web"]).needs("app", "web", Condition::Completed).task("web");
    by_use.task("app").exited(1, 0).check(&["decide: t1 has completed"]);
}

#[test]
fn after_so_many_failures_it_gives_up() {
    let scene = policy(Scene::new(&["web"]), |policy| policy.max_attempts = Some(3)).task("web");
    let failed = |times| scene.clone().change(1, |task| task.fails = times).exited(1, 9);
    failed(2).check(&["decide: next is t1.2 after failure 3, from 100.205s on"]);
    failed(3).check(&["decide: t1 has failed: exited with status 9"]);
}

#[test]
fn what_ended_for_good_stays_to_be_looked_at() {
    let outcome = Outcome::Failed(Exit { code: 9, ..Exit::default() });
    let scene = web().exited(1, 9).change(1, |task| task.outcome = Some(outcome));
    // Its container and log stay; its namespace is of no more use.
    scene.check(&["remove sandbox of t1"]);
}

#[test]
fn failures_are_forgotten_after_a_while() {
    let failed = web().change(1, |task| task.fails = 2);
    let scene = failed.running(1, Health::None);
    scene.check(&["decide: t1 runs well"]);
    let mut sooner = scene;
    sooner.now.boottime = at(59);
    sooner.check(&["look again at 60.000s"]);
    let checked = Scene::new(&["web"]).checked("web").task("web").change(1, |task| task.fails = 2);
    checked.clone().running(1, Health::Starting).check(&[]);
    checked.running(1, Health::Healthy).check(&["decide: t1 runs well"]);
}

#[test]
fn an_unhealthy_container_is_stopped_and_counts_as_failed() {
    let scene = Scene::new(&["web"]).checked("web").task("web");
    scene
        .clone()
        .running(1, Health::Unhealthy)
        .check(&["stop t1.1 with SIGTERM, kill after 10s: unhealthy"]);
    let exit = Exit { code: 0, unhealthy: true, ..Exit::default() };
    scene
        .container(1, Phase::Exited(exit))
        .check(&["decide: next is t1.2 after failure 1, from 100.000s on"]);
}

#[test]
fn an_unhealthy_container_is_left_where_the_policy_says_so() {
    let scene = Scene::new(&["web"]).checked("web");
    let stays = |change: fn(&mut RestartPolicy)| {
        policy(scene.clone(), change).task("web").running(1, Health::Unhealthy).check(&[]);
    };
    stays(|policy| policy.on_unhealthy = false);
    stays(|policy| policy.condition = RestartCondition::Never);
}

#[test]
fn never_more_than_a_quarter_restarts_because_it_is_unhealthy() {
    let mut scene = Scene::new(&["web"]).checked("web");
    scene = scene.with("web", |service| service.deploy.replicas = Some(8));
    for id in 1..=8 {
        scene = scene.task("web").running(id, Health::Unhealthy);
    }
    scene.check(&[
        "stop t1.1 with SIGTERM, kill after 10s: unhealthy",
        "stop t2.1 with SIGTERM, kill after 10s: unhealthy",
    ]);
    let one_away = scene.container(1, Phase::Exited(Exit::default())).attempt(1, 2);
    let exit = Exit { unhealthy: true, ..Exit::default() };
    let one_away = one_away.change(1, |task| task.last_exit = Some(exit));
    let plan = one_away.plan();
    let stops = plan.steps.iter().filter(|step| matches!(step, Step::Stop { .. })).count();
    assert_eq!(stops, 1, "{plan}");
}

#[test]
fn what_is_unhealthy_with_its_dependency_is_left_alone() {
    let scene = Scene::new(&["db", "web"]).checked("db").checked("web");
    let scene = scene.needs("web", "db", Condition::Started).task("db").task("web");
    let scene = scene.running(2, Health::Unhealthy);
    let stop_db = "stop t1.1 with SIGTERM, kill after 10s: unhealthy";
    scene.clone().running(1, Health::Unhealthy).check(&[stop_db]);
    scene.running(1, Health::Healthy).check(&["stop t2.1 with SIGTERM, kill after 10s: unhealthy"]);
}

#[test]
fn a_paused_container_is_not_restarted_for_its_check() {
    let scene = Scene::new(&["web"]).checked("web").task("web");
    let phase = Phase::Running {
        since: at(50),
        pid: 1,
        health: Health::Unhealthy,
        health_since: at(60),
        stopping: false,
        paused: true,
    };
    scene.container(1, phase).check(&[]);
}

#[test]
fn after_a_boot_everything_comes_up_in_order_and_nothing_has_failed() {
    let scene = Scene::new(&["db", "web"]).needs("web", "db", Condition::Started);
    let mut scene = scene.task("db").task("web").attempt(1, 4).attempt(2, 9);
    scene.agreed.tasks.get_mut(&TaskId(2)).unwrap().fails = 3;
    scene.now.boot = BootId("another".to_owned());
    scene.check(&["decide: next is t1.5"]);
}

#[test]
fn what_is_not_to_be_restarted_is_not_after_a_boot() {
    let scene = policy(Scene::new(&["web"]), |p| p.condition = RestartCondition::Never);
    let mut scene = scene.task("web").attempt(1, 1);
    scene.now.boot = BootId("another".to_owned());
    scene.check(&["decide: t1 has failed: the host was restarted while it ran"]);
}

#[test]
fn a_container_from_decisions_that_were_lost_is_kept() {
    let ahead = web().attempt(1, 3).running(1, Health::None).attempt(1, 1);
    ahead.check(&["decide: next is t1.2"]);
    ahead.attempt(1, 2).check(&["decide: next is t1.3"]);
}

#[test]
fn a_task_never_gets_the_id_of_one_that_was_lost() {
    let scene = Scene::new(&["web"]).task("gone").running(1, Health::None);
    let mut scene = scene.clone();
    scene.agreed.tasks.clear();
    scene.agreed.next_task = 1;
    scene.check(&["decide: t2 is shop/web 1, 10.200.0.2 in shop_default"]);
}

#[test]
fn what_nobody_knows_is_stopped_and_removed() {
    let mut scene = Scene::new(&[]).task("x").running(1, Health::None);
    scene.agreed.tasks.clear();
    scene.agreed.networks.clear();
    scene.check(&["stop t1.1 with SIGTERM, kill after 10s: nobody knows it"]);
    let mut ended = scene.exited(1, 0);
    ended.check(&["remove container 5f5a316d64f3 and its log", "remove sandbox of t1"]);
    ended.observed = Observed::default();
    ended.observed.strays.insert(ended.agreed.container_id(AttemptId::default()));
    ended.check(&["remove container c339c594bfd3 and its log"]);
}

#[test]
fn no_more_than_sixteen_containers_start_at_one_time() {
    let mut scene = Scene::new(&["web"]).with("web", |s| s.deploy.replicas = Some(20));
    for id in 1..=20 {
        scene = scene.task("web").attempt(id, 1);
    }
    assert_eq!(scene.plan().steps.len(), 16);
    for id in 1..=16 {
        scene = scene.container(id, Phase::Creating);
    }
    assert_eq!(scene.busy().plan().steps.len(), 0);
}

#[test]
fn what_runs_once_is_not_part_of_what_the_stack_has_to_be() {
    let once = |remove| {
        let one = OneOff { service: "web".to_owned(), remove };
        Scene::new(&["web", "once"])
            .with("once", |service| {
                service.one_off = Some(one);
                service.deploy.mode = DeployMode::ReplicatedJob;
                service.deploy.restart.condition = RestartCondition::Never;
            })
            .task("web")
            .task("once")
    };
    let status = |scene: &Scene| {
        let table = NetworkTable::default();
        status(&scene.agreed, &scene.observed, &table, &scene.now).remove("shop").unwrap()
    };
    let mut scene = once(false);
    let outcome = Some(Outcome::Failed(Exit { code: 3, ..Exit::default() }));
    scene.agreed.tasks.get_mut(&TaskId(2)).unwrap().outcome = outcome.clone();
    assert_eq!(status(&scene).failed, None);
    assert_eq!(status(&scene).services["once"].failed.as_deref(), Some("exited with status 3"));
    let plan = plan(&scene.agreed, &scene.observed, &scene.now);
    assert!(!plan.to_string().contains("forget"), "it stays: {plan}");

    let mut scene = once(true);
    scene.agreed.tasks.get_mut(&TaskId(2)).unwrap().outcome = outcome;
    let plan = super::plan(&scene.agreed, &scene.observed, &scene.now);
    assert!(plan.to_string().contains("decide: forget shop/once, which has run"), "{plan}");
}

#[test]
fn who_shares_a_network_is_made_after_its_owner_and_anew_when_that_is_replaced() {
    let shares = |service: &mut Service| {
        service.network_mode = NetworkMode::Service("vpn".to_owned());
        service.networks.clear();
    };
    let scene = Scene::new(&["app", "vpn"]).with("app", shares);
    let first = plan(&scene.agreed, &scene.observed, &scene.now).to_string();
    assert!(first.contains("shop/vpn 1") && !first.contains("shop/app 1"), "{first}");

    let scene = scene.task("vpn").task("app");
    let look = look::Look::new(&scene.agreed, &scene.observed, &scene.now);
    assert!(look.is_current(TaskId(2)));
    // The owner was stopped and started again: it is another task now.
    let mut replaced = scene.clone();
    replaced.agreed.tasks.remove(&TaskId(1));
    let replaced = replaced.task("vpn");
    let look = look::Look::new(&replaced.agreed, &replaced.observed, &replaced.now);
    assert!(look.is_current(TaskId(3)) && !look.is_current(TaskId(2)));
}
