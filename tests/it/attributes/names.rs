//! Names, addresses and whose namespaces a container has.

use super::super::support::{Orca, free_port, host};
use super::{check, inside};

const STACK: &str = r#"name: names
services:
  first:
    image: busybox
    command: sh -c 'mkdir -p /www; echo first > /www/index.html; exec httpd -f -p 80 -h /www'
    container_name: chosen
    hostname: hosty
    domainname: dom.test
    extra_hosts: ["foo:192.0.2.4", "gw:host-gateway"]
    dns_search: [one.test, two.test]
    dns_opt: ["timeout:3"]
    expose: ["8888"]
    ports: ["127.0.0.1:PORT0:80", "PORT1-PORT2:80-81", "80"]
    networks:
      front: {aliases: [other], ipv4_address: 10.77.3.9, mac_address: "02:00:00:00:00:07"}
  second: {image: busybox, command: sleep 1000, networks: [front, closed]}
  alone: {image: busybox, command: sleep 1000, network_mode: none}
  onhost: {image: busybox, command: sleep 1000, network_mode: host}
  along: {image: busybox, command: sleep 1000, network_mode: "service:first", pid: "service:first", ipc: "service:first"}
  shares: {image: busybox, command: sleep 1000, pid: host, ipc: host, uts: host}
  closed: {image: busybox, command: sleep 1000, networks: [closed]}
  off: {image: busybox, command: sleep 1000, profiles: [more]}
  many: {image: busybox, command: sleep 1000, scale: 2, networks: [front]}
networks:
  front: {ipam: {config: [{subnet: 10.77.3.0/24, gateway: 10.77.3.1}]}}
  closed: {internal: true}
"#;

#[test]
fn names_addresses_and_namespaces_are_as_the_file_says() {
    let orca = Orca::new().with_busybox();
    // A range of two has to be free as a whole.
    let (single, range) = (free_port(), free_port() / 2 * 2 + 1);
    let stack = STACK
        .replace("PORT0", &single.to_string())
        .replace("PORT1", &range.to_string())
        .replace("PORT2", &(range + 1).to_string());
    orca.up(&stack);
    check(
        &orca,
        "first",
        &[
            ("hostname; hostname -f; cat /etc/hostname", "hosty\nhosty.dom.test\nhosty"),
            ("cat /proc/sys/kernel/domainname", "dom.test"),
            ("grep foo /etc/hosts", "192.0.2.4\tfoo"),
            ("grep gw /etc/hosts", "10.77.3.1\tgw"),
            ("grep search /etc/resolv.conf", "search one.test two.test"),
            ("grep -c timeout:3 /etc/resolv.conf", "1"),
            ("cat /sys/class/net/eth0/address", "02:00:00:00:00:07"),
            ("ip -4 a show eth0 | grep -o 'inet [0-9./]*'", "inet 10.77.3.9/24"),
        ],
    );
    for name in ["first", "other", "chosen"] {
        let page = inside(&orca, "second", &format!("wget -qO- http://{name}/"));
        assert_eq!(page, "first", "by the name {name}");
    }
    check(&orca, "closed", &[("ip route | grep -c default || true", "0")]);
    check(&orca, "alone", &[("ls /sys/class/net", "lo")]);
    for port in [single, range] {
        let page = super::super::support::curl(&format!("http://127.0.0.1:{port}/"));
        assert_eq!(page.as_deref(), Some("first\n"), "port {port}");
    }
    let chosen = orca.ok(&["port", "-f", "stack.yaml", "first", "81"]);
    assert!(chosen.trim().ends_with(&(range + 1).to_string()), "{chosen}");

    let namespace = |name: &str, kind: &str| {
        std::fs::read_link(format!("/proc/{}/ns/{kind}", orca.pid(name))).unwrap()
    };
    let of_host = |kind: &str| std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
    for kind in ["net", "pid", "ipc"] {
        assert_eq!(namespace("names-along-1", kind), namespace("chosen", kind), "{kind}");
    }
    for kind in ["pid", "ipc", "uts"] {
        assert_eq!(namespace("names-shares-1", kind), of_host(kind), "{kind}");
        assert_ne!(namespace("chosen", kind), of_host(kind), "{kind}");
    }
    assert_eq!(namespace("names-onhost-1", "net"), of_host("net"));

    let mut names: Vec<_> =
        orca.ps().iter().map(|c| c["Name"].as_str().unwrap().to_owned()).collect();
    names.retain(|name| name.contains("many") || name.contains("off"));
    assert_eq!(names, ["names-many-1", "names-many-2"], "two of many, none of what is off");
    // The address on the host that was named is the only one that answers there.
    let refused = host("curl", &["-s", "--max-time", "2", &format!("http://127.0.0.2:{single}/")]);
    assert!(!refused.status.success());
}
