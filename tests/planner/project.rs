//! The stack of a history: a database, a migration that runs once, an application, a web server.

use std::collections::BTreeMap;
use std::time::Duration;

use orca::model::*;

use crate::random::Random;

/// The label that says how the containers of a service behave.
pub(crate) const BEHAVIOUR: &str = "behaviour";
pub(crate) const STACK: &str = "shop";

/// A stack with new random services.
pub(crate) fn new_stack(random: &mut Random) -> Stack {
    let mut project = Project { name: STACK.to_owned(), ..Project::default() };
    let network = Network { name: "shop_default".to_owned(), ..Network::default() };
    project.networks.insert("default".to_owned(), network);
    let fixed = Network {
        name: "shop_fixed".to_owned(),
        subnet: Some("172.30.0.0/28".parse().unwrap()),
        enable_ipv6: true,
        ..Network::default()
    };
    project.networks.insert("fixed".to_owned(), fixed);
    let volume = Volume { name: "shop_data".to_owned(), ..Volume::default() };
    project.volumes.insert("data".to_owned(), volume);
    for name in ["db", "migrate", "app", "web"] {
        project.services.insert(name.to_owned(), new_service(random, name));
    }
    finish(project)
}

/// The stack with some of its services changed, or gone, or back.
pub(crate) fn changed(random: &mut Random, old: &Stack) -> Stack {
    let mut project = old.project.clone();
    for name in ["db", "migrate", "app", "web"] {
        if random.percent(35) {
            project.services.insert(name.to_owned(), new_service(random, name));
        }
    }
    if random.percent(15) {
        project.services.remove("web");
    }
    if random.percent(10)
        && let Some(network) = project.networks.get_mut("fixed")
    {
        let subnet = random.pick(&["172.30.0.0/28", "172.30.1.0/28"]);
        network.subnet = Some(subnet.parse().unwrap());
    }
    finish(project)
}

/// Everything that keeps a service from converging is taken out.
pub(crate) fn healed(old: &Stack) -> Stack {
    let mut project = old.project.clone();
    for (name, service) in &mut project.services {
        let behaviour = if name == "migrate" { "job" } else { "good" };
        service.labels.insert(BEHAVIOUR.to_owned(), behaviour.to_owned());
    }
    finish(project)
}

fn finish(project: Project) -> Stack {
    let id = Digest::sha256(&"5".repeat(64)).unwrap();
    let config = ImageConfig { volumes: vec!["/cache".to_owned()], ..ImageConfig::default() };
    let images = BTreeMap::from([("image".to_owned(), PinnedImage { id, digest: None, config })]);
    let names = project.services.keys();
    let revisions =
        names.map(|n| (n.clone(), orca::plan::revision(&project, n, &images))).collect();
    Stack { project, images, revisions, ..Stack::default() }
}

fn new_service(random: &mut Random, name: &str) -> Service {
    let mut service = Service { image: "image".to_owned(), ..Service::default() };
    let job = name == "migrate";
    let behaviour =
        if job { "job" } else { random.pick(&["good", "good", "good", "crash", "sick", "flaky"]) };
    service.labels.insert(BEHAVIOUR.to_owned(), behaviour.to_owned());
    service.labels.insert("variant".to_owned(), random.within(0, 3).to_string());
    service.networks.insert("default".to_owned(), Attachment::default());
    if random.percent(40) {
        service.networks.insert("fixed".to_owned(), Attachment::default());
    }
    if name == "db" || behaviour == "sick" || (!job && random.percent(40)) {
        let test = Some(Probe::Tcp(1));
        service.healthcheck = Some(HealthCheck { test, ..HealthCheck::default() });
    }
    if name == "web" {
        service.ports =
            vec![port(80, None), port(443, Some((8000, 8003))), port(81, Some((81, 81)))];
    }
    if name == "db" {
        let source =
            MountSource::Volume { volume: "data".to_owned(), subpath: None, nocopy: false };
        service.mounts.push(Mount { target: "/data".to_owned(), read_only: false, source });
    }
    service.depends_on = match name {
        "migrate" => needs(random, &[("db", Condition::Healthy)]),
        "app" => needs(random, &[("db", Condition::Healthy), ("migrate", Condition::Completed)]),
        "web" => needs(random, &[("app", Condition::Started)]),
        _ => BTreeMap::new(),
    };
    service.deploy.replicas = Some(if job { 1 } else { random.within(1, 4) as u32 });
    service.deploy.update.parallelism = random.within(0, 3) as u32;
    let restart = &mut service.deploy.restart;
    restart.condition = match job {
        true => random.pick(&[RestartCondition::Any, RestartCondition::OnFailure]),
        false => RestartCondition::Any,
    };
    restart.delay = random.percent(50).then_some(Duration::from_secs(1));
    service
}

fn port(target: u16, published: Option<(u16, u16)>) -> Port {
    Port { target, published, host_ip: None, protocol: Protocol::Tcp, name: None }
}

fn needs(random: &mut Random, all: &[(&str, Condition)]) -> BTreeMap<String, Dependency> {
    all.iter()
        .map(|(name, condition)| {
            let restart = random.percent(30);
            let dependency = Dependency { condition: *condition, restart, required: true };
            ((*name).to_owned(), dependency)
        })
        .collect()
}
