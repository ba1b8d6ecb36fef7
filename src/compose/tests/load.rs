//! Whole files, from text to the model.

use std::path::PathBuf;
use std::time::Duration;

use crate::compose::{FileArg, LoadOptions, Loaded, load};
use crate::model::{
    Condition, MountSource, NetworkMode, Probe, RestartCondition, Service, UpdateOrder,
};

fn options(text: &str) -> LoadOptions {
    LoadOptions {
        files: vec![FileArg::Stdin(text.to_owned())],
        project_name: Some("test".to_owned()),
        working_directory: PathBuf::from("/prj"),
        ..LoadOptions::default()
    }
}

fn loaded(text: &str) -> Loaded {
    load(&options(text)).unwrap_or_else(|errors| panic!("{errors}"))
}

fn service(text: &str) -> Service {
    let indented: String = text.lines().map(|line| format!("    {line}\n")).collect();
    loaded(&format!("services:\n  a:\n    image: i\n{indented}")).project.services["a"].clone()
}

#[track_caller]
fn check_error(text: &str, expected: &str) {
    let errors = load(&options(text)).map(|_| ()).expect_err(text).to_string();
    assert!(errors.contains(expected), "{errors}\nlacks\n{expected}");
}

#[test]
fn an_ordinary_stack_becomes_a_project() {
    let project = loaded(
        r#"
services:
  web:
    image: nginx
    command: nginx -g 'daemon off;'
    ports: ["8080:80", "127.0.0.1:9000-9001:90-91/udp"]
    environment: { A: 1, B: "x$$y", C: }
    volumes: ["./html:/srv:ro", "data:/data", "/anon", { type: tmpfs, target: /t, tmpfs: { size: 1m } }]
    depends_on: { db: { condition: service_healthy } }
    networks: { front: { aliases: [www], ipv4_address: 10.5.0.9 } }
    deploy: { replicas: 2, resources: { limits: { cpus: "0.5", memory: 64m } }, update_config: { order: start-first } }
    restart: on-failure:3
  db:
    image: postgres
    healthcheck: { test: pg_isready, interval: 1m30s, retries: 5 }
    stop_grace_period: 1m
    networks: [front]
networks: { front: { ipam: { config: [{ subnet: 10.5.0.0/24 }] } } }
volumes: { data: }
"#,
    )
    .project;
    let web = &project.services["web"];
    assert_eq!(web.command.as_deref().unwrap(), ["nginx", "-g", "daemon off;"]);
    assert_eq!(web.environment["A"].as_deref(), Some("1"));
    assert_eq!(web.environment["B"].as_deref(), Some("x$y"));
    assert_eq!(web.environment["C"], None);
    assert_eq!(web.ports.len(), 3);
    assert_eq!(web.ports[0].published, Some((8080, 8080)));
    assert_eq!(web.mounts.len(), 4);
    let MountSource::Bind { path, create, .. } = &web.mounts[0].source else { panic!() };
    assert_eq!((path.to_str(), *create, web.mounts[0].read_only), (Some("/prj/html"), true, true));
    assert_eq!(web.mounts[2].source, MountSource::Anonymous);
    assert_eq!(web.depends_on["db"].condition, Condition::Healthy);
    assert_eq!(web.networks["front"].aliases, ["www"]);
    assert_eq!(web.resources.nano_cpus, Some(500_000_000));
    assert_eq!(web.resources.memory, Some(64 << 20));
    assert_eq!(web.deploy.update.order, UpdateOrder::StartFirst);
    assert_eq!(web.replicas(), 2);
    assert_eq!(web.deploy.restart.max_attempts, Some(3));
    let db = &project.services["db"];
    let health = db.healthcheck.as_ref().unwrap();
    assert_eq!(health.test, Some(Probe::Shell("pg_isready".to_owned())));
    assert_eq!(health.interval, Some(Duration::from_secs(90)));
    assert_eq!(db.grace(), Duration::from_secs(60));
    assert_eq!(project.networks["front"].name, "test_front");
    assert_eq!(project.volumes["data"].name, "test_data");
    assert!(!project.networks.contains_key("default"));
}

