//! What commands do, and which are refused.

use std::collections::BTreeMap;

use crate::model::*;
use crate::store::apply;

/// A stack whose services all have an image, changed by `with`.
fn stack(name: &str, services: &[&str], with: impl FnOnce(&mut Project)) -> Stack {
    let mut project = Project { name: name.to_owned(), ..Project::default() };
    for service in services {
        let service_of = Service { image: "image".to_owned(), ..Service::default() };
        project.services.insert((*service).to_owned(), service_of);
    }
    with(&mut project);
    let id = Digest::sha256(&"0".repeat(64)).unwrap();
    let image = PinnedImage { id, digest: None, config: ImageConfig::default() };
    Stack { project, images: BTreeMap::from([("image".to_owned(), image)]), ..Stack::default() }
}

fn agreed(stacks: Vec<Stack>) -> Agreed {
    let mut agreed = Agreed::default();
    for stack in stacks {
        apply(&mut agreed, &Command::ApplyStack(Box::new(stack))).unwrap();
    }
    agreed
}

/// Checks that a stack is refused beside the others, with these words.
#[track_caller]
fn refused(others: Vec<Stack>, stack: Stack, expected: &str) {
    let mut agreed = agreed(others);
    let before = agreed.clone();
    let error = apply(&mut agreed, &Command::ApplyStack(Box::new(stack))).unwrap_err();
    assert_eq!(error.to_string(), expected);
    assert_eq!(agreed, before, "a refused command changes nothing");
}

fn publish(project: &mut Project, service: &str, host_ip: Option<&str>, host_port: u16) {
    let port = Port {
        target: 80,
        published: Some((host_port, host_port)),
        host_ip: host_ip.map(|ip| ip.parse().unwrap()),
        protocol: Protocol::Tcp,
        name: None,
    };
    project.services.get_mut(service).unwrap().ports.push(port);
}

fn network(project: &mut Project, key: &str, name: &str, subnet: Option<&str>) {
    let subnet = subnet.map(|subnet| subnet.parse().unwrap());
    let network = Network { name: name.to_owned(), subnet, ..Network::default() };
    project.networks.insert(key.to_owned(), network);
}

#[test]
fn a_host_port_leads_to_one_service() {
    let other = || stack("a", &["web"], |p| publish(p, "web", None, 80));
    let expected = "b/www: port 80/tcp of the host is published by a/web already";
    refused(vec![other()], stack("b", &["www"], |p| publish(p, "www", None, 80)), expected);
    let one_address = |ip| stack("b", &["www"], |p| publish(p, "www", Some(ip), 80));
    refused(vec![other()], one_address("127.0.0.1"), expected);
    let local = || stack("a", &["web"], |p| publish(p, "web", Some("127.0.0.1"), 80));
    refused(vec![local()], one_address("0.0.0.0"), expected);
    agreed(vec![local(), one_address("127.0.0.2")]);
    // A stack that is applied again does not stand in its own way.
    agreed(vec![other(), other()]);
}

#[test]
fn a_container_name_has_one_owner() {
    let named = |stack_name, service: &str| {
        stack(stack_name, &[service], |p| {
            p.services.get_mut(service).unwrap().container_name = Some("db".to_owned());
        })
    };
    let expected = "b/y: container name `db` is a/x's already";
    refused(vec![named("a", "x")], named("b", "y"), expected);
    let expected = "a/b-c: container name `a-b-c-1` is a-b/c's already";
    refused(vec![stack("a-b", &["c"], |_| {})], stack("a", &["b-c"], |_| {}), expected);
}

#[test]
fn a_network_has_one_owner_and_addresses_of_its_own() {
    let with =
        |stack_name, name, subnet| stack(stack_name, &[], |p| network(p, "front", name, subnet));
    refused(
        vec![with("a", "shared", None)],
        with("b", "shared", None),
        "network front: stack a has a network called `shared` already; say `external: true` to share it",
    );
    refused(
        vec![with("a", "a_front", Some("10.5.0.0/16"))],
        with("b", "b_front", Some("10.5.3.0/24")),
        "network front: subnet 10.5.3.0/24 overlaps that of network `a_front`",
    );
    let mut external = with("b", "shared", None);
    external.project.networks.get_mut("front").unwrap().external = true;
    agreed(vec![with("a", "shared", None), external]);
}

#[test]
fn a_volume_has_one_owner() {
    let with = |stack_name, external| {
        stack(stack_name, &[], |p| {
            let volume = Volume { name: "data".to_owned(), external, ..Volume::default() };
            p.volumes.insert("data".to_owned(), volume);
        })
    };
    refused(
        vec![with("a", false)],
        with("b", false),
        "volume data: stack a has a volume called `data` already; say `external: true` to share it",
    );
    agreed(vec![with("a", false), with("b", true)]);
}

