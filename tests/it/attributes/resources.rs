//! Networks and volumes as the top level of the file wants them.

use super::super::support::Orca;
use super::{check, end, inside};

#[test]
fn networks_are_made_as_the_file_says() {
    let orca = Orca::new().with_busybox();
    orca.write(
        "owner.yaml",
        "name: owner\nservices:\n  there: {image: busybox, command: sleep 1000, networks: [mine]}\n\
         networks: {mine: {name: chosen-name, labels: {who: owner}}}\n",
    );
    orca.ok(&["up", "-d", "-f", "owner.yaml"]);
    orca.up(r#"name: nets
services:
  a:
    image: busybox
    command: sleep 1000
    networks: {narrow: {}, six: {}, theirs: {}}
networks:
  narrow: {driver: bridge, driver_opts: {com.docker.network.driver.mtu: "1312"}}
  six: {enable_ipv6: true, ipam: {config: [{subnet: "fd00:77:3::/64"}]}}
  theirs: {external: true, name: chosen-name}
"#);
    let mtus = inside(&orca, "a", "cat /sys/class/net/eth*/mtu | sort -n | head -1");
    assert_eq!(mtus, "1312");
    let six = inside(&orca, "a", "ip -6 a | grep -o 'fd00:77:3::[0-9a-f:]*/64'");
    assert!(six.starts_with("fd00:77:3::"), "{six}");
    check(&orca, "a", &[("ping -c1 -W5 there >/dev/null && echo there", "there")]);
    let shown = orca.ok(&["network", "inspect", "chosen-name"]);
    assert!(shown.contains("owner"), "{shown}");
    orca.write(
        "stack.yaml",
        "name: nets\nservices: {a: {image: busybox, networks: [n]}}\nnetworks: {n: {enable_ipv4: false}}\n",
    );
    orca.run(&["up", "-f", "stack.yaml"]).expect(2).says("enable_ipv4");
}

#[test]
fn volumes_are_made_as_the_file_says() {
    let orca = Orca::new().with_busybox();
    orca.write("elsewhere/file", "on the host\n");
    orca.write(
        "owner.yaml",
        "name: owner\nservices:\n  there: {image: busybox, command: 'sh -c \"echo theirs > /v/file; sleep 1000\"', volumes: [\"mine:/v\"]}\n\
         volumes: {mine: {name: chosen-volume, labels: {who: owner}}}\n",
    );
    orca.ok(&["up", "-d", "-f", "owner.yaml"]);
    orca.up(r#"name: vols
services:
  a:
    image: busybox
    command: sleep 1000
    volumes: ["bound:/bound", "theirs:/theirs"]
volumes:
  bound: {driver: local, driver_opts: {type: none, o: bind, device: ./elsewhere}}
  theirs: {external: true, name: chosen-volume}
"#);
    check(&orca, "a", &[("cat /bound/file", "on the host"), ("cat /theirs/file", "theirs")]);
    let shown = orca.ok(&["volume", "inspect", "chosen-volume"]);
    assert!(shown.contains("owner"), "{shown}");
}

#[test]
fn secrets_and_configs_come_from_where_the_file_says() {
    let orca = Orca::new().with_busybox();
    orca.write("from.txt", "a file\n");
    orca.write(".env", "WORD=a variable\n");
    orca.up(r#"name: sources
services:
  a:
    image: busybox
    command: sleep 1000
    secrets: [from_file, from_variable]
    configs: [c_file, c_variable, {source: c_text, target: /etc/text}]
secrets:
  from_file: {file: ./from.txt}
  from_variable: {environment: WORD}
configs:
  c_file: {file: ./from.txt}
  c_variable: {environment: WORD}
  c_text: {content: "text with ${WORD}"}
"#);
    check(
        &orca,
        "a",
        &[
            ("cat /run/secrets/from_file /run/secrets/from_variable", "a file\na variable"),
            ("cat /c_file /c_variable", "a file\na variable"),
            ("cat /etc/text", "text with a variable"),
        ],
    );
}

#[test]
fn jobs_run_once_and_global_services_have_one_container() {
    let orca = Orca::new().with_busybox();
    orca.write(
        "stack.yaml",
        r#"name: modes
services:
  job: {image: busybox, command: "true", deploy: {mode: replicated-job}}
  everywhere: {image: busybox, command: sleep 1000, deploy: {mode: global, placement: {constraints: [node.role == manager]}}}
  ours: {image: busybox, command: sleep 1000, runtime: runc, userns_mode: host}
  here: {image: busybox, command: sleep 1000, pull_policy: never, platform: PLATFORM}
"#
        .replace("PLATFORM", if cfg!(target_arch = "x86_64") { "linux/amd64" } else { "linux/arm64" })
        .as_str(),
    );
    orca.ok(&["up", "-d", "-f", "stack.yaml"]);
    let job = end(&orca, "modes-job-1");
    assert_eq!((&job["ExitCode"], &job["Restarts"]), (&0.into(), &0.into()), "{job:#}");
    for service in ["everywhere", "ours", "here"] {
        check(&orca, service, &[("echo runs", "runs")]);
    }
}

#[test]
fn an_image_stands_in_for_a_build() {
    let orca = Orca::new().with_busybox();
    orca.write(
        "stack.yaml",
        "name: built\nservices:\n  a:\n    build: .\n    image: busybox\n    command: sleep 1000\n",
    );
    orca.run(&["up", "-f", "stack.yaml"]).expect(0).says("stack.yaml:4:5: services.a.build");
    check(&orca, "a", &[("echo runs", "runs")]);
}
