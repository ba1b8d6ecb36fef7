//! Client and server over a real unix socket, with a daemon that only remembers.

mod fake;

use futures_util::StreamExt as _;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use self::fake::Fake;
use super::*;
use crate::api::control::{
    ErrorKind, Exec, ImportImage, LogOptions, SaveImages, Scale, Services, SessionInput,
    SessionOutput, WindowSize,
};
use crate::api::message::{LogRequest, Period, Recreate, Target, Up};
use crate::api::{Client, ClientError};
use crate::model::{Instance, Project, TaskState, Timestamp};

/// A server at a socket of its own, and a client.
struct Bench {
    fake: Arc<Fake>,
    client: Client,
    instance: Instance,
    end: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
    _directory: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (root, run) = (directory.path().join("root"), directory.path().to_owned());
        let instance = Instance { root, run };
        let listener = UnixListener::bind(instance.socket()).unwrap();
        let fake = Arc::new(Fake::default());
        let (end, ended) = oneshot::channel();
        let control: Arc<dyn Control> = fake.clone();
        let serving = tokio::spawn(async move {
            let shutdown = async { ended.await.unwrap_or_default() };
            serve(listener, control, shutdown).await.unwrap();
        });
        let client = Client::connect(&instance).await.unwrap();
        Self { fake, client, instance, end: Some(end), serving, _directory: directory }
    }

    fn end(&mut self) {
        self.end.take().unwrap().send(()).unwrap();
    }
}

fn target(names: &[&str]) -> Target {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    Target { stack: "shop".to_owned(), names, index: None }
}

fn project(services: &[&str]) -> Project {
    let service = |name: &&str| ((*name).to_owned(), crate::model::Service::default());
    let services = services.iter().map(service).collect();
    Project { name: "shop".to_owned(), services, ..Project::default() }
}

fn up(services: &[&str]) -> Up {
    Up { project: project(services), ..Up::default() }
}

#[track_caller]
fn refusal<T>(reply: Result<T, ClientError>) -> crate::api::ControlError {
    match reply {
        Err(ClientError::Refused(error)) => error,
        Err(other) => panic!("not a refusal: {other:?}"),
        Ok(_) => panic!("it was not refused"),
    }
}

/// Waits for something that must not take long.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), what).await.expect("it took too long")
}

#[tokio::test]
async fn a_project_arrives_as_it_was_sent() {
    let bench = Bench::new().await;
    let mut wanted = up(&["db", "web"]);
    wanted.recreate = Recreate::Always;
    let applied = bench.client.apply(&wanted).await.unwrap();
    assert_eq!(applied.generation, 1);
    assert_eq!(applied.warnings, ["a warning"]);
    let arrived = bench.fake.applied.lock().unwrap().pop().unwrap();
    assert_eq!(arrived.project, wanted.project);
    assert_eq!(arrived.recreate, ["db", "web"]);
}

#[tokio::test]
async fn an_error_arrives_with_its_kind_sentence_and_hint() {
    let bench = Bench::new().await;
    bench.fake.fail("service `wéb`: image `nginx:1` is not here", Some("load it: `orca …`"));
    let error = refusal(bench.client.apply(&up(&["web"])).await);
    assert_eq!(error.kind, ErrorKind::FailedPrecondition);
    assert_eq!(error.message, "service `wéb`: image `nginx:1` is not here");
    assert_eq!(error.hint.as_deref(), Some("load it: `orca …`"));
}

#[tokio::test]
async fn an_endless_error_is_cut() {
    let bench = Bench::new().await;
    bench.fake.fail(&"ü".repeat(100_000), None);
    let error = refusal(bench.client.apply(&up(&["web"])).await);
    assert_eq!(error.message.len(), 4096);
}

#[tokio::test]
async fn a_stack_that_is_not_there_is_not_found() {
    let bench = Bench::new().await;
    let error = refusal(bench.client.stack("shop").await);
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert_eq!(error.message, "there is no stack `shop`");
    assert_eq!(error.hint.as_deref(), Some("`orca ls` lists the stacks"));
}

#[tokio::test]
async fn a_service_that_is_not_there_is_named_with_those_that_are() {
    let bench = Bench::new().await;
    bench.fake.show(&[("web", 1, TaskState::Running)]);
    let services = Services {
        stack: "shop".to_owned(),
        services: vec!["wbe".to_owned()],
        ..Services::default()
    };
    let error = refusal(bench.client.stop(services).await);
    assert_eq!(error.message, "there is no service or container `wbe`");
    assert_eq!(error.hint.as_deref(), Some("the services are: web"));
}

