//! Start, end, and what is known of both.

use std::time::Duration;

use orca::runtime::{ContainerPhase, StartError};

use super::bed::{Bed, open, output};

#[tokio::test]
async fn a_program_runs_and_its_exit_status_is_known() {
    let bed = Bed::new().await;
    let (exit, said) = bed.run(bed.shell("echo hello; exit 7")).await;
    assert_eq!(exit.code, 7, "{said}");
    assert!(said.contains("hello"), "{said}");
    assert!(!exit.oom);
    assert_eq!(exit.error, None);
    bed.end().await;
}

#[tokio::test]
async fn a_program_that_is_killed_has_the_status_of_its_signal() {
    let bed = Bed::new().await;
    let request = bed.request(&["sleep", "100"]);
    let id = request.container.id.clone();
    let pid = bed.runtime.start(request).await.unwrap();
    let record = bed.runtime.container(&id).unwrap();
    let ContainerPhase::Running { pid: told, stopping, paused, .. } = record.phase else {
        panic!("{record:?}")
    };
    assert_eq!((told, stopping, paused), (pid, false, false));
    assert_eq!(record.container.labels["test"], "yes");
    bed.runtime.kill(&id, "KILL").await.unwrap();
    assert_eq!(bed.wait(&id).await.code, 137);
    bed.end().await;
}

#[tokio::test]
async fn a_program_that_is_not_there_is_127() {
    let bed = Bed::new().await;
    for (args, code, words) in [
        (["nothere", ""], 127, "exec: \"nothere\": executable file not found in $PATH"),
        (["/bin/nothere", ""], 127, "no such file or directory"),
        (["/etc/passwd", ""], 126, "permission denied"),
    ] {
        let request = bed.request(&args);
        let id = request.container.id.clone();
        let StartError { code: told, message } = bed.runtime.start(request).await.unwrap_err();
        assert_eq!(told, code, "{message}");
        assert!(message.contains(words), "{message}");
        let record = bed.runtime.container(&id).unwrap();
        let ContainerPhase::Exited(exit) = record.phase else { panic!("{record:?}") };
        assert_eq!((exit.code, exit.error), (code, Some(message)));
    }
    bed.end().await;
}

#[tokio::test]
async fn stop_asks_and_the_shim_kills_after_the_grace() {
    let bed = Bed::new().await;
    let polite = bed.shell("trap 'exit 3' TERM; while true; do sleep 0.05; done");
    let deaf = bed.shell("trap '' TERM; while true; do sleep 0.05; done");
    let ids = [polite.container.id.clone(), deaf.container.id.clone()];
    bed.runtime.start(polite).await.unwrap();
    bed.runtime.start(deaf).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    bed.runtime.stop(&ids[0], "SIGTERM", Duration::from_secs(20)).await.unwrap();
    bed.runtime.stop(&ids[1], "", Duration::from_millis(200)).await.unwrap();
    assert_eq!(bed.wait(&ids[0]).await.code, 3);
    assert_eq!(bed.wait(&ids[1]).await.code, 137);
    bed.end().await;
}

/// Its first process drops signals that it has no handler for: without another the program would be
/// killed when its time is over.
#[tokio::test]
async fn a_program_that_is_stopped_before_it_listens_is_asked_again() {
    let bed = Bed::new().await;
    let late = bed.shell("sleep 1; trap 'exit 3' TERM; while true; do sleep 0.05; done");
    let id = late.container.id.clone();
    bed.runtime.start(late).await.unwrap();
    bed.runtime.stop(&id, "SIGTERM", Duration::from_secs(20)).await.unwrap();
    assert_eq!(bed.wait(&id).await.code, 3);
    bed.end().await;
}

#[tokio::test]
async fn a_daemon_that_comes_back_finds_all_containers() {
    let bed = Bed::new().await;
    let lasting = bed.shell("echo before; sleep 0.5; echo after; sleep 100");
    let ending = bed.shell("sleep 0.2; exit 9");
    let log = lasting.log_dir.clone();
    let ids = [lasting.container.id.clone(), ending.container.id.clone()];
    let pid = bed.runtime.start(lasting).await.unwrap();
    bed.runtime.start(ending).await.unwrap();
    bed.runtime.stop(&ids[0], "CONT", Duration::from_secs(100)).await.unwrap();
    // The first daemon knows nothing of what happens now: it is another process to the shims.
    tokio::time::sleep(Duration::from_millis(700)).await;
    let again = open(&bed.instance).await;
    let found = again.containers();
    let ContainerPhase::Running { pid: told, stopping, .. } = found[&ids[0]].phase else {
        panic!("{found:?}")
    };
    assert_eq!((told, stopping), (pid, true));
    let ContainerPhase::Exited(exit) = &found[&ids[1]].phase else { panic!("{found:?}") };
    assert_eq!(exit.code, 9);
    assert!(output(&log).await.contains("after"));
    // And both daemons hear of what happens next.
    again.kill(&ids[0], "KILL").await.unwrap();
    assert_eq!(again.wait(&ids[0]).await.unwrap().code, 137);
    assert_eq!(bed.wait(&ids[0]).await.code, 137);
    bed.end().await;
}

#[tokio::test]
async fn a_container_ends_when_its_shim_is_killed() {
    let bed = Bed::new().await;
    let request = bed.request(&["sleep", "100"]);
    let id = request.container.id.clone();
    let pid = bed.runtime.start(request).await.unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let shim: i32 =
        stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(shim), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
    assert_eq!(bed.wait(&id).await.code, 255);
    for _ in 0..100 {
        if !std::path::Path::new(&format!("/proc/{pid}")).exists() {
            return bed.end().await;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("process {pid} is still there");
}
