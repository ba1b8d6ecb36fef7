use std::collections::BTreeMap;
use std::fmt::Debug;

use super::*;
use crate::api::control::*;
use crate::api::message::*;
use crate::api::proto;
use crate::model::*;

/// Whether `value` survives the way through message `M`.
#[track_caller]
fn check<M, T>(value: T)
where
    T: Clone + Debug + PartialEq + TryFrom<M, Error: Debug>,
    M: From<T>,
{
    assert_eq!(T::try_from(M::from(value.clone())).unwrap(), value);
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn digest(digit: char) -> Digest {
    Digest::sha256(&digit.to_string().repeat(64)).unwrap()
}

fn task() -> TaskStatus {
    let attempt = AttemptId { task: TaskId(12), number: 3 };
    TaskStatus {
        task: TaskId(12),
        attempt: Some(attempt),
        container: Some(ContainerId::of("store", attempt)),
        name: text("shop-web-2"),
        stack: text("shop"),
        service: text("web"),
        slot: 2,
        revision: text("abc"),
        image: text("nginx:1"),
        command: text("nginx -g x"),
        state: TaskState::Restarting,
        health: Health::Unhealthy,
        reason: Some(text("exited with status 1")),
        exit_code: Some(-1),
        oom: true,
        restarts: 4,
        pid: Some(99),
        created: Timestamp(Duration::from_nanos(1_700_000_000_123_456_789)),
        running_for: Some(Duration::from_millis(5)),
        addresses: BTreeMap::from([(text("shop_default"), "10.1.2.3".parse().unwrap())]),
        publications: vec![Publication {
            host_ip: Some("::1".parse().unwrap()),
            host_port: 8080,
            protocol: Protocol::Udp,
            backends: vec![("10.1.2.3".parse().unwrap(), 80)],
            owner: text("shop/web"),
        }],
        wanted: true,
        labels: BTreeMap::from([(text("a"), text("b"))]),
        one_off: Some(text("web")),
        host_users: Some(text("it is privileged")),
    }
}

#[test]
fn a_status_survives_the_wire() {
    let service = ServiceStatus {
        image: text("nginx:1"),
        wanted: 2,
        available: 1,
        stopped: true,
        waiting: Some(text("waiting for db")),
        failed: Some(text("exited with status 1")),
        one_off: Some(text("web")),
    };
    let status = StackStatus {
        name: text("shop"),
        files: vec![text("/srv/stack.yaml")],
        generation: 7,
        converged: true,
        failed: Some(text("service web: exited with status 1")),
        removing: true,
        services: BTreeMap::from([(text("web"), service)]),
        tasks: vec![task(), TaskStatus { attempt: None, container: None, ..task() }],
    };
    let problem =
        Problem { stack: text("shop"), service: Some(text("web")), message: text("port taken") };
    check::<proto::StackStatus, _>(StackReport { status, problems: vec![problem] });
}

#[test]
fn every_state_survives_the_wire() {
    use TaskState::{Completed, Failed, Paused, Pending, Restarting, Running, Starting, Stopping};
    for state in [Pending, Starting, Running, Paused, Restarting, Stopping, Completed, Failed] {
        check::<proto::TaskStatus, _>(TaskStatus { state, ..task() });
    }
    for health in [Health::None, Health::Starting, Health::Healthy, Health::Unhealthy] {
        check::<proto::TaskStatus, _>(TaskStatus { health, ..task() });
    }
}

#[test]
fn a_state_that_a_newer_daemon_knows_is_not_an_error() {
    let message = proto::TaskStatus { state: 99, ..task().into() };
    assert_eq!(TaskStatus::try_from(message).unwrap().state, TaskState::Pending);
}

#[test]
fn an_impossible_status_is_refused_with_the_field() {
    let message = proto::TaskStatus { container: Some(text("xyz")), ..task().into() };
    let error = TaskStatus::try_from(message).unwrap_err().to_string();
    assert_eq!(error, "task.container: `xyz` is not an id of this kind");
    let mut message = proto::TaskStatus::from(task());
    message.publications[0].host_port = 70_000;
    let error = TaskStatus::try_from(message).unwrap_err().to_string();
    assert_eq!(error, "publication.host_port: 70000 is too large");
}

#[test]
fn images_survive_the_wire() {
    let summary = ImageSummary {
        id: digest('a'),
        references: vec![text("docker.io/library/nginx:1")],
        created: Some(Timestamp(Duration::from_secs(5))),
        size: 10,
        platform: text("linux/amd64"),
        used_by: vec![text("shop")],
        manifest: digest('b'),
        labels: BTreeMap::from([(text("k"), text("v"))]),
        containers: 4,
        digests: vec![text("docker.io/library/nginx@sha256:…")],
    };
    let label = LabelFilter { key: text("k"), value: Some(text("v")), without: true };
    let filter =
        PruneFilter { before: Some(Timestamp(Duration::from_secs(9))), labels: vec![label] };
    let prune = PruneImages { all: true, filter: filter.clone(), max_size: Some(7) };
    assert_eq!(PruneImages::from(proto::PruneImagesRequest::from(prune.clone())), prune);
    let prune = PruneVolumes { all: true, filter };
    assert_eq!(PruneVolumes::from(proto::PruneVolumesRequest::from(prune.clone())), prune);
    let history = ImageHistory {
        created: None,
        created_by: text("COPY"),
        comment: text("c"),
        empty_layer: true,
        size: Some(3),
    };
    let layers = vec![digest('b'), digest('c')];
    for test in [
        None,
        Some(Probe::None),
        Some(Probe::Exec(vec![text("a"), text("b")])),
        Some(Probe::Shell(text("exit 0"))),
        Some(Probe::Http(text("http://:80/"))),
        Some(Probe::Tcp(80)),
    ] {
        let healthcheck = HealthCheck {
            test,
            interval: Some(Duration::from_secs(1)),
            retries: Some(3),
            disable: true,
            ..HealthCheck::default()
        };
        let config = ImageConfig {
            env: vec![text("A=b")],
            entrypoint: vec![text("/e")],
            cmd: vec![text("c")],
            healthcheck: Some(healthcheck),
            ..ImageConfig::default()
        };
        let (summary, history) = (summary.clone(), vec![history.clone()]);
        check::<proto::ImageDetail, _>(ImageDetail {
            summary,
            config,
            layers: layers.clone(),
            history,
        });
    }
}

#[test]
fn a_probe_that_makes_no_sense_is_refused() {
    let check = |test: &[&str]| {
        let test = test.iter().map(|word| text(word)).collect();
        HealthCheck::try_from(proto::HealthCheck { test, ..Default::default() }).unwrap_err()
    };
    assert_eq!(check(&["CMD"]).to_string(), "healthcheck.test: no such probe: CMD with 0 words");
    assert_eq!(check(&["TCP", "x"]).to_string(), "healthcheck.test: invalid digit found in string");
}

#[test]
fn networks_survive_the_wire() {
    let network = NetworkSummary {
        name: text("shop_default"),
        stack: text("shop"),
        key: text("default"),
        subnet: "10.1.0.0/24".parse().unwrap(),
        gateway: "10.1.0.1".parse().unwrap(),
        subnet6: Some(("fd00::/64".parse().unwrap(), "fd00::1".parse().unwrap())),
        internal: true,
        containers: BTreeMap::from([(text("shop-web-1"), "10.1.0.2".parse().unwrap())]),
    };
    check::<proto::Network, _>(network.clone());
    check::<proto::Network, _>(NetworkSummary { subnet6: None, ..network });
}

#[test]
fn the_rest_survives_the_wire() {
    check::<proto::Event, _>(Event {
        time: Timestamp(Duration::from_nanos(5)),
        action: text("die"),
        stack: text("shop"),
        service: None,
        container: Some(ContainerId::of("store", AttemptId::default())),
        attributes: BTreeMap::from([(text("exitCode"), text("1"))]),
    });
    check::<proto::Volume, _>(VolumeSummary {
        name: text("shop_data"),
        stack: text("shop"),
        path: "/x".into(),
        created: Some(Timestamp(Duration::from_secs(1))),
        used_by: vec![text("shop-web-1")],
        size: Some(4),
        ..VolumeSummary::default()
    });
    check::<proto::Target, _>(Target { stack: text("s"), names: vec![text("n")], index: Some(2) });
    check::<proto::LogEntry, _>(LogEntry {
        stack: text("s"),
        service: text("v"),
        slot: 1,
        container: text("c"),
        line: LogLine {
            time: Timestamp(Duration::from_nanos(7)),
            stream: OutputStream::Stderr,
            line: vec![255, 0],
            partial: true,
        },
    });
    check::<proto::Process, _>(Process {
        pid: 1,
        parent: 2,
        uid: 3,
        cpu: Duration::from_secs(1),
        age: Duration::from_secs(2),
        command: text("c"),
    });
    let space = Space { count: 1, active: 2, size: 3, reclaimable: 4 };
    check::<proto::DiskUsageReply, _>(DiskUsage {
        images: space,
        containers: Space { count: 5, ..space },
        volumes: Space { count: 6, ..space },
        logs: Space { count: 7, ..space },
        image_list: vec![ImageSpace {
            id: digest('a'),
            references: vec![text("a:1")],
            created: Some(Timestamp(Duration::from_secs(5))),
            size: 1,
            shared: 2,
            containers: 3,
            unused_for: Duration::from_secs(4),
        }],
        container_list: vec![ContainerSpace {
            id: "c".repeat(64).parse().unwrap(),
            name: text("web"),
            image: text("a:1"),
            size: 5,
            running: true,
        }],
        volume_list: vec![VolumeSpace { name: text("data"), containers: 1, size: 2 }],
        max_size: Some(8),
    });
}

#[test]
fn a_project_of_another_format_is_refused() {
    let request = proto::ApplyRequest { project_format: 9, ..Default::default() };
    let error = Up::try_from(request).unwrap_err().to_string();
    assert!(
        error.starts_with("project: is in format 9, and this daemon reads format 1"),
        "{error}"
    );
    let request = proto::ApplyRequest {
        project: b"{\"services\": 5}".to_vec(),
        project_format: 1,
        ..Default::default()
    };
    assert!(Up::try_from(request).unwrap_err().to_string().starts_with("project: invalid type"));
}

#[test]
fn every_kind_of_error_survives_the_wire() {
    use ErrorKind::{
        Conflict, FailedPrecondition, Internal, InvalidInput, NotFound, PermissionDenied,
        Unavailable,
    };
    for kind in [
        Conflict,
        FailedPrecondition,
        Internal,
        InvalidInput,
        NotFound,
        PermissionDenied,
        Unavailable,
    ] {
        let error = ControlError::new(kind, "a: b\nc");
        assert_eq!(error_of(&status_of(&error)), error);
        let error = error.with_hint("do this\nthen that");
        assert_eq!(error_of(&status_of(&error)), error);
    }
}