#[test]
fn what_can_be_there_once_cannot_have_replicas() {
    let many = |with: fn(&mut Service)| {
        stack("a", &["web"], |p| {
            network(p, "n", "a_n", Some("10.1.0.0/24"));
            let service = p.services.get_mut("web").unwrap();
            service.deploy.replicas = Some(2);
            with(service);
        })
    };
    refused(
        vec![],
        many(|service| service.container_name = Some("one".to_owned())),
        "a/web: cannot have 2 replicas with the one container name `one`",
    );
    let fixed = |service: &mut Service| {
        let ipv4_address = Some("10.1.0.5".parse().unwrap());
        let attachment = Attachment { ipv4_address, ..Attachment::default() };
        service.networks.insert("n".to_owned(), attachment);
    };
    refused(vec![], many(fixed), "a/web: cannot have 2 replicas with one fixed ipv4_address");
    refused(
        vec![],
        many(|service| service.deploy.replicas = Some(5000)),
        "a/web: at most 1000 replicas, not 5000",
    );
}

#[test]
fn an_image_that_is_not_here_is_named() {
    let mut nothing = stack("a", &["web"], |_| {});
    nothing.images.clear();
    refused(vec![], nothing, "service web: image image is not here");
}

#[test]
fn commands_name_what_is_not_there() {
    let mut state = agreed(vec![stack("a", &["web"], |_| {})]);
    let (stack, service) = ("a".to_owned(), "no".to_owned());
    let scale = Command::Scale { stack: stack.clone(), service: service.clone(), replicas: 1 };
    let error = apply(&mut state, &scale).unwrap_err().to_string();
    assert_eq!(error, "stack `a` has no service called `no`");
    let stop =
        Command::StopServices { stack: "b".to_owned(), services: vec![service], remove: false };
    let error = apply(&mut state, &stop).unwrap_err().to_string();
    assert_eq!(error, "there is no stack called `b`");
    apply(&mut state, &Command::RemoveStack { stack, removal: Removal::default() }).unwrap();
    let services = vec!["web".to_owned()];
    let stop = Command::StopServices { stack: "a".to_owned(), services, remove: false };
    let error = apply(&mut state, &stop).unwrap_err().to_string();
    assert_eq!(error, "stack `a` is being taken down: wait for that, then try again");
}

#[test]
fn up_counts_generations_keeps_restarts_and_starts_what_was_stopped() {
    let mut state = agreed(vec![stack("a", &["web"], |_| {})]);
    let services = || vec!["web".to_owned()];
    let stack_name = || "a".to_owned();
    apply(&mut state, &Command::RestartServices { stack: stack_name(), services: services() })
        .unwrap();
    apply(
        &mut state,
        &Command::StopServices { stack: stack_name(), services: services(), remove: false },
    )
    .unwrap();
    assert!(state.stacks["a"].stopped.contains("web"));
    let mut again = stack("a", &["web"], |_| {});
    again.nonces.insert("web".to_owned(), 2);
    apply(&mut state, &Command::ApplyStack(Box::new(again))).unwrap();
    let stack = &state.stacks["a"];
    assert_eq!((stack.generation, stack.nonces["web"], stack.stopped.len()), (2, 3, 0));
}

#[test]
fn a_group_of_decisions_is_all_or_nothing() {
    let mut state = Agreed { next_task: 7, ..Agreed::default() };
    let create = |id| Decision::CreateTask { id: TaskId(id), task: Box::default() };
    let group = vec![create(7), create(3)];
    let before = state.clone();
    let error = apply(&mut state, &Command::Decide(group)).unwrap_err();
    assert_eq!(error.to_string(), "cannot apply what was decided: t3 was there before");
    assert_eq!(state, before);
    apply(&mut state, &Command::Decide(vec![create(7), create(9)])).unwrap();
    assert_eq!(state.next_task, 10);
}

#[test]
fn attempts_follow_each_other_and_end_with_their_task() {
    let mut state = Agreed::default();
    let create = Decision::CreateTask { id: TaskId(0), task: Box::default() };
    let next = |number| Decision::NextAttempt {
        attempt: AttemptId { task: TaskId(0), number },
        fails: 0,
        not_before: None,
        last_exit: None,
    };
    let mut decide = |decision| apply(&mut state, &Command::Decide(vec![decision]));
    decide(create).unwrap();
    decide(next(1)).unwrap();
    decide(next(1)).unwrap_err();
    decide(next(3)).unwrap_err();
    decide(Decision::ReapTask { task: TaskId(0) }).unwrap_err();
    decide(Decision::StopTask { task: TaskId(0) }).unwrap();
    decide(next(2)).unwrap_err();
    decide(Decision::ReapTask { task: TaskId(0) }).unwrap();
    decide(Decision::ReapTask { task: TaskId(0) }).unwrap_err();
}

