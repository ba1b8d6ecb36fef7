//! Networks, addresses and ports.

use super::*;

fn no_networks(services: &[&str]) -> Scene {
    let mut scene = Scene::new(services);
    scene.agreed.networks.clear();
    scene
}

/// The subnet that the network `shop_default` gets.
fn subnet(scene: &Scene) -> String {
    match &scene.plan().decisions.concat()[..] {
        [Decision::AddNetwork { network, .. }] => network.subnet.to_string(),
        other => panic!("{other:?}"),
    }
}

fn with_network(mut scene: Scene, change: impl FnOnce(&mut Network)) -> Scene {
    change(scene.stack().project.networks.get_mut("default").unwrap());
    scene.revised()
}

#[test]
fn a_network_gets_a_subnet_that_is_free_on_the_host() {
    let mut scene = no_networks(&["web"]);
    let first = subnet(&scene);
    assert_eq!(first, subnet(&scene), "the same every time");
    scene.observed.on_link = vec!["0.0.0.0/0".parse().unwrap(), first.parse().unwrap()];
    let second = subnet(&scene);
    assert_ne!(first, second);
    scene.observed.on_link.push("10.192.0.0/11".parse().unwrap());
    let third: ipnet::Ipv4Net = subnet(&scene).parse().unwrap();
    assert!("10.224.0.0/11".parse::<ipnet::Ipv4Net>().unwrap().contains(&third));
    // Without any place it is said, and nothing else happens.
    scene.observed.on_link = vec!["10.0.0.0/8".parse().unwrap()];
    scene.check(&[]);
    let reason = "service web: no addresses are left for network shop_default";
    assert_eq!(scene.status().failed.as_deref(), Some(reason));
}

#[test]
fn a_network_gets_the_addresses_it_asks_for() {
    let scene = with_network(no_networks(&["web"]), |network| {
        network.subnet = Some("192.168.7.0/24".parse().unwrap());
        network.gateway = Some("192.168.7.254".parse().unwrap());
        network.subnet6 = Some("fd00:7::/64".parse().unwrap());
    });
    scene.check(&["decide: network shop_default is 192.168.7.0/24 and fd00:7::/64"]);
    let Decision::AddNetwork { network, .. } = scene.plan().decisions.concat().remove(0) else {
        panic!("no network")
    };
    assert_eq!(network.gateway.to_string(), "192.168.7.254");
    assert_eq!(network.subnet6.unwrap().1.to_string(), "fd00:7::1");
    let chosen = with_network(no_networks(&["web"]), |network| network.enable_ipv6 = true);
    let plan = chosen.plan().to_string();
    assert!(plan.contains(" and fd"), "{plan}");
}

#[test]
fn a_network_that_nobody_uses_is_not_made_and_goes() {
    let unused = |scene: Scene| scene.with("web", |service| service.networks.clear());
    unused(no_networks(&["web"])).check(&["decide: t1 is shop/web 1"]);
    unused(Scene::new(&["web"])).check(&["decide: drop network shop_default"]);
    let mut used = Scene::new(&["web"]).task("web");
    used.stack().project.services.clear();
    used.check(&["decide: t1 ends"]);
}

#[test]
fn a_network_whose_addresses_change_is_made_anew_when_all_have_left() {
    let scene = Scene::new(&["web"]).with("web", |service| service.deploy.replicas = Some(2));
    let scene = scene.task("web").task("web").running(1, Health::None).running(2, Health::None);
    let scene = with_network(scene, |network| {
        network.subnet = Some("192.168.7.0/24".parse().unwrap());
    });
    scene.check(&["decide: t1 ends", "decide: t2 ends"]);
    let mut gone = scene;
    gone.agreed.tasks.clear();
    gone.observed = Observed::default();
    gone.check(&[
        "decide: drop network shop_default",
        "decide: network shop_default is 192.168.7.0/24",
    ]);
}