#[test]
fn restart_words_have_their_meaning() {
    let policy = |text: &str| service(text).deploy.restart;
    assert_eq!(policy("").condition, RestartCondition::Any);
    assert_eq!(policy("restart: no").condition, RestartCondition::Never);
    assert_eq!(policy("restart: \"no\"").condition, RestartCondition::Never);
    assert!(policy("restart: always").even_if_stopped);
    assert!(!policy("restart: unless-stopped").even_if_stopped);
    assert_eq!(policy("restart: on-failure").condition, RestartCondition::OnFailure);
    let wins = "restart: always\ndeploy: { restart_policy: { condition: none } }";
    assert_eq!(policy(wins).condition, RestartCondition::Never);
    check_error("services: { a: { image: i, restart: alway } }", "did you mean `always`?");
}

#[test]
fn network_modes_have_their_meaning() {
    assert_eq!(service("network_mode: host").network_mode, NetworkMode::Host);
    assert_eq!(service("network_mode: none").network_mode, NetworkMode::None);
    assert_eq!(service("").networks.keys().collect::<Vec<_>>(), ["default"]);
    let bridge = loaded("services: { a: { image: i, network_mode: bridge } }").project;
    assert_eq!(bridge.services["a"].networks.keys().collect::<Vec<_>>(), ["default"]);
    assert_eq!(bridge.networks["default"].name, "test_default");
    check_error("services: { a: { image: i, network_mode: hst } }", "invalid network_mode \"hst\"");
}

#[test]
fn probes_without_tools_are_read() {
    let probe =
        |test: &str| service(&format!("healthcheck: {{ test: {test} }}")).healthcheck.unwrap().test;
    assert_eq!(probe("[HTTP, \"http://:80/x\"]"), Some(Probe::Http("http://:80/x".to_owned())));
    assert_eq!(probe("[TCP, \"5432\"]"), Some(Probe::Tcp(5432)));
    assert_eq!(probe("[CMD, a, b]"), Some(Probe::Exec(vec!["a".to_owned(), "b".to_owned()])));
    assert_eq!(probe("[NONE]"), Some(Probe::None));
    check_error(
        "services: { a: { image: i, healthcheck: { test: [TCP, x] } } }",
        "TCP takes a port",
    );
}

#[test]
fn the_extension_is_read_and_checked() {
    let service = service(
        "x-orca:\n  restart: { max_delay: 10s }\n  on_unhealthy: none\n  progress_deadline: 1m\n  drain: 5s",
    );
    assert_eq!(service.deploy.restart.max_delay, Some(Duration::from_secs(10)));
    assert!(!service.deploy.restart.on_unhealthy);
    assert_eq!(service.orca.progress_deadline, Some(Duration::from_secs(60)));
    assert_eq!(service.orca.drain, Some(Duration::from_secs(5)));
    check_error("services: { a: { image: i, x-orca: { drian: 5s } } }", "did you mean `drain`?");
}

#[test]
fn errors_show_the_place_and_all_come_at_once() {
    let text = "services:\n  web:\n    imgae: nginx\n    ports:\n      - 80\n      - \"80a\"\n    tty: [1]\n";
    let errors = load(&options(text)).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "-:3:5: services.web: unknown attribute \"imgae\"\n \
         3 |     imgae: nginx\n   |     ^\n hint: did you mean `image`?\n\
         -:6:9: services.web.ports[1]: invalid container port \"80a\"\n \
         6 |       - \"80a\"\n   |         ^\n\
         -:7:10: services.web.tty: must be a boolean, not a list\n \
         7 |     tty: [1]\n   |          ^"
    );
    check_error("services: { a: { image: i, ports: [80a] } }", "invalid container port \"80a\"");
}

#[test]
fn what_orca_does_not_do_is_refused_with_its_place() {
    let loaded = loaded("services:\n  a:\n    build: .\nnetworks: {}\n");
    assert_eq!(loaded.refusals.len(), 1);
    assert!(loaded.refusals[0].to_string().starts_with("-:3:5: services.a: orca does not build"));
}
