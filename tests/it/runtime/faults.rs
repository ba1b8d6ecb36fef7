//! What happens when parts of the runtime die.

use std::path::Path;
use std::time::Duration;

use orca::runtime::log::{LogQuery, LogReader, Stream};
use orca::runtime::{ContainerPhase, Runtime, RuntimeError};

use super::bed::{Bed, open, output, process_named};

#[tokio::test]
async fn containers_outlive_the_launcher() {
    let bed = Bed::new().await;
    let request = bed.shell("sleep 0.5; exit 11");
    let id = request.container.id.clone();
    bed.runtime.start(request).await.unwrap();
    let launcher = process_named(&format!("orca launcher {}", bed.instance.kernel_name())).unwrap();
    kill(launcher);
    assert_eq!(bed.wait(&id).await.code, 11);
    // And the next start begins another one.
    assert_eq!(bed.run(bed.shell("exit 12")).await.0.code, 12);
    bed.end().await;
}

#[tokio::test]
async fn a_new_daemon_hears_that_a_shim_was_killed_meanwhile() {
    let bed = Bed::new().await;
    let request = bed.request(&["sleep", "100"]);
    let id = request.container.id.clone();
    let pid = bed.runtime.start(request).await.unwrap();
    kill(parent(pid));
    let again = open(&bed.instance).await;
    let record = again.container(&id).unwrap();
    let ContainerPhase::Exited(exit) = record.phase else { panic!("{record:?}") };
    assert_eq!((exit.code, exit.error), (255, None));
    assert!(exit.ran > Duration::ZERO);
    bed.wait(&id).await;
    bed.end().await;
}

#[tokio::test]
async fn many_containers_start_and_end_at_once_and_none_is_lost() {
    let bed = Bed::new().await;
    let requests = (0..24).map(|n| bed.shell(&format!("echo n{n}; exit {n}"))).collect::<Vec<_>>();
    let runs = requests.into_iter().enumerate().map(|(n, request)| {
        let log = request.log_dir.clone();
        let (id, runtime) = (request.container.id.clone(), bed.runtime.clone());
        let bed = &bed;
        async move {
            runtime.start(request).await.unwrap();
            assert_eq!(bed.wait(&id).await.code, i32::try_from(n).unwrap());
            assert_eq!(output(&log).await, format!("n{n}\n"));
        }
    });
    futures_util::future::join_all(runs).await;
    bed.end().await;
}

#[tokio::test]
async fn nothing_is_lost_however_often_the_daemon_is_replaced() {
    let bed = Bed::new().await;
    let mut ids = Vec::new();
    for n in 0..10 {
        let request = bed.shell(&format!("sleep 0.{n}; exit {}", 50 + n));
        ids.push(request.container.id.clone());
        bed.runtime.start(request).await.unwrap();
        let again = open(&bed.instance).await;
        assert_eq!(again.containers().len(), ids.len());
    }
    let last = open(&bed.instance).await;
    for (n, id) in ids.iter().enumerate() {
        assert_eq!(last.wait(id).await.unwrap().code, 50 + i32::try_from(n).unwrap());
        bed.wait(id).await;
    }
    bed.end().await;
}

#[tokio::test]
async fn a_start_that_is_cut_off_leaves_nothing_odd() {
    let bed = Bed::new().await;
    // As a daemon leaves it that is killed in the middle: a directory and no record.
    let request = bed.request(&["true"]);
    let dir = bed.instance.run.join("c").join(request.container.id.as_str());
    std::fs::create_dir_all(dir.join("root")).unwrap();
    let again = open(&bed.instance).await;
    assert_eq!(again.containers().len(), 0);
    assert!(!dir.exists());
    bed.end().await;
}

#[tokio::test]
async fn a_start_that_was_handed_to_nobody_is_as_if_it_had_never_been() {
    let bed = Bed::new().await;
    let mut request = bed.request(&["true"]);
    request.container.cgroup_parent = Some("/orca-test-parent".to_owned());
    let id = request.container.id.clone();
    let dir = bed.instance.run.join("c").join(id.as_str());
    bed.runtime.start(request.clone()).await.unwrap();
    bed.wait(&id).await;
    // As a daemon leaves it that is killed before it has found a launcher: a record, a cgroup, a socket.
    let record = std::fs::read(dir.join("container.json")).unwrap();
    let place = std::fs::read(dir.join("place")).unwrap();
    bed.runtime.remove(&id).await.unwrap();
    for known in [true, false] {
        std::fs::create_dir_all(dir.join("root")).unwrap();
        std::fs::write(dir.join("place"), &place).unwrap();
        std::fs::write(dir.join("lock"), "").unwrap();
        if known {
            std::fs::write(dir.join("container.json"), &record).unwrap();
        }
        let cgroups = make_cgroups(&String::from_utf8_lossy(&place));
        let again = open(&bed.instance).await;
        assert_eq!(again.containers().len(), 0, "it did not run, so it did not end either");
        assert!(!dir.exists());
        for cgroup in cgroups {
            assert!(!cgroup.exists(), "{}", cgroup.display());
            std::fs::remove_dir(cgroup.parent().unwrap()).unwrap();
        }
        // It is asked for once more, and runs.
        request.rootfs = bed.request(&["true"]).rootfs;
        again.start(request.clone()).await.unwrap();
        assert_eq!(again.wait(&id).await.unwrap().code, 0);
        again.remove(&id).await.unwrap();
    }
    bed.end().await;
}