#[test]
fn an_external_network_has_to_be_there() {
    let mut scene = with_network(no_networks(&["web"]), |network| network.external = true);
    scene.check(&[]);
    let reason =
        "network shop_default does not exist: it is external, so another stack has to make it";
    assert_eq!(scene.status().services["web"].waiting.as_deref(), Some(reason));
    assert_eq!(scene.status().failed.unwrap(), format!("service web: {reason}"));
    scene.agreed.networks = Scene::new(&[]).agreed.networks;
    scene.agreed.networks.get_mut("shop_default").unwrap().stack = "other".to_owned();
    let mut other = Scene::new(&["x"]).agreed.stacks.remove("shop").unwrap();
    other.project.name = "other".to_owned();
    scene.agreed.stacks.insert("other".to_owned(), other);
    let plan = scene.plan().to_string();
    assert!(plan.contains("shop/web 1, 10.200.0.3 in shop_default"), "{plan}");
}

#[test]
fn addresses_are_given_out_in_turn() {
    let mut scene = Scene::new(&["web"]);
    let last = |scene: &mut Scene, address: &str| {
        let network = scene.agreed.networks.get_mut("shop_default").unwrap();
        network.last = address.parse().unwrap();
    };
    last(&mut scene, "10.200.0.40");
    scene.check(&["decide: t1 is shop/web 1, 10.200.0.41 in shop_default"]);
    last(&mut scene, "10.200.0.254");
    scene.check(&["decide: t1 is shop/web 1, 10.200.0.2 in shop_default"]);
    let narrow = with_network(scene, |network| {
        network.ip_range = Some("10.200.0.128/30".parse().unwrap());
        let router = ("router".to_owned(), "10.200.0.128".parse().unwrap());
        network.aux_addresses.extend([router]);
    });
    narrow.check(&["decide: t1 is shop/web 1, 10.200.0.129 in shop_default"]);
    // Three are left; the rest of the replicas have to wait.
    let many = narrow.with("web", |service| service.deploy.replicas = Some(9));
    assert_eq!(many.plan().decisions.concat().len(), 3);
}

#[test]
fn a_fixed_address_is_kept_for_who_asks_for_it() {
    let scene = Scene::new(&["app", "web"]).with("web", |service| {
        let fixed = Some("10.200.0.2".parse().unwrap());
        service.networks.get_mut("default").unwrap().ipv4_address = fixed;
    });
    scene.check(&[
        "decide: t1 is shop/app 1, 10.200.0.3 in shop_default",
        "decide: t2 is shop/web 1, 10.200.0.2 in shop_default",
    ]);
}

#[test]
fn interfaces_are_in_the_order_of_their_priorities() {
    let mut scene = Scene::new(&["web"]);
    for (key, subnet) in [("a", "10.201.0.0/24"), ("z", "10.202.0.0/24")] {
        let name = format!("shop_{key}");
        let network = Network { name: name.clone(), ..Network::default() };
        scene.stack().project.networks.insert(key.to_owned(), network);
        let mut agreed = scene.agreed.networks["shop_default"].clone();
        agreed.subnet = subnet.parse().unwrap();
        agreed.key = key.to_owned();
        scene.agreed.networks.insert(name, agreed);
    }
    let scene = scene.with("web", |service| {
        service.networks.insert("a".to_owned(), Attachment::default());
        let gw_priority = 1;
        service
            .networks
            .insert("z".to_owned(), Attachment { gw_priority, ..Attachment::default() });
    });
    let stack = &scene.agreed.stacks["shop"];
    let order = container::interface_order(stack, &stack.project.services["web"]);
    let names: Vec<_> = order.into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["shop_z", "shop_a", "shop_default"]);
}

fn published(scene: Scene, published: Option<(u16, u16)>) -> Scene {
    scene.with("web", |service| {
        let (target, protocol) = (80, Protocol::Tcp);
        service.ports.push(Port { target, published, host_ip: None, protocol, name: None });
    })
}