#[tokio::test]
async fn no_services_named_means_all() {
    let bench = Bench::new().await;
    bench.fake.show(&[("db", 1, TaskState::Running), ("web", 1, TaskState::Running)]);
    let grace = Some(Duration::from_millis(1500));
    let services =
        Services { stack: "shop".to_owned(), services: Vec::new(), grace, remove: false };
    bench.client.restart(services).await.unwrap();
    let calls = bench.fake.calls();
    assert_eq!(calls, ["restart shop [\"db\", \"web\"] Some(1.5s)"]);
}

#[tokio::test]
async fn a_slip_of_the_finger_does_not_start_a_million_containers() {
    let bench = Bench::new().await;
    bench.fake.show(&[("web", 1, TaskState::Running)]);
    let scale =
        |count| Scale { stack: "shop".to_owned(), replicas: [("web".to_owned(), count)].into() };
    let error = refusal(bench.client.scale(scale(1_000_000)).await);
    assert_eq!(error.kind, ErrorKind::InvalidInput);
    bench.client.scale(scale(3)).await.unwrap();
    assert_eq!(bench.fake.calls(), ["scale shop {\"web\": 3}"]);
}

#[tokio::test]
async fn a_watch_tells_what_is_what_changes_and_that_it_is_gone() {
    let bench = Bench::new().await;
    let mut watch = bench.client.watch("shop").await.unwrap();
    assert_eq!(soon(watch.next()).await.unwrap().unwrap(), None);
    bench.fake.show(&[("web", 1, TaskState::Starting)]);
    let report = soon(watch.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(report.status.tasks[0].state, TaskState::Starting);
    bench.fake.show(&[("web", 1, TaskState::Running)]);
    let report = soon(watch.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(report.status.tasks[0].state, TaskState::Running);
    bench.fake.show(&[]);
    assert_eq!(soon(watch.next()).await.unwrap().unwrap(), None);
}

#[tokio::test]
async fn every_stream_ends_with_the_daemon() {
    let mut bench = Bench::new().await;
    bench.fake.show(&[("web", 1, TaskState::Running)]);
    let mut watch = bench.client.watch("shop").await.unwrap();
    let mut events = bench.client.events(None, &[], Period::default()).await.unwrap();
    soon(watch.next()).await.unwrap().unwrap();
    bench.end();
    assert!(soon(watch.next()).await.is_none());
    assert!(soon(events.next()).await.is_none());
    soon(bench.serving).await.unwrap();
}

#[tokio::test]
async fn where_no_daemon_is_the_client_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let run = directory.path().to_owned();
    let instance = Instance { root: run.clone(), run };
    let error = Client::connect(&instance).await.unwrap_err();
    assert!(matches!(error, ClientError::NoDaemon { .. }), "{error:?}");
    // A socket that a killed daemon left behind is the same.
    drop(std::os::unix::net::UnixListener::bind(instance.socket()).unwrap());
    let error = Client::connect(&instance).await.unwrap_err();
    assert!(matches!(error, ClientError::NoDaemon { .. }), "{error:?}");
}

#[tokio::test]
async fn a_client_finds_the_next_daemon_at_the_same_socket() {
    let mut bench = Bench::new().await;
    bench.end();
    soon(&mut bench.serving).await.unwrap();
    let error = bench.client.version().await.unwrap_err();
    assert!(error.is_unreachable(), "{error:?}");
    std::fs::remove_file(bench.instance.socket()).unwrap();
    let listener = UnixListener::bind(bench.instance.socket()).unwrap();
    tokio::spawn(serve(listener, bench.fake.clone(), std::future::pending()));
    let version = soon(async {
        loop {
            if let Ok(version) = bench.client.version().await {
                return version;
            }
        }
    });
    assert_eq!(version.await.api, crate::api::API_VERSION);
}

#[tokio::test]
async fn what_goes_to_a_program_comes_back_with_its_status() {
    let bench = Bench::new().await;
    bench.fake.show(&[("web", 1, TaskState::Running)]);
    let exec = Exec { args: vec!["cat".to_owned()], stdin: true, ..Exec::default() };
    let mut session = bench.client.exec(target(&["web"]), exec).await.unwrap();
    let hello = SessionInput::Stdin(b"hello".to_vec());
    session.input.send(hello).await.unwrap();
    assert_eq!(
        soon(session.output.next()).await.unwrap(),
        SessionOutput::Stdout(b"hello".to_vec())
    );
    let size = WindowSize { rows: 24, columns: 80 };
    session.input.send(SessionInput::Resize(size)).await.unwrap();
    let resized = SessionOutput::Stderr(b"24x80".to_vec());
    assert_eq!(soon(session.output.next()).await.unwrap(), resized);
    session.input.send(SessionInput::CloseStdin).await.unwrap();
    assert_eq!(soon(session.output.next()).await.unwrap(), SessionOutput::Exited(7));
}

#[tokio::test]
async fn an_input_that_is_over_does_not_end_the_program() {
    let bench = Bench::new().await;
    bench.fake.show(&[("web", 1, TaskState::Running)]);
    let exec = Exec { args: vec!["sleep".to_owned()], ..Exec::default() };
    let mut session = bench.client.exec(target(&["web"]), exec).await.unwrap();
    drop(session.input);
    tokio::time::sleep(Duration::from_millis(100)).await;
    bench.fake.let_go.notify_one();
    assert_eq!(soon(session.output.next()).await.unwrap(), SessionOutput::Exited(0));
}

#[tokio::test]
async fn a_program_is_hung_up_when_its_caller_goes() {
    let bench = Bench::new().await;
    bench.fake.show(&[("web", 1, TaskState::Running)]);
    let exec = Exec { args: vec!["cat".to_owned()], stdin: true, ..Exec::default() };
    let session = bench.client.exec(target(&["web"]), exec).await.unwrap();
    drop(session);
    soon(bench.fake.hung_up.notified()).await;
}

#[tokio::test]
async fn an_exec_needs_a_container_that_runs() {
    let bench = Bench::new().await;
    bench.fake.show(&[("web", 1, TaskState::Restarting)]);
    let exec = Exec { args: vec!["cat".to_owned()], ..Exec::default() };
    let error = refusal(bench.client.exec(target(&["web"]), exec).await.map(|_| ()));
    assert_eq!(error.kind, ErrorKind::FailedPrecondition);
    assert_eq!(error.message, "no container of `web` is running");
    let error = refusal(bench.client.exec(target(&["web"]), Exec::default()).await.map(|_| ()));
    assert_eq!(error.kind, ErrorKind::InvalidInput);
}

async fn lines(bench: &Bench, options: LogOptions) -> Vec<String> {
    let request = LogRequest { target: target(&[]), options };
    let entries = bench.client.logs(request).await.unwrap();
    let line = |entry: Result<crate::api::LogEntry, _>| {
        let entry = entry.unwrap();
        format!("{} {}", entry.container, String::from_utf8(entry.line.line).unwrap())
    };
    soon(entries.map(line).collect()).await
}

#[tokio::test]
async fn logs_of_many_containers_are_merged_by_time() {
    let bench = Bench::new().await;
    bench.fake.show(&[("db", 1, TaskState::Running), ("web", 1, TaskState::Running)]);
    bench.fake.log(1, &[(10, "a"), (30, "c")]);
    bench.fake.log(2, &[(20, "b"), (40, "d")]);
    let lines = lines(&bench, LogOptions::default()).await;
    assert_eq!(lines, ["shop-db-1 a", "shop-web-1 b", "shop-db-1 c", "shop-web-1 d"]);
}

#[tokio::test]
async fn a_followed_log_shows_containers_that_appear_and_ends_with_the_stack() {
    let bench = Bench::new().await;
    bench.fake.show(&[("db", 1, TaskState::Running)]);
    bench.fake.log(1, &[(10, "a")]);
    bench.fake.log(2, &[(5, "b")]);
    let options = LogOptions { follow: true, ..LogOptions::default() };
    let request = LogRequest { target: target(&[]), options };
    let mut entries = bench.client.logs(request).await.unwrap();
    assert_eq!(soon(entries.next()).await.unwrap().unwrap().container, "shop-db-1");
    bench.fake.show(&[("db", 1, TaskState::Running), ("web", 1, TaskState::Running)]);
    assert_eq!(soon(entries.next()).await.unwrap().unwrap().container, "shop-web-1");
    bench.fake.show(&[]);
    bench.fake.end_logs();
    assert!(soon(entries.next()).await.is_none());
}

#[tokio::test]
async fn one_act_reaches_all_containers_that_run() {
    let bench = Bench::new().await;
    bench.fake.show(&[
        ("web", 1, TaskState::Running),
        ("web", 2, TaskState::Failed),
        ("web", 3, TaskState::Paused),
    ]);
    let names = bench.client.kill(target(&["web"]), "HUP").await.unwrap();
    assert_eq!(names, ["shop-web-1", "shop-web-3"]);
    assert_eq!(bench.fake.calls(), ["kill 1 HUP", "kill 3 HUP"]);
}

#[tokio::test]
async fn usage_comes_each_second_and_once_when_asked() {
    let bench = Bench::new().await;
    bench.fake.show(&[("web", 1, TaskState::Running)]);
    let once = bench.client.stats(None, true).await.unwrap();
    let replies: Vec<_> = soon(once.collect()).await;
    let usage = &replies[0].as_ref().unwrap()[0];
    assert_eq!((replies.len(), usage.name.as_str(), usage.usage.memory), (1, "shop-web-1", 4096));
    let stream = bench.client.stats(Some(target(&["web"])), false).await.unwrap();
    let replies: Vec<_> = soon(stream.take(2).collect()).await;
    assert_eq!(replies.len(), 2);
}

#[tokio::test]
async fn an_archive_arrives_whole() {
    let bench = Bench::new().await;
    let (sender, chunks) = mpsc::channel(4);
    tokio::spawn(async move {
        for _ in 0..64 {
            sender.send(Ok(vec![7; 65536])).await.unwrap();
        }
    });
    let images = bench.client.load_images(chunks).await.unwrap();
    assert_eq!(images[0].references, ["4194304 bytes"]);
}

#[tokio::test]
async fn an_open_file_is_taken_over_with_its_place() {
    use std::io::{Seek as _, SeekFrom, Write as _};
    let bench = Bench::new().await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("archive");
    let mut file = std::fs::File::create_new(&path).unwrap();
    file.write_all(b"before and after").unwrap();
    let mut file = std::fs::File::open(&path).unwrap();
    file.seek(SeekFrom::Start(7)).unwrap();
    let images = bench.client.load_file(&file).await.unwrap().unwrap();
    assert_eq!(images[0].references, ["and after"]);
    assert_eq!(file.stream_position().unwrap(), 16);
    // What is no file to read from is to be sent.
    let write_only = std::fs::File::options().write(true).open(&path).unwrap();
    assert_eq!(bench.client.load_file(&write_only).await.unwrap(), None);
    let directory = std::fs::File::open(dir.path()).unwrap();
    assert_eq!(bench.client.load_file(&directory).await.unwrap(), None);
}

#[tokio::test]
async fn an_archive_that_breaks_off_is_not_taken_for_the_whole() {
    let bench = Bench::new().await;
    let (sender, chunks) = mpsc::channel(4);
    sender.send(Ok(vec![7; 10])).await.unwrap();
    sender.send(Err(std::io::Error::other("the disk is gone"))).await.unwrap();
    let header = ImportImage { reference: "a:1".to_owned(), ..ImportImage::default() };
    let error = soon(bench.client.import_image(header, chunks)).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreadable(_)), "{error:?}");
    let seen = soon(bench.fake.broken.notified());
    seen.await;
}

