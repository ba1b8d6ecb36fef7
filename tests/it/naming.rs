//! Names between containers.

use super::support::{Orca, eventually};

const STACK: &str = "name: names
services:
  web:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    networks:
      front: {aliases: [www, cdn.example]}
  app:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    deploy: {replicas: 2}
    networks: [front, back]
  db:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    networks: [back]
networks:
  front: {}
  back: {internal: true}
";

/// What `nslookup` in a container finds for a name: the addresses.
fn addresses(orca: &Orca, service: &str, name: &str) -> Vec<String> {
    let ran = orca.run(&["exec", "-T", "-f", "stack.yaml", service, "nslookup", "-type=a", name]);
    let after_server = ran.stdout.split("\n\n").skip(1).collect::<String>();
    after_server
        .lines()
        .filter_map(|line| line.strip_prefix("Address: "))
        .map(str::to_owned)
        .collect()
}

fn own_address(orca: &Orca, container: &str, network: &str) -> String {
    orca.container(container)["Addresses"][network].as_str().unwrap().to_owned()
}

#[test]
fn services_find_each_other_by_every_name_they_have() {
    let orca = Orca::new().with_busybox();
    orca.up(STACK);
    let web = own_address(&orca, "names-web-1", "names_front");
    for name in ["web", "www", "cdn.example", "names-web-1", "WEB"] {
        let found = eventually(name, || {
            Some(addresses(&orca, "app", name)).filter(|found| !found.is_empty())
        });
        assert_eq!(found, std::slice::from_ref(&web), "{name}");
    }
    assert_eq!(addresses(&orca, "db", "app").len(), 2, "both replicas");
    assert!(addresses(&orca, "db", "web").is_empty(), "no network in common");
}

#[test]
fn containers_reach_only_the_networks_they_are_in() {
    let orca = Orca::new().with_busybox();
    orca.up(STACK);
    let web = own_address(&orca, "names-web-1", "names_front");
    let db = own_address(&orca, "names-db-1", "names_back");
    let serve =
        ["exec", "-d", "-f", "stack.yaml", "web", "httpd", "-f", "-p", "7000", "-h", "/etc"];
    orca.ok(&serve);
    // Debian's static busybox looks up even plain addresses with the C library, which it cannot: nc does
    // not.
    let reach = |from: &str, to: &str| {
        let line = format!("printf 'GET /hostname HTTP/1.0\\r\\n\\r\\n' | nc -w 2 {to} 7000");
        let ran = orca.run(&["exec", "-T", "-f", "stack.yaml", from, "sh", "-c", &line]);
        ran.stdout.contains("200 OK")
    };
    eventually("app reaches web", || reach("app", &web).then_some(()));
    assert!(!reach("db", &web), "another network");
    let ping = |from: &str, to: &str| {
        orca.run(&["exec", "-T", "-f", "stack.yaml", from, "ping", "-c1", "-W1", to]).code
    };
    assert_eq!(ping("app", &db), Some(0));
    assert_ne!(ping("web", &db), Some(0));
}

#[test]
fn the_hosts_own_view_of_a_container_is_its_name_and_files() {
    let orca = Orca::new().with_busybox();
    orca.up("name: files
services:
  app:
    image: busybox
    command: sleep 1000
    stop_grace_period: 0s
    hostname: box
    domainname: example.org
    extra_hosts: ['other:192.0.2.7', 'outside:host-gateway']
    dns_search: [lan]
    dns_opt: ['timeout:1']
");
    let cat = |path: &str| orca.ok(&["exec", "-T", "-f", "stack.yaml", "app", "cat", path]);
    assert_eq!(cat("/etc/hostname"), "box\n");
    let hosts = cat("/etc/hosts");
    assert!(hosts.contains("192.0.2.7\tother"), "{hosts}");
    assert!(hosts.contains("box.example.org box"), "{hosts}");
    assert!(
        hosts.lines().any(|line| line.ends_with("\toutside") && line.starts_with("10.")),
        "{hosts}"
    );
    let resolv = cat("/etc/resolv.conf");
    assert!(resolv.contains("nameserver 127.0.0.11"), "{resolv}");
    assert!(resolv.contains("search lan"), "{resolv}");
    assert!(resolv.contains("timeout:1"), "{resolv}");
}
