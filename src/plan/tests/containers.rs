//! What a container is made of.

use super::*;

/// The start of the first task of `web`.
fn start(scene: &Scene) -> Start {
    let scene = scene.clone().task("web").attempt(1, 1);
    match scene.plan().steps.pop() {
        Some(Step::Start(start)) => *start,
        other => panic!("{other:?} is not a start"),
    }
}

/// The start of a service that is changed by `service`, from an image changed by `image`.
fn made(image: impl FnOnce(&mut ImageConfig), service: impl FnOnce(&mut Service)) -> Container {
    let mut scene = Scene::new(&["web"]);
    image(&mut scene.stack().images.get_mut("image").unwrap().config);
    start(&scene.with("web", service)).container
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn the_arguments_are_the_services_else_the_images() {
    let args = |entrypoint: Option<&str>, command: Option<&str>| {
        let container = made(
            |image| (image.entrypoint, image.cmd) = (words("entry"), words("image cmd")),
            |service| {
                service.entrypoint = entrypoint.map(words);
                service.command = command.map(words);
            },
        );
        container.args.join(" ")
    };
    assert_eq!(args(None, None), "entry image cmd");
    assert_eq!(args(None, Some("own")), "entry own");
    // The image's arguments were for the image's program.
    assert_eq!(args(Some("mine"), None), "mine");
    assert_eq!(args(Some("mine"), Some("own")), "mine own");
    assert_eq!(args(Some(""), Some("own")), "own");
    assert_eq!(args(None, Some("")), "entry");
}

#[test]
fn the_environment_is_the_images_changed_by_the_services() {
    let container = made(
        |image| image.env = words("PATH=/bin A=1 B=2 C=3"),
        |service| {
            let set = [("A", Some("own")), ("B", None), ("Z", Some("26")), ("D", Some(""))];
            service.environment =
                set.map(|(key, value)| (key.to_owned(), value.map(str::to_owned))).into();
        },
    );
    assert_eq!(container.env, ["PATH=/bin", "A=own", "C=3", "D=", "Z=26"]);
    let default = made(|_| {}, |service| service.tty = true).env;
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(default, [path, "TERM=xterm"]);
}

#[test]
fn what_a_service_leaves_open_is_the_images() {
    let image = |image: &mut ImageConfig| {
        image.user = "nobody".to_owned();
        image.working_dir = "/srv".to_owned();
        image.stop_signal = "SIGQUIT".to_owned();
    };
    let container = made(image, |_| {});
    let parts = (container.user.as_str(), container.cwd.as_str(), container.stop_signal.as_str());
    assert_eq!(parts, ("nobody", "/srv", "SIGQUIT"));
    let own = made(image, |service| {
        service.user = Some("1000:1000".to_owned());
        service.working_dir = Some("/".to_owned());
        service.stop_signal = Some("SIGINT".to_owned());
    });
    let parts = (own.user.as_str(), own.cwd.as_str(), own.stop_signal.as_str());
    assert_eq!(parts, ("1000:1000", "/", "SIGINT"));
    let bare = made(|_| {}, |_| {});
    let parts = (bare.user.as_str(), bare.cwd.as_str(), bare.stop_signal.as_str());
    assert_eq!(parts, ("", "/", "SIGTERM"));
    assert_eq!((bare.shm_size, bare.stop_grace), (64 << 20, seconds(10)));
}

#[test]
fn a_container_is_known_by_its_labels() {
    let container = made(
        |image| {
            image.labels =
                [("from", "image"), ("both", "image")].map(|(k, v)| (k.into(), v.into())).into();
        },
        |service| {
            service.labels.insert("both".to_owned(), "service".to_owned());
        },
    );
    let label = |key: &str| container.labels[key].as_str();
    assert_eq!((label("from"), label("both")), ("image", "service"));
    assert_eq!((label(labels::PROJECT), label(labels::SERVICE)), ("shop", "web"));
    assert_eq!((label(labels::NUMBER), label(labels::ATTEMPT)), ("1", "t1.1"));
    assert_eq!((label(labels::NAME), container.name.as_str()), ("shop-web-1", "shop-web-1"));
    assert_eq!(label(labels::CONFIG_HASH).len(), 16);
    // Docker's default, and what other containers can resolve it by.
    assert_eq!(container.hostname, container.id.short());
}

#[test]
fn annotations_and_real_time_are_those_of_the_service() {
    let container = made(
        |_| {},
        |service| {
            service.annotations.insert("org.test.note".to_owned(), "kept".to_owned());
            service.resources.cpu_rt_period = Some(1_000_000);
            service.resources.cpu_rt_runtime = Some(950_000);
        },
    );
    assert_eq!(container.annotations["org.test.note"], "kept");
    let resources = &container.resources;
    assert_eq!(resources.cpu_rt_period, Some(1_000_000));
    assert_eq!(resources.cpu_rt_runtime, Some(950_000));
}

#[test]
fn a_containers_own_name_and_host_name_are_taken() {
    let container = made(
        |_| {},
        |service| {
            service.container_name = Some("frontend".to_owned());
            service.hostname = Some("www".to_owned());
        },
    );
    assert_eq!((container.name.as_str(), container.hostname.as_str()), ("frontend", "www"));
}

fn mount(target: &str, source: MountSource) -> Mount {
    Mount { target: target.to_owned(), read_only: false, source }
}

#[test]
fn volumes_are_named_and_outer_mounts_come_first() {
    let mut scene = Scene::new(&["web"]);
    let volume = Volume { name: "shop_data".to_owned(), ..Volume::default() };
    scene.stack().project.volumes.insert("data".to_owned(), volume);
    scene.stack().project.configs.insert("conf".to_owned(), FileSource::Content(b"x".to_vec()));
    let images = &mut scene.stack().images;
    images.get_mut("image").unwrap().config.volumes = words("/var/lib/data /cache");
    let scene = scene.with("web", |service| {
        let data = MountSource::Volume { volume: "data".to_owned(), subpath: None, nocopy: true };
        let tmpfs = MountSource::Tmpfs { size: None, mode: None, options: vec![] };
        service.mounts = vec![mount("/var/lib/data/tmp", tmpfs), mount("/var/lib/data/", data)];
        let (source, target) = ("conf".to_owned(), "/etc/conf".to_owned());
        service.configs = vec![FileMount { source, target, uid: 1, gid: 2, mode: 0o440 }];
    });
    let start = start(&scene);
    let targets: Vec<_> = start.container.mounts.iter().map(|m| m.target.as_str()).collect();
    // The image's /var/lib/data is covered, its /cache is not.
    assert_eq!(targets, ["/cache", "/etc/conf", "/var/lib/data/", "/var/lib/data/tmp"]);
    let (content, uid, gid, mode) = (b"x".to_vec(), 1, 2, 0o440);
    let file = ContainerMountSource::File { content, uid, gid, mode };
    assert_eq!(start.container.mounts[1].source, file);
    assert!(start.container.mounts[1].read_only);
    let volumes: Vec<_> = start.volumes.iter().map(|volume| volume.name.as_str()).collect();
    assert_eq!(volumes, ["shop_data", "anonymous.t1.0.731e249f3ecf83e4"]);
}

#[test]
fn what_another_service_mounts_can_be_mounted_too() {
    let scene = Scene::new(&["db", "web"])
        .with("db", |db| db.mounts = vec![mount("/data", MountSource::Anonymous)])
        .with("web", |web| {
            let (service, read_only) = ("db".to_owned(), true);
            web.volumes_from = vec![VolumesFrom { service, read_only }];
        });
    let scene = scene.task("db").task("web").attempt(1, 1).attempt(2, 1);
    let steps = scene.plan().steps;
    let [Step::Start(db), Step::Start(web)] = steps.as_slice() else { panic!("{steps:?}") };
    assert_eq!(db.container.mounts[0].source, web.container.mounts[0].source);
    assert_eq!(
        (db.container.mounts[0].read_only, web.container.mounts[0].read_only),
        (false, true)
    );
}

#[test]
fn a_secret_that_is_not_here_is_named() {
    let mut scene = Scene::new(&["web"]);
    let external = FileSource::External("vault".to_owned());
    scene.stack().project.secrets.insert("key".to_owned(), external);
    let scene = scene.with("web", |service| {
        let (source, target) = ("key".to_owned(), "/run/secrets/key".to_owned());
        service.secrets = vec![FileMount { source, target, uid: 0, gid: 0, mode: 0o444 }];
    });
    let scene = scene.task("web").attempt(1, 1);
    assert!(scene.plan().steps.is_empty());
    let reason = scene.status().tasks[0].reason.clone().unwrap();
    assert_eq!(reason, "key: there is no config or secret called vault");
}

#[test]
fn the_resolver_is_ours_where_there_are_networks() {
    let ours = made(|_| {}, |service| service.dns = vec!["9.9.9.9".parse().unwrap()]).resolv;
    assert_eq!(ours.nameservers, ["127.0.0.11".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!((ours.options, ours.search), (words("ndots:0"), None));
    let host = made(
        |_| {},
        |service| {
            service.network_mode = NetworkMode::Host;
            service.dns = vec!["9.9.9.9".parse().unwrap()];
            service.dns_search = words("lan");
            service.dns_opt = words("ndots:2");
        },
    );
    assert_eq!(host.namespaces.network, NetworkNamespace::Host);
    assert_eq!(host.resolv.nameservers, ["9.9.9.9".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!((host.resolv.options, host.resolv.search), (words("ndots:2"), Some(words("lan"))));
}

#[test]
fn the_hosts_own_address_is_the_gateway() {
    let hosts = made(
        |_| {},
        |service| {
            service.extra_hosts = vec![
                ("host.docker.internal".to_owned(), "host-gateway".to_owned()),
                ("other".to_owned(), "10.0.0.9".to_owned()),
            ];
        },
    );
    let line = |address: &str, name: &str| (address.to_owned(), name.to_owned());
    let expected = [line("10.200.0.1", "host.docker.internal"), line("10.0.0.9", "other")];
    assert_eq!(hosts.extra_hosts, expected);
}

#[test]
fn settings_of_the_network_namespace_go_to_the_sandbox() {
    let scene = Scene::new(&["web"]).with("web", |service| {
        for key in ["net.core.somaxconn", "kernel.shm_rmid_forced"] {
            service.sysctls.insert(key.to_owned(), "1".to_owned());
        }
        service.mac_address = Some("02:42:ac:11:00:02".to_owned());
    });
    let start = start(&scene);
    let sandbox = start.sandbox.unwrap();
    assert!(sandbox.sysctls.contains_key("net.core.somaxconn"));
    assert!(start.container.sysctls.contains_key("kernel.shm_rmid_forced"));
    assert_eq!((sandbox.sysctls.len(), start.container.sysctls.len()), (1, 1));
    assert_eq!(sandbox.interfaces[0].mac, Some([2, 0x42, 0xac, 0x11, 0, 2]));
}

#[test]
fn namespaces_of_another_service_are_waited_for() {
    let scene = Scene::new(&["db", "web"]).with("web", |service| {
        service.network_mode = NetworkMode::Service("db".to_owned());
        service.pid = NamespaceMode::Service("db".to_owned());
    });
    let scene = scene.task("db").task("web").attempt(1, 1).attempt(2, 1);
    let waiting = scene.clone().container(1, Phase::Creating).busy();
    waiting.check(&[]);
    assert_eq!(waiting.status().tasks[1].reason.as_deref(), Some("waiting for db to start"));
    let steps = scene.clone().running(1, Health::None).plan().steps;
    let [Step::Start(web)] = steps.as_slice() else { panic!("{steps:?}") };
    assert_eq!(web.sandbox, None);
    assert_eq!(web.container.namespaces.network, NetworkNamespace::Sandbox(TaskId(1)));
    let db = scene.agreed.container_id(AttemptId { task: TaskId(1), number: 1 });
    assert_eq!(web.container.namespaces.pid, Namespace::Container(db));
}

#[test]
fn the_check_is_the_services_over_the_images() {
    let mut scene = Scene::new(&["web"]);
    let test = Some(Probe::Shell("true".to_owned()));
    let image = HealthCheck { test, retries: Some(9), ..HealthCheck::default() };
    scene.stack().images.get_mut("image").unwrap().config.healthcheck = Some(image.clone());
    assert_eq!(start(&scene).health, Some(image.clone()));
    let interval = Some(seconds(1));
    let own = HealthCheck { interval, ..HealthCheck::default() };
    let with_own = scene.clone().with("web", |service| service.healthcheck = Some(own));
    assert_eq!(start(&with_own).health, Some(HealthCheck { interval, ..image }));
    let none = HealthCheck { disable: true, ..HealthCheck::default() };
    assert_eq!(start(&scene.with("web", |s| s.healthcheck = Some(none))).health, None);
}

#[test]
fn the_revision_is_that_of_what_runs() {
    let base = Scene::new(&["web"]);
    let of = |scene: &Scene| scene.agreed.stacks["shop"].revisions["web"].clone();
    let changes = |change: fn(&mut Service)| of(&base.clone().with("web", change)) != of(&base);
    assert!(changes(|service| service.command = Some(words("other"))));
    assert!(changes(|service| service.deploy.mode = DeployMode::ReplicatedJob));
    assert!(!changes(|service| service.deploy.replicas = Some(7)));
    assert!(!changes(|service| service.orca.drain = Some(seconds(3))));
    let mut other_image = base.clone();
    let image = other_image.stack().images.get_mut("image").unwrap();
    image.id = Digest::sha256(&"6".repeat(64)).unwrap();
    assert_ne!(of(&other_image.revised()), of(&base));
    let with_config = |content: &[u8]| {
        let mut scene = base.clone();
        let source = FileSource::Content(content.to_vec());
        scene.stack().project.configs.insert("conf".to_owned(), source);
        scene.with("web", |service| {
            let (source, target) = ("conf".to_owned(), "/c".to_owned());
            service.configs = vec![FileMount { source, target, uid: 0, gid: 0, mode: 0o444 }];
        })
    };
    assert_ne!(of(&with_config(b"1")), of(&with_config(b"2")));
    assert_eq!(of(&with_config(b"1")), of(&with_config(b"1")));
    assert_eq!(of(&base).len(), 16);
}