#[test]
fn a_port_that_is_left_open_is_chosen_and_kept() {
    let mut scene = published(Scene::new(&["web"]), None);
    let chosen = |scene: &Scene| match scene.plan().decisions.concat().first() {
        Some(Decision::ChoosePort(port)) => port.clone(),
        other => panic!("{other:?}"),
    };
    let first = chosen(&scene);
    assert!((32768..61000).contains(&first.host_port), "{first:?}");
    let key = (Protocol::Tcp, first.host_port);
    scene.observed.taken_ports.insert(key, "nginx".to_owned());
    assert_ne!(chosen(&scene).host_port, first.host_port);
    scene.observed.taken_ports.clear();
    scene.agreed.chosen_ports = vec![first.clone()];
    assert!(scene.plan().to_string().starts_with("decide: t1 is"));
    // Somebody else has got it in the meantime: another one is chosen in its place.
    scene.observed.taken_ports.insert(key, "nginx".to_owned());
    let moved = scene.plan().decisions.concat();
    assert!(matches!(&moved[..], [Decision::DropPort(old), Decision::ChoosePort(new)]
        if *old == first && new.host_port != first.host_port));
}

#[test]
fn a_port_from_a_range_is_the_first_free_one() {
    let mut scene = published(Scene::new(&["web"]), Some((8000, 8002)));
    scene.check(&["decide: shop/web port 80/tcp is 8000 on the host"]);
    scene.observed.taken_ports.insert((Protocol::Tcp, 8000), "nginx".to_owned());
    scene.check(&["decide: shop/web port 80/tcp is 8001 on the host"]);
}

#[test]
fn a_chosen_port_goes_with_its_port() {
    let mut scene = Scene::new(&["web"]);
    scene.agreed.chosen_ports.push(ChosenPort {
        stack: "shop".to_owned(),
        service: "web".to_owned(),
        target: 80,
        protocol: Protocol::Tcp,
        host_port: 40000,
    });
    scene.check(&["decide: drop host port 40000/tcp"]);
}

/// Where port 8080 of the host leads.
fn backends(scene: &Scene) -> String {
    let publication = scene.plan().network.publications.remove(0);
    assert_eq!((publication.host_port, publication.owner.as_str()), (8080, "shop/web"));
    let backends = publication.backends.iter().map(|(ip, port)| format!("{ip}:{port}"));
    backends.collect::<Vec<_>>().join(" ")
}

#[test]
fn one_published_port_leads_to_all_replicas_that_can_answer() {
    let scene = published(Scene::new(&["web"]).checked("web"), Some((8080, 8080)));
    let scene = scene.with("web", |service| service.deploy.replicas = Some(2));
    let scene = scene.task("web").task("web");
    assert_eq!(backends(&scene), "");
    let one = scene.running(1, Health::Starting);
    assert_eq!(backends(&one), "10.200.0.2:80", "rather an early one than none");
    let both = one.running(2, Health::Healthy);
    assert_eq!(backends(&both), "10.200.0.3:80");
    let both = both.running(1, Health::Healthy);
    assert_eq!(backends(&both), "10.200.0.2:80 10.200.0.3:80");
    let sick = both.clone().running(1, Health::Unhealthy);
    assert_eq!(backends(&sick), "10.200.0.3:80");
    assert_eq!(backends(&sick.running(2, Health::Unhealthy)), "10.200.0.2:80 10.200.0.3:80");
    let leaving = both.clone().change(1, |task| task.want = Want::Stop);
    assert_eq!(backends(&leaving), "10.200.0.3:80");
    let mut stopped = both;
    stopped.stack().stopped.insert("web".to_owned());
    assert!(stopped.plan().network.publications.is_empty());
}

#[test]
fn a_bridge_is_as_its_network_says() {
    let scene = with_network(Scene::new(&["web"]), |network| {
        network.internal = true;
        network.mtu = Some(1400);
    });
    let bridge = &scene.plan().network.bridges["shop_default"];
    assert_eq!((bridge.internal, bridge.mtu), (true, Some(1400)));
    assert_eq!(bridge.gateway.to_string(), "10.200.0.1");
}