/// The cgroups of that name, in each hierarchy where a container has one.
fn make_cgroups(place: &str) -> Vec<std::path::PathBuf> {
    let base = Path::new("/sys/fs/cgroup");
    let hierarchies = ["memory", "pids", "cpu", "devices", "freezer"].map(|name| base.join(name));
    let there = hierarchies.into_iter().filter(|one| one.join("cgroup.procs").exists());
    let made: Vec<_> = there.map(|one| one.join(place.trim_start_matches('/'))).collect();
    for one in &made {
        std::fs::create_dir_all(one).unwrap();
    }
    made
}

#[tokio::test]
async fn processes_have_an_end_and_the_container_can_still_be_removed() {
    let bed = Bed::new().await;
    let mut request = bed.shell("f() { f | f & }; f; sleep 100");
    request.container.resources.pids = Some(50);
    let id = request.container.id.clone();
    bed.runtime.start(request).await.unwrap();
    let mut most = 0;
    for _ in 0..50 {
        // It may have ended of what it is.
        let Ok(processes) = bed.runtime.processes(&id).await else { break };
        most = most.max(processes.len());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(most <= 50, "{most}");
    bed.runtime.remove(&id).await.unwrap();
    bed.end().await;
}

#[tokio::test]
async fn a_container_without_room_for_one_process_says_why() {
    let bed = Bed::new().await;
    let mut request = bed.shell("sleep 1 & echo $?; wait");
    request.container.resources.pids = Some(1);
    let (_, said) = bed.run(request).await;
    assert!(said.contains("fork"), "{said}");
    bed.end().await;
}

#[tokio::test]
async fn a_program_may_close_its_streams() {
    let bed = Bed::new().await;
    let (exit, said) = bed.run(bed.shell("echo first; exec <&- >&- 2>&-; sleep 0.3; exit 7")).await;
    assert_eq!((exit.code, said.as_str()), (7, "first\n"));
    bed.end().await;
}

#[tokio::test]
async fn a_flood_of_output_fills_neither_disk_nor_memory() {
    let bed = Bed::new().await;
    let mut request = bed.shell("yes a-line-that-is-written-again-and-again | head -c 50000000");
    request.container.logging.max_size = 1 << 20;
    request.container.logging.max_files = 2;
    let log = request.log_dir.clone();
    let id = request.container.id.clone();
    bed.runtime.start(request).await.unwrap();
    assert_eq!(bed.wait(&id).await.code, 0);
    let size = |entry: std::fs::DirEntry| entry.metadata().unwrap().len();
    let total: u64 = std::fs::read_dir(&log).unwrap().flatten().map(size).sum();
    assert!(total < 3 << 20, "{total}");
    bed.end().await;
}

#[tokio::test]
async fn a_full_disk_stops_the_log_and_not_the_program() {
    use nix::mount::{MntFlags, MsFlags, mount, umount2};
    let bed = Bed::new().await;
    let small = bed.dir.path().join("small");
    std::fs::create_dir(&small).unwrap();
    mount(Some("tmpfs"), &small, Some("tmpfs"), MsFlags::empty(), Some("size=256k")).unwrap();
    let mut request =
        bed.shell("yes a-line-that-is-written-again-and-again | head -c 5000000; exit 9");
    request.log_dir = small.clone();
    let id = request.container.id.clone();
    let started = bed.runtime.start(request).await;
    let exit = bed.wait(&id).await;
    umount2(&small, MntFlags::MNT_DETACH).unwrap();
    started.unwrap();
    assert_eq!(exit.code, 9);
    bed.end().await;
}

#[tokio::test]
async fn a_full_disk_loses_lines_and_says_so_and_all_is_well_once_there_is_room() {
    use nix::mount::{MntFlags, MsFlags, mount, umount2};
    let bed = Bed::new().await;
    let small = bed.dir.path().join("small");
    std::fs::create_dir(&small).unwrap();
    mount(Some("tmpfs"), &small, Some("tmpfs"), MsFlags::empty(), Some("size=256k")).unwrap();
    let mut request = bed.shell(
        "echo first; yes flood | head -c 2000000; touch /tmp/flooded; \
         while ! test -e /tmp/room; do sleep 0.05; done; echo last; exit 9",
    );
    request.log_dir = small.clone();
    let id = request.container.id.clone();
    bed.runtime.start(request).await.unwrap();
    // The program came through its flood, although nobody could keep it.
    let script = "while ! test -e /tmp/flooded; do sleep 0.05; done";
    assert_eq!(bed.exec(&id, script).await.0, 0);
    mount(None::<&str>, &small, None::<&str>, MsFlags::MS_REMOUNT, Some("size=8m")).unwrap();
    assert_eq!(bed.exec(&id, "touch /tmp/room").await.0, 0);
    let exit = bed.wait(&id).await;
    let (said, kept, lost) = sizes(&small);
    umount2(&small, MntFlags::MNT_DETACH).unwrap();
    assert_eq!(exit.code, 9);
    assert!(said.starts_with("first\n") && said.ends_with("last\n"), "{kept} {lost}");
    assert!(lost > 1_000_000, "{lost}");
    let all = 2_000_000 + "first\nlast\n".len();
    assert_eq!(kept + lost, all, "what is kept and what is told to be lost is all there was");
    bed.end().await;
}

/// What a log has of the program's output, how many bytes that is, and how many it says are missing.
fn sizes(log: &Path) -> (String, usize, usize) {
    let mut reader = LogReader::open(log, LogQuery::default()).unwrap();
    let (mut said, mut lost) = (Vec::new(), 0);
    while let Some(record) = reader.read().unwrap() {
        if record.stream == Stream::Orca {
            let told = String::from_utf8(record.bytes).unwrap();
            lost += told.split(' ').next().unwrap().parse::<usize>().expect("how many bytes");
        } else {
            said.extend(record.bytes);
            said.extend((!record.partial).then_some(b'\n'));
        }
    }
    let kept = said.len();
    (String::from_utf8(said).unwrap(), kept, lost)
}

#[tokio::test]
async fn what_was_written_before_a_shim_was_killed_is_whole_and_the_next_attempt_goes_on() {
    let bed = Bed::new().await;
    let request = bed.shell("i=0; while :; do i=$((i+1)); echo line $i; done");
    let (id, log) = (request.container.id.clone(), request.log_dir.clone());
    let pid = bed.runtime.start(request).await.unwrap();
    bed.until(&log, "line 2000\n").await;
    kill(parent(pid));
    assert_eq!(bed.wait(&id).await.code, 255);
    let said = output(&log).await;
    for (found, number) in said.lines().zip(1..) {
        assert_eq!(found, format!("line {number}"));
    }
    let mut next = bed.shell("echo the next attempt");
    next.log_dir = log.clone();
    let next_id = next.container.id.clone();
    bed.runtime.start(next).await.unwrap();
    bed.wait(&next_id).await;
    assert_eq!(output(&log).await, format!("{said}the next attempt\n"));
    bed.end().await;
}

#[tokio::test]
async fn a_file_is_not_mounted_on_a_directory_nor_the_other_way() {
    let bed = Bed::new().await;
    let file = bed.dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    for (source, target) in [(file.as_path(), "/data"), (bed.dir.path(), "/etc/passwd")] {
        let mut request = bed.request(&["true"]);
        request.mounts = vec![super::bed::bind(source, target, false)];
        let error = bed.runtime.start(request).await.unwrap_err();
        assert!(error.message.contains(target), "{error}");
        assert!(error.message.contains("directory"), "{error}");
    }
    bed.end().await;
}

#[tokio::test]
async fn a_container_cannot_be_started_twice_and_an_unknown_one_not_asked() {
    let bed = Bed::new().await;
    let request = bed.request(&["sleep", "100"]);
    let id = request.container.id.clone();
    bed.runtime.start(request.clone()).await.unwrap();
    let error = bed.runtime.start(request).await.unwrap_err();
    assert!(error.message.contains("already"), "{error}");
    bed.runtime.remove(&id).await.unwrap();
    bed.runtime.remove(&id).await.unwrap();
    let error = bed.runtime.kill(&id, "TERM").await.unwrap_err();
    assert!(matches!(error, RuntimeError::Unknown(_)), "{error}");
    bed.end().await;
}

#[tokio::test]
async fn without_an_executable_there_is_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let instance = orca::model::Instance { root: dir.path().into(), run: dir.path().join("run") };
    let error = Runtime::open_with(&instance, Path::new("/nonexistent")).await.unwrap_err();
    assert!(error.to_string().starts_with("cannot start the launcher /nonexistent"), "{error}");
}

fn kill(pid: i32) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
}

fn parent(pid: u32) -> i32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().parse().unwrap()
}
