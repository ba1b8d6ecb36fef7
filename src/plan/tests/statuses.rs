//! What people are told.

use super::*;

/// The state of task 1 and the reason for it.
fn task(scene: &Scene) -> (TaskState, String) {
    let status = scene.status().tasks.remove(0);
    (status.state, status.reason.unwrap_or_default())
}

fn web() -> Scene {
    Scene::new(&["web"]).task("web")
}

#[test]
fn a_task_goes_from_pending_to_running() {
    let scene = Scene::new(&["db", "web"]).needs("db", "web", Condition::Started);
    let scene = scene.task("db").task("web");
    assert_eq!(task(&scene), (TaskState::Pending, "waiting for web to start".to_owned()));
    assert_eq!(task(&web().attempt(1, 1)).0, TaskState::Starting);
    assert_eq!(task(&web().container(1, Phase::Creating).busy()).0, TaskState::Starting);
    let running = web().running(1, Health::None).status();
    assert!(running.converged);
    let running = &running.tasks[0];
    assert_eq!((running.state, running.pid), (TaskState::Running, Some(1)));
    assert_eq!(running.running_for, Some(seconds(50)));
    assert_eq!(running.addresses["shop_default"].to_string(), "10.200.0.2");
    assert!(running.wanted);
}

#[test]
fn a_restart_says_when_and_why() {
    let failed = |fails, wait: u64| {
        web().attempt(1, 4).change(1, |task| {
            let at = at(100) + Duration::from_millis(wait);
            task.not_before = Some(Deadline { boot: BootId("b".to_owned()), at });
            task.fails = fails;
            task.last_exit = Some(Exit { code: 1, ..Exit::default() });
        })
    };
    let reason = |fails, wait| task(&failed(fails, wait)).1;
    assert_eq!(reason(1, 0), "restarting: exited with status 1");
    assert_eq!(reason(2, 2100), "restarting in 3 s: exited with status 1");
    let often = "restarting in 1 s (failed 3 times in a row): exited with status 1";
    assert_eq!(reason(3, 400), often);
    assert_eq!(task(&failed(3, 400)).0, TaskState::Restarting);
    assert_eq!(failed(2, 2100).status().failed, None);
    let status = failed(3, 400).status();
    let failure = "service web: failed 3 times in a row: exited with status 1";
    assert_eq!((status.failed.as_deref(), status.converged), (Some(failure), false));
}

#[test]
fn an_end_says_why() {
    let ended = |exit: Exit| {
        let phase = Phase::Exited(exit.clone());
        let scene = web().container(1, phase);
        let scene = scene.change(1, |task| task.outcome = Some(Outcome::Failed(exit)));
        (scene.status().failed.unwrap(), scene.status().tasks[0].exit_code)
    };
    let oom = ended(Exit { code: 137, oom: true, ..Exit::default() });
    assert_eq!(oom, ("service web: killed for lack of memory".to_owned(), Some(137)));
    let signal = ended(Exit { code: 139, ..Exit::default() });
    assert_eq!(signal.0, "service web: exited with status 139 (signal 11)");
    let error = Some("cannot run /bin/nothing: it is not there".to_owned());
    let error = ended(Exit { code: 127, error, ..Exit::default() });
    assert_eq!(error.0, "service web: cannot run /bin/nothing: it is not there");
}

#[test]
fn a_job_that_has_completed_is_as_wanted() {
    let done = Outcome::Completed(Exit::default());
    let scene = web().exited(1, 0).change(1, |task| {
        task.fails = 5;
        task.outcome = Some(done);
    });
    let status = scene.status();
    assert_eq!((status.converged, status.failed), (true, None));
    assert_eq!(status.tasks[0].state, TaskState::Completed);
    assert_eq!(status.services["web"].available, 1);
}

#[test]
fn what_just_failed_has_to_show_first_that_it_runs() {
    let scene = web().running(1, Health::None);
    assert!(!scene.clone().change(1, |task| task.fails = 1).status().converged);
    assert!(scene.status().converged);
}

#[test]
fn a_check_has_to_succeed_first() {
    let scene = Scene::new(&["web"]).checked("web").task("web");
    let converged = |health| scene.clone().running(1, health).status().converged;
    assert!(!converged(Health::Starting) && !converged(Health::Unhealthy));
    assert!(converged(Health::Healthy));
}

#[test]
fn unhealthy_again_after_a_restart_is_a_failure() {
    let scene = Scene::new(&["web"]).checked("web").task("web").running(1, Health::Unhealthy);
    assert_eq!(scene.status().failed, None);
    let again = scene.clone().change(1, |task| task.fails = 1).status().failed.unwrap();
    assert_eq!(again, "service web: unhealthy, also after a restart");
    let left = scene.with("web", |service| service.deploy.restart.on_unhealthy = false);
    let mut left = left.clone();
    left.agreed.tasks.clear();
    left.agreed.next_task = 1;
    let left = left.task("web").running(1, Health::Unhealthy);
    assert_eq!(left.status().failed.unwrap(), "service web: unhealthy");
    assert_eq!(task(&left).1, "unhealthy; its restart policy leaves it running");
}

#[test]
fn an_update_has_converged_when_the_old_ones_are_gone() {
    let scene = web().running(1, Health::None).with("web", |service| service.tty = true);
    let status = scene.status();
    assert_eq!((status.converged, status.tasks[0].wanted), (false, false));
    let ending = scene.change(1, |task| task.want = Want::Stop);
    assert_eq!(task(&ending).0, TaskState::Stopping);
}

#[test]
fn a_stopped_service_is_as_wanted_when_it_has_ended() {
    let mut scene = web().running(1, Health::None).change(1, |task| task.want = Want::Stop);
    scene.stack().stopped.insert("web".to_owned());
    assert!(!scene.status().converged);
    let ended = scene.exited(1, 143);
    let status = ended.status();
    assert!(status.converged);
    assert_eq!(task(&ended), (TaskState::Completed, "stopped".to_owned()));
    assert_eq!((status.services["web"].wanted, status.services["web"].stopped), (0, true));
}

#[test]
fn a_stack_that_is_removed_never_converges_again() {
    let mut scene = web().running(1, Health::None);
    scene.stack().removing = Some(Removal::default());
    let status = scene.status();
    assert_eq!((status.converged, status.removing, status.failed), (false, true, None));
}

#[test]
fn a_task_shows_the_ports_that_lead_to_it() {
    let scene = Scene::new(&["web"]).with("web", |service| {
        let (published, protocol) = (Some((8080, 8080)), Protocol::Tcp);
        service.ports.push(Port { target: 80, published, host_ip: None, protocol, name: None });
    });
    let scene = scene.task("web").running(1, Health::None);
    assert_eq!(scene.status().tasks[0].publications[0].host_port, 8080);
    assert!(scene.exited(1, 1).status().tasks[0].publications.is_empty());
}