#[tokio::test]
async fn an_image_is_saved_in_chunks() {
    let bench = Bench::new().await;
    let chunks = bench.client.save_images(SaveImages::default()).await.unwrap();
    let chunks: Vec<_> = soon(chunks.map(Result::unwrap).collect()).await;
    assert_eq!(chunks, [b"one".to_vec(), b"two".to_vec()]);
}

#[tokio::test]
async fn events_are_those_that_were_asked_for() {
    let bench = Bench::new().await;
    let mut events =
        bench.client.events(Some("shop"), &["web".to_owned()], Period::default()).await.unwrap();
    for (stack, service) in [("other", "web"), ("shop", "db"), ("shop", "web")] {
        bench.fake.happens(stack, service);
    }
    let event = soon(events.next()).await.unwrap().unwrap();
    assert_eq!((event.stack.as_str(), event.service.as_deref()), ("shop", Some("web")));
}

#[tokio::test]
async fn events_of_a_period_that_is_over_end() {
    let bench = Bench::new().await;
    let at = |seconds| Some(Timestamp(Duration::from_secs(seconds)));
    let heard = async |since, until| {
        let period = Period { since, until };
        let events = bench.client.events(None, &[], period).await.unwrap();
        soon(events.map(|event| event.unwrap().stack).collect::<Vec<_>>()).await
    };
    assert_eq!(heard(at(5), at(9)).await, ["past"]);
    assert_eq!(heard(at(9), at(9)).await, [] as [&str; 0], "until then, and not longer");
    assert_eq!(heard(None, at(9)).await, [] as [&str; 0]);
}