#[test]
fn what_runs_once_is_dropped_by_itself_and_is_not_begun_again() {
    let once = |project: &mut Project| {
        let service = project.services.get_mut("once").unwrap();
        service.one_off = Some(OneOff { service: "web".to_owned(), remove: false });
    };
    let mut agreed = agreed(vec![stack("a", &["web", "once"], once)]);
    for (id, service) in [(0, "web"), (1, "once")] {
        let outcome = Some(Outcome::Failed(Exit { code: 1, ..Exit::default() }));
        let (stack, service) = ("a".to_owned(), service.to_owned());
        let task = Task { stack, service, outcome, ..Task::default() };
        agreed.tasks.insert(TaskId(id), task);
    }
    let again = Command::ApplyStack(Box::new(stack("a", &["web", "once"], once)));
    apply(&mut agreed, &again).unwrap();
    assert_eq!(agreed.tasks[&TaskId(0)].want, Want::Stop, "what failed is tried again");
    assert_eq!(agreed.tasks[&TaskId(1)].want, Want::Run, "what was to run once had its turn");

    let drop = |service: &str| Command::DropOneOffs {
        stack: "a".to_owned(),
        services: vec![service.to_owned()],
    };
    assert!(apply(&mut agreed, &drop("web")).is_err());
    apply(&mut agreed, &drop("once")).unwrap();
    assert_eq!(agreed.stacks["a"].project.services.keys().collect::<Vec<_>>(), ["web"]);
}

#[test]
fn after_a_boot_only_what_is_always_to_run_starts_again() {
    let always = |project: &mut Project| {
        let service = project.services.get_mut("always").unwrap();
        service.deploy.restart.even_if_stopped = true;
    };
    let mut agreed = agreed(vec![stack("a", &["always", "other"], always)]);
    let boot = |name: &str| Command::Boot(BootId(name.to_owned()));
    apply(&mut agreed, &boot("one")).unwrap();
    let services = vec!["always".to_owned(), "other".to_owned()];
    let stop = Command::StopServices { stack: "a".to_owned(), services, remove: false };
    apply(&mut agreed, &stop).unwrap();
    assert_eq!(agreed.stacks["a"].stopped.len(), 2);
    apply(&mut agreed, &boot("two")).unwrap();
    assert_eq!(agreed.stacks["a"].stopped.iter().collect::<Vec<_>>(), ["other"]);
}

/// As many stacks as the pool has ranges, and one more.
#[test]
fn a_stack_has_users_of_its_own_and_gives_them_back() {
    let text = "orca:200000:131072";
    let mut agreed = Agreed::default();
    let give = |text| Command::GiveUsers(UserPool::of_files(text, text).unwrap());
    let add = |name: &str| Command::ApplyStack(Box::new(stack(name, &["web"], |_| {})));
    apply(&mut agreed, &give(text)).unwrap();
    for name in ["a", "b"] {
        apply(&mut agreed, &add(name)).unwrap();
    }
    let users = |agreed: &Agreed, name: &str| agreed.stacks[name].users;
    assert_eq!((users(&agreed, "a"), users(&agreed, "b")), (Some(200_000), Some(265_536)));
    // Applied again it keeps them; a third one finds none.
    apply(&mut agreed, &add("a")).unwrap();
    assert_eq!(users(&agreed, "a"), Some(200_000));
    let said = apply(&mut agreed, &add("c")).unwrap_err().to_string();
    assert!(said.starts_with("c/web: no 65536 users of the host are free"), "{said}");
    // One that asks for none may come all the same.
    let host = stack("d", &["web"], |project| {
        project.services.get_mut("web").unwrap().userns_mode = Some("host".to_owned());
    });
    apply(&mut agreed, &Command::ApplyStack(Box::new(host))).unwrap();
    assert_eq!(users(&agreed, "d"), None);
    agreed.stacks.remove("a");
    apply(&mut agreed, &add("c")).unwrap();
    assert_eq!(users(&agreed, "c"), Some(200_000));
}

#[test]
fn users_that_were_given_stay_when_others_are_to_be_given() {
    let mut agreed = agreed(vec![stack("a", &["web"], |_| {})]);
    // As builds kept it that had one pool alone: the number of the range.
    let first = agreed.stacks["a"].users.unwrap();
    agreed.stacks.get_mut("a").unwrap().users = Some(0);
    assert_eq!(IdMaps::given(0), IdMaps::given(first));
    let next = |agreed: &mut Agreed, name: &str| {
        apply(agreed, &Command::ApplyStack(Box::new(stack(name, &["web"], |_| {})))).unwrap();
        agreed.stacks[name].users.unwrap()
    };
    assert_eq!(next(&mut agreed, "b"), first + USERS);
    let pool = UserPool::of_files("orca:200000:65536", "orca:200000:65536").unwrap();
    apply(&mut agreed, &Command::GiveUsers(pool)).unwrap();
    assert_eq!(next(&mut agreed, "c"), 200_000);
    assert_eq!(next(&mut agreed, "a"), 0);
}
